"""A dataset's recipe: recipe.toml says where the text comes from, what is done to it and how it is released."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling_axk1.data.document import Step
from modeling_axk1.data.steps import STEPS, licence
from modeling_axk1.errors import DataError

_CONFIG_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class Selection:
    """Which files of a package are taken for one language, and how many bytes of text at most."""

    files: str
    max_bytes: int


@dataclass(frozen=True)
class Source:
    """One package: where its documents lie beside the recipe, and how they were extracted from it."""

    name: str
    version: str
    license: str
    attribution: str
    client: str
    package: str
    sha256: str
    format: str
    copyright: str
    languages: dict[str, Selection]
    min_bytes: int
    max_bytes: int
    reject_files: str = "(?!)"
    reject_text: str = "(?!)"

    @property
    def documents(self) -> str:
        """Name of the JSON Lines file beside the recipe that holds this source's documents."""
        return f"{self.name}.jsonl"


@dataclass(frozen=True)
class Recipe:
    """A whole recipe. `licenses` maps each allowed SPDX licence to the config that publishes its documents."""

    folder: Path
    file: str
    name: str
    pretty_name: str
    description: str
    intended_use: str
    known_gaps: list[str]
    validation_share: float
    licenses: dict[str, str]
    forbidden_licenses: dict[str, str] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)

    def make_steps(self) -> list[Step]:
        """Return fresh steps: the licence gate, then the recipe's own in their order.

        The gate comes first, or a text that may not be used would make its allowed copy a duplicate.
        """
        made = [licence(self.licenses, self.forbidden_licenses)]
        for parameters in self.steps:
            make, _ = STEPS[parameters["name"]]
            made.append(make(**{key: value for key, value in parameters.items() if key != "name"}))
        return made


def read_recipe(path: Path) -> Recipe:
    """Read recipe.toml, given itself or its folder.

    Raises DataError for a missing file, broken TOML, an unknown or missing key, or a value of the wrong type.
    """
    path = path / "recipe.toml" if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"no recipe at {path} (a folder of .txt files is built with --language and --license)")
    try:
        table = tomllib.loads(path.read_bytes().decode())
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path}: {error}") from None
    top = _checked(table, _RECIPE, str(path))
    sources = []
    for number, entry in enumerate(top.pop("sources", []), 1):
        where = f"{path}: source {number}"
        keys = _checked(entry, _SOURCE, where)
        languages = {
            language: Selection(**_checked(selection, _SELECTION, f"{where}, language {language}"))
            for language, selection in keys.pop("languages").items()
        }
        sources.append(Source(languages=languages, **keys))
    for number, step in enumerate(top.get("steps", []), 1):
        _check_step(step, f"{path}: step {number}")
    if not 0 < top["validation_share"] < 1:
        raise DataError(f"{path}: validation_share must be between 0 and 1, got {top['validation_share']}")
    for config in top["licenses"].values():
        if not isinstance(config, str) or not _CONFIG_NAME.fullmatch(config) or config == "default":
            raise DataError(f"{path}: a config name is lower-case letters, digits, '.' and '-', got {config!r}")
    return Recipe(folder=path.parent, file=path.name, sources=sources, **top)


# Keys, their types, and whether they must be there.
_RECIPE: dict[str, tuple[type, bool]] = {
    "name": (str, True),
    "pretty_name": (str, True),
    "description": (str, True),
    "intended_use": (str, True),
    "known_gaps": (list, True),
    "validation_share": (float, True),
    "licenses": (dict, True),
    "forbidden_licenses": (dict, False),
    "steps": (list, False),
    "sources": (list, True),
}
_SOURCE: dict[str, tuple[type, bool]] = {
    "name": (str, True),
    "version": (str, True),
    "license": (str, True),
    "attribution": (str, True),
    "client": (str, True),
    "package": (str, True),
    "sha256": (str, True),
    "format": (str, True),
    "copyright": (str, True),
    "languages": (dict, True),
    "min_bytes": (int, True),
    "max_bytes": (int, True),
    "reject_files": (str, False),
    "reject_text": (str, False),
}
_SELECTION: dict[str, tuple[type, bool]] = {"files": (str, True), "max_bytes": (int, True)}


def _checked(table: Any, keys: dict[str, tuple[type, bool]], where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise DataError(f"{where}: must be a table, got {table!r}")
    for key, value in table.items():
        if key not in keys:
            raise DataError(f"{where}: unknown key {key!r}; known are {', '.join(keys)}")
        kind = keys[key][0]
        if type(value) is not kind:
            raise DataError(f"{where}: {key} must be of type {kind.__name__}, got {value!r}")
    missing = [key for key, (_, needed) in keys.items() if needed and key not in table]
    if missing:
        raise DataError(f"{where}: missing key {missing[0]!r}")
    return dict(table)


def _check_step(step: Any, where: str) -> None:
    name = step.get("name") if isinstance(step, dict) else None
    if name not in STEPS:
        raise DataError(f"{where}: unknown step {name!r}; known are {', '.join(STEPS)}")
    _checked(step, {"name": (str, True)} | {key: (kind, True) for key, kind in STEPS[name][1].items()}, where)
