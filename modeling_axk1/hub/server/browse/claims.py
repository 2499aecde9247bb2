"""What a card claims: the figures it links to the files that hold them, and those it states for machines.

A linked figure is compared with its file, as `axk1 hub check` does. A stated one (model-index, .eval_results) names no
file; it is looked for among the numbers of the repository's results files.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import yaml

from modeling_axk1.errors import HubError
from modeling_axk1.hub.figures import at, figures_in, says
from modeling_axk1.hub.server.browse.result_file import ResultFile, numbers_in, shown
from modeling_axk1.hub.server.cards import card_data

_MOST_FIGURES = 500
_MOST_STATED = 200

Agreement = Literal["agrees", "differs", "missing"]


@dataclass(frozen=True)
class LinkedFigure:
    """A figure in the card: as it is printed, where it comes from, what stands there ("" for nothing)."""

    text: str
    file: str
    pointer: str
    value: str
    agreement: Agreement


@dataclass(frozen=True)
class StatedFigure:
    """A result that a card states for machines; `found` is (file, JSON pointer) of an equal number, if there is one."""

    source: str
    task: str
    dataset: str
    metric: str
    value: str
    note: str
    found: tuple[str, str] | None


def linked_figures(card: str, document_of: Callable[[str], Any]) -> list[LinkedFigure]:
    """Return the figures that a card links, the first 500; `document_of` gives a JSON file, None when there is none."""
    found = []
    for figure in islice(figures_in(card), _MOST_FIGURES):
        try:
            value = at(document_of(figure.file), figure.pointer, figure.file)
        except HubError:
            found.append(LinkedFigure(*figure, value="", agreement="missing"))
            continue
        agreement: Agreement = "agrees" if says(figure.text, value) else "differs"
        found.append(LinkedFigure(*figure, value=shown(value), agreement=agreement))
    return found


def stated_figures(card: str, evaluations: dict[str, bytes], results: Iterable[ResultFile]) -> list[StatedFigure]:
    """Return the results in a card's model-index and in .eval_results/*.yaml, the first 200."""
    places = _places(results)
    stated = [*_model_index(card), *(one for path, raw in evaluations.items() for one in _evaluation(path, raw))]
    return [
        StatedFigure(source, *texts, shown(value), note, _find(places, value, texts[2]))
        for source, texts, value, note in stated[:_MOST_STATED]
    ]


_Stated = tuple[str, tuple[str, str, str], Any, str]  # source, (task, dataset, metric), value, note


def _model_index(card: str) -> Iterator[_Stated]:
    try:
        index = card_data(card).get("model-index")
    except ValueError:
        return
    for model in _objects(index):
        for result in _objects(model.get("results")):
            task, dataset = _object(result.get("task")), _object(result.get("dataset"))
            for metric in _objects(result.get("metrics")):
                texts = (_named(task), _named(dataset), shown(metric.get("type") or metric.get("name")))
                yield "README.md", texts, metric.get("value"), ""


def _evaluation(path: str, raw: bytes) -> Iterator[_Stated]:
    try:
        entries = yaml.load(raw, yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    for entry in _objects(entries):
        dataset = _object(entry.get("dataset"))
        texts = (shown(dataset.get("task_id")), shown(dataset.get("id")), "")
        yield path, texts, entry.get("value"), shown(entry.get("notes"))


def _places(results: Iterable[ResultFile]) -> dict[float, list[tuple[str, str]]]:
    places: dict[float, list[tuple[str, str]]] = {}
    for result in results:
        for pointer, number in numbers_in(result.document):
            places.setdefault(number, []).append((result.path, pointer))
    return places


def _find(places: dict[float, list[tuple[str, str]]], value: Any, metric: str) -> tuple[str, str] | None:
    """Return where a number stands, below a key of the metric's name if it stands at several."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    found = places.get(value, [])
    return next((place for place in found if metric and place[1].endswith(f"/{metric}")), found[0] if found else None)


def _objects(value: Any) -> list[dict[Any, Any]]:
    return [item for item in value[:_MOST_STATED] if isinstance(item, dict)] if isinstance(value, list) else []


def _object(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _named(value: dict[Any, Any]) -> str:
    return shown(value.get("name") or value.get("type"))
