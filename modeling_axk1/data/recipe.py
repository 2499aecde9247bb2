"""A dataset's recipe: recipe.toml says where the text comes from, what is done to it and how it is released."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling_axk1.data.document import Step
from modeling_axk1.data.keys import check_keys
from modeling_axk1.data.source import Source, read_source
from modeling_axk1.data.steps import STEPS
from modeling_axk1.data.steps.licence import licence
from modeling_axk1.errors import DataError

_CONFIG_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


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
    top = check_keys(table, _RECIPE, str(path))
    entries = enumerate(top.pop("sources", []), 1)
    sources = [read_source(entry, f"{path}: source {number}") for number, entry in entries]
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


def _check_step(step: Any, where: str) -> None:
    name = step.get("name") if isinstance(step, dict) else None
    if name not in STEPS:
        raise DataError(f"{where}: unknown step {name!r}; known are {', '.join(STEPS)}")
    check_keys(step, {"name": (str, True)} | {key: (kind, True) for key, kind in STEPS[name][1].items()}, where)
