"""One file of results: its figures in tables that people can read, and where they come from.

Every results file of this project has `command`, `machine`, `versions`, `commit` (modeling_axk1/environment.py) beside
what was `measured` or `counted`; what others report has a `publisher`. Any other JSON is shown as far as it goes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.strict_json import parse_object

LARGEST_RESULTS = 2 * 1024 * 1024
_MOST_SECTIONS = 60
_MOST_ROWS = 200
_MOST_COLUMNS = 9
_LONGEST_TEXT = 200
_MOST_IN_LINE = 8
_DEEPEST = 12
_MOST_NUMBERS = 20_000

# Not figures: they say where figures come from.
_PROVENANCE = {"command", "machine", "versions", "commit", "seed", "inputs", "settings", "publisher", "sources"}

# Keys under which results stand.
_RESULTS = {"measured", "counted", "reported", "runs", "scores"}

Origin = Literal["measured", "counted", "reported", "recorded"]


@dataclass(frozen=True)
class Section:
    """Figures that belong together, below the key `name` of the file ("" for its top): a table or name and value.

    `rows` begin with their name; `columns` is empty where they are name and value. `more` rows are not here.
    """

    name: str
    columns: list[str]
    rows: list[list[str]]
    more: int = 0

    @property
    def is_result(self) -> bool:
        """Whether these are what the file is there for, rather than what goes with it."""
        return self.name.partition("/")[0] in _RESULTS


@dataclass(frozen=True)
class ResultFile:
    """What a results file holds. `problem` says why it could not be read; `publisher` whose figures these are."""

    path: str
    origin: Origin = "recorded"
    publisher: str | None = None
    command: str | None = None
    commit: str | None = None
    seed: str | None = None
    machine: str | None = None
    versions: list[tuple[str, str]] = field(default_factory=list)
    inputs: list[tuple[str, str]] = field(default_factory=list)
    sources: list[tuple[str, str]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    more_sections: int = 0
    problem: str | None = None
    document: Any = None


def read_results(path: str, raw: bytes) -> ResultFile:
    """Return what the results file `path` holds; one that cannot be read says why."""
    try:
        document = parse_object(raw, path)
    except WeightsError as error:
        return ResultFile(path, problem=str(error))
    publisher = _text(document.get("publisher")) if "reported" in document else None
    sections = [*_sections(document)]
    settings = document.get("settings")
    seed = document.get("seed", settings.get("seed") if isinstance(settings, dict) else None)
    return ResultFile(
        path,
        origin=_origin(document),
        publisher=publisher,
        command=_text(document.get("command")),
        commit=_text(document.get("commit")),
        seed=_text(seed),
        machine=_machine(document.get("machine")),
        versions=_pairs(document.get("versions")),
        inputs=_pairs(document.get("inputs")),
        sources=_pairs(document.get("sources")),
        sections=sections[:_MOST_SECTIONS],
        more_sections=max(0, len(sections) - _MOST_SECTIONS),
        document=document,
    )


def numbers_in(document: Any) -> Iterator[tuple[str, float]]:
    """Yield (JSON pointer, number) of the numbers in a document, the first 20,000."""
    left = _MOST_NUMBERS
    for pointer, value in _leaves(document, ""):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield pointer, value
        left -= 1
        if left == 0:
            return


def shown(value: object) -> str:
    """Return a value as people read it: numbers with commas, short text as it is."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: ""}[value]
    if isinstance(value, int) and abs(value) < 10**30:
        return f"{value:,}"
    if isinstance(value, list):
        plain = ["…" if isinstance(item, list | dict) else shown(item) for item in value[:_MOST_IN_LINE]]
        if set(plain) == {"…"}:
            return "…"
        return ", ".join(plain) + (f", … ({len(value):,})" if len(value) > _MOST_IN_LINE else "")
    if isinstance(value, dict):
        return "{…}"
    try:
        text = str(value)
    except ValueError:  # a number of thousands of digits
        return "…"
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _origin(document: dict[str, Any]) -> Origin:
    if "reported" in document:
        return "reported"
    if document.get("measured"):
        return "measured"
    if "counted" in document:
        return "counted"
    return "measured" if "command" in document and "machine" in document else "recorded"


