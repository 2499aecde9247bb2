"""Figures: every one in a card is what its file says, and every one in a table has a file; the card is made again."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from modeling_axk1.errors import HubError
from modeling_axk1.hub.card import CARDS, evaluation_results, korean_data_card, model_card, planned_card
from modeling_axk1.hub.checking.metadata import front_matter
from modeling_axk1.hub.checking.subject import Subject
from modeling_axk1.hub.figures import at, figures_in, says

_ROW = re.compile(r"^\|(.*)\|[ \t]*$", re.M)
# Not a part of a name: BF16, GLM-4.6.
_NUMBER = re.compile(r"(?<![\w.-])-?[0-9]")
_LARGE = re.compile(r"(?<![\w.,-])[0-9]{1,3}(?:,[0-9]{3})+(?![\w.])")
_SOURCED = re.compile(r"\[[^\]]*\]\([^)]*\)|`[^`]*`")


def check_figures(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield (card, what is wrong) of the figures in the cards."""
    ours = subject.is_plan or "results/variant.json" in subject.files
    for page in CARDS.values():
        if page not in subject.files:
            continue
        text = subject.text(page)
        for figure in figures_in(text):
            if problem := _wrong(subject, *figure):
                yield page, problem
        if ours:
            yield from ((page, problem) for problem in _unsourced(text))
    if subject.type == "dataset" and "stats.json" in subject.files and "README.md" in subject.files:
        yield from _of_dataset(subject)
    if "results/variant.json" in subject.files and "README.md" in subject.files:
        yield from _results(subject)
    yield from _made_again(subject)


def _wrong(subject: Subject, text: str, file: str, pointer: str) -> str | None:
    if file not in subject.files or ".." in PurePosixPath(file).parts:
        return f"the figure {text} comes from {file}, which is not in the repository"
    try:
        value = at(json.loads(subject.text(file)), pointer, file)
    except (HubError, ValueError) as error:
        return f"the figure {text}: {error}"
    return None if says(text, value) else f"the figure {text} must be {value!r:.40}, as {file} says at {pointer}"


def _unsourced(text: str) -> Iterator[str]:
    """Tables may name things with digits in their first column; a digit in any other must have a source."""
    for row in _ROW.findall(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
        for cell in _SOURCED.sub("", row).split("|")[1:]:
            if _NUMBER.search(cell):
                yield f"a figure in a table must link to its file, got {' '.join(cell.split())!r:.60}"


def _of_dataset(subject: Subject) -> Iterator[tuple[str, str]]:
    """The card of a dataset says its figures without links: each large one must be among those that were counted."""
    try:
        known = set(_numbers(json.loads(subject.text("stats.json"))))
        if "recipe.toml" in subject.files:
            known |= set(_numbers(tomllib.loads(subject.text("recipe.toml"))))
    except ValueError as error:
        yield "stats.json", f"stats.json and recipe.toml must be readable: {error}"
        return
    for number in dict.fromkeys(_LARGE.findall(subject.text("README.md"))):
        if int(number.replace(",", "")) not in known:
            yield "README.md", f"the figure {number} is in neither stats.json nor recipe.toml"


def _numbers(value: Any) -> Iterator[int]:
    """Yield all whole numbers in a document, and the sums of objects that are figures by name."""
    if isinstance(value, dict):
        values = list(value.values())
        if values and all(isinstance(one, int) and not isinstance(one, bool) for one in values):
            yield sum(values)
        if values and all(isinstance(one, dict) for one in values):
            for key in {key for one in values for key in one}:
                found = [one[key] for one in values if isinstance(one.get(key), int)]
                yield sum(found)
        for one in values:
            yield from _numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int):
        yield value


def _results(subject: Subject) -> Iterator[tuple[str, str]]:
    """model-index says what the results say."""
    data, problem = front_matter(subject)
    if problem:
        return
    file = "results/variant.json"
    try:
        measured: dict[str, Any] = json.loads(subject.text(file))["measured"]
        if not measured:
            file = "results/train.json"
            measured = json.loads(subject.text(file))["measured"]
    except (OSError, ValueError, KeyError, TypeError):
        yield file, "must hold what was measured, and does not"
        return
    names = {"bits_per_byte": "bits_per_byte", "cross_entropy": "validation_loss"}
    for entry in data.get("model-index") or []:
        for result in entry["results"]:
            for metric in result["metrics"]:
                key = names.get(metric["type"])
                if key is None or metric["value"] != measured.get(key):
                    yield (
                        "README.md",
                        (
                            f"model-index says {metric['type']} {metric['value']}, "
                            f"and {file} says {measured.get(key or '')}"
                        ),
                    )


def _made_again(subject: Subject) -> Iterator[tuple[str, str]]:
    expected = expected_cards(subject)
    for name, text in expected.items():
        if isinstance(text, HubError):
            yield name, str(text)
        elif name not in subject.files:
            yield name, "is missing; `axk1 hub card` writes it"
        elif subject.text(name) != text:
            yield name, "is not what the repository's files give; `axk1 hub card` writes it anew"


def expected_cards(subject: Subject) -> dict[str, str | HubError]:
    """Return {name: text} of what is generated from a repository's own files, or what hinders it."""
    makers: dict[str, Any] = {}
    if subject.is_plan:
        makers = {
            name: lambda language=language: planned_card(subject.folder, language) for language, name in CARDS.items()
        }
    elif "results/variant.json" in subject.files:
        makers = {
            name: lambda language=language: model_card(subject.folder, language) for language, name in CARDS.items()
        }
        makers[".eval_results/validation.yaml"] = lambda: evaluation_results(subject.folder)[
            ".eval_results/validation.yaml"
        ]
    elif subject.type == "dataset" and "README.ko.md" in subject.files:
        makers = {"README.ko.md": lambda: korean_data_card(subject.folder, subject.repo_id)}
    made: dict[str, str | HubError] = {}
    for name, maker in makers.items():
        try:
            made[name] = maker()
        except HubError as error:
            made[name] = error
    return made