def _text(value: object) -> str | None:
    return shown(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _machine(value: object) -> str | None:
    if not isinstance(value, dict):
        return _text(value)
    parts = [shown(value[key]) for key in ("cpu", "gpu", "system") if key in value]
    if "cores" in value:
        parts.append(f"{shown(value['cores'])} cores")
    if "memory_gib" in value:
        parts.append(f"{shown(value['memory_gib'])} GiB")
    return ", ".join(parts)[:_LONGEST_TEXT] or None


def _pairs(value: object) -> list[tuple[str, str]]:
    """Return the (name, text) of an object's plain values."""
    if not isinstance(value, dict):
        return []
    return [(shown(name), shown(item)) for name, item in list(value.items())[:_MOST_ROWS] if not isinstance(item, dict)]


def _sections(document: dict[str, Any]) -> Iterator[Section]:
    top = {name: value for name, value in document.items() if name not in _PROVENANCE}
    plain = {name: value for name, value in top.items() if not isinstance(value, dict | list)}
    if rows := [[name, shown(value)] for name, value in plain.items() if value is not None]:
        yield _section("", [], rows)
    for name, value in top.items():
        if isinstance(value, dict) and "models" in value:
            yield from _by_model(name, value)
        elif isinstance(value, dict | list) and value:
            yield _table(name, value) or _list(name, value)


def _by_model(name: str, value: dict[str, Any]) -> Iterator[Section]:
    """Yield benchmark tables: {"models": [...], mode: {task: [a value for each model]}}."""
    models = [shown(model) for model in value["models"]] if isinstance(value["models"], list) else []
    for mode, tasks in value.items():
        if isinstance(tasks, dict) and all(isinstance(row, list) and len(row) == len(models) for row in tasks.values()):
            rows = [[task, *(shown(item) for item in row)] for task, row in list(tasks.items())[:_MOST_ROWS]]
            yield Section(f"{name}/{mode}", models[:_MOST_COLUMNS], [row[: _MOST_COLUMNS + 1] for row in rows])
        elif mode != "models" and isinstance(tasks, dict):
            yield _list(f"{name}/{mode}", tasks)


def _table(name: str, value: dict[str, Any] | list[Any]) -> Section | None:
    """Return objects that are alike as a table, a row for each; None when they are not."""
    rows = list(value.items()) if isinstance(value, dict) else [(str(n), row) for n, row in enumerate(value, 1)]
    if not all(isinstance(row, dict) for _, row in rows[:_MOST_ROWS]):
        return None
    flat = [(row_name, dict(_leaves(row, ""))) for row_name, row in rows[:_MOST_ROWS]]
    columns = list(dict.fromkeys(key for _, cells in flat for key in cells))
    if not 0 < len(columns) <= _MOST_COLUMNS:
        return None
    shown_rows = [[row_name, *(shown(cells.get(key)) for key in columns)] for row_name, cells in flat]
    return _section(name, [key.strip("/") for key in columns], shown_rows, len(rows))


def _list(name: str, value: dict[str, Any] | list[Any]) -> Section:
    if isinstance(value, list) and all(not isinstance(item, dict | list) for item in value):
        return Section(name, [], [[name, shown(value)]])
    rows: list[list[str]] = []
    count = 0
    for pointer, leaf in _leaves(value, ""):
        count += 1
        if len(rows) < _MOST_ROWS:
            rows.append([pointer.strip("/"), shown(leaf)])
        if count > _MOST_NUMBERS:
            break
    return _section(name, [], rows, count)


def _section(name: str, columns: list[str], rows: list[list[str]], total: int | None = None) -> Section:
    return Section(name, columns, rows[:_MOST_ROWS], max(0, (total or len(rows)) - _MOST_ROWS))


def _leaves(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """Yield (JSON pointer, value) of all that is no object; a list of plain values is one. What lies deep is left out.

    Pointers are not longer than a page could show.
    """
    if isinstance(value, dict) and pointer.count("/") < _DEEPEST and len(pointer) < _LONGEST_TEXT:
        for name, item in value.items():
            yield from _leaves(item, f"{pointer}/{name}")
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value) and pointer.count("/") < _DEEPEST:
        for number, item in enumerate(value):
            yield from _leaves(item, f"{pointer}/{number}")
    elif not isinstance(value, dict):
        yield pointer or "/", value
