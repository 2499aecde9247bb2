"""A dataset's recipe: recipe.toml says where the text comes from, what is done to it and how it is released."""

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling_axk1.data.document import Step
from modeling_axk1.data.keys import check_keys
from modeling_axk1.data.release import HeldBack, read_held_back
from modeling_axk1.data.source import Source, read_source
from modeling_axk1.data.steps import STEPS
from modeling_axk1.data.steps.licence import licence
from modeling_axk1.errors import DataError, did_you_mean

# Files and folders are named after it.
_SOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
# The step whose index of evaluation texts is made by the build.
DECONTAMINATE = "decontaminate"
_CONFIG_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class Recipe:
    """A whole recipe. `licenses` maps each allowed SPDX licence to the config that publishes its documents.

    `steps` are those that look at one document; `corpus_steps`, {name: parameters}, come after them and look at all.
    `motivation` says why the dataset was made, `maintainer` who answers for it: the card's first and last words.
    `evaluation` is the path, from the recipe's folder, of the recipe of texts that the step `decontaminate` keeps out.
    """

    folder: Path
    file: str
    name: str
    pretty_name: str
    description: str
    intended_use: str
    known_gaps: list[str]
    validation_share: float
    licenses: dict[str, str]
    motivation: str = ""
    maintainer: str = ""
    forbidden_licenses: dict[str, str] = field(default_factory=dict)
    evaluation: str | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    corpus_steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    held_back: list[HeldBack] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)

    @property
    def step_names(self) -> list[str]:
        """The names of all steps, in their order; the licence gate, which every build has, is not among them."""
        return [*(step["name"] for step in self.steps), *self.corpus_steps]

    @property
    def decontaminated(self) -> bool:
        """Whether a step keeps evaluation texts out."""
        return any(step["name"] == DECONTAMINATE for step in self.steps)

    def evaluation_recipe(self) -> Path:
        """Return the path of the recipe of evaluation texts. A dataset carries it in a folder of its own."""
        assert self.evaluation is not None
        beside = self.folder / self.evaluation
        return beside if beside.exists() else self.folder / Path(self.evaluation).name

    def make_steps(self, evaluation_index: Path | None = None) -> list[Step]:
        """Return fresh steps: the licence gate, then the recipe's own in their order.

        The gate comes first, or a text that may not be used would make its allowed copy a duplicate.
        `evaluation_index` is what the step `decontaminate` looks texts up in.
        """
        made = [licence(self.licenses, self.forbidden_licenses)]
        for parameters in self.steps:
            make, _ = STEPS[parameters["name"]]
            keys = {key: value for key, value in parameters.items() if key != "name"}
            if parameters["name"] == DECONTAMINATE:
                keys["index"] = str(evaluation_index)
            made.append(make(**keys))
        return made


def read_recipe(path: Path) -> Recipe:
    """Read recipe.toml, given itself or its folder.

    Raises DataError for a missing file, broken TOML, an unknown or missing key, or a value of the wrong type.
    """
    path = path / "recipe.toml" if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"no recipe at {path} (a folder of texts is built with --language and --license)")
    try:
        table = tomllib.loads(path.read_bytes().decode())
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path}: {error}") from None
    top = check_keys(table, _RECIPE, str(path))
    entries = enumerate(top.pop("sources", []), 1)
    sources = [read_source(entry, f"{path}: source {number}") for number, entry in entries]
    top["steps"], top["corpus_steps"] = _read_steps(top.get("steps", []), str(path))
    if ("evaluation" in top) != any(step["name"] == DECONTAMINATE for step in top["steps"]):
        raise DataError(f"{path}: the step {DECONTAMINATE} and the key evaluation go together")
    names = [source.name for source in sources]
    for name in names:
        if not _SOURCE_NAME.fullmatch(name):
            raise DataError(f"{path}: a source's name is letters, digits, '.', '_', '+' and '-', got {name!r}")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: two sources are called {repeated[0]!r}")
    rules = enumerate(top.get("held_back", []), 1)
    top["held_back"] = [read_held_back(entry, f"{path}: held_back {number}") for number, entry in rules]
    if not 0 < top["validation_share"] < 1:
        raise DataError(f"{path}: validation_share must be between 0 and 1, got {top['validation_share']}")
    for config in top["licenses"].values():
        if not isinstance(config, str) or not _CONFIG_NAME.fullmatch(config) or config == "default":
            raise DataError(f"{path}: a config name is lower-case letters, digits, '.' and '-', got {config!r}")
    return Recipe(folder=path.parent, file=path.name, sources=sources, **top)


def recipe_text(recipe: Recipe) -> str:
    """Return a recipe without sources as TOML: what was done to texts that came from no package."""
    lines = [
        f"{key} = {json.dumps(getattr(recipe, key), ensure_ascii=False)}"
        for key in ("name", "pretty_name", "description", "intended_use", "known_gaps", "validation_share")
    ]
    lines += ["sources = []", "", "[licenses]"]
    lines += [f"{json.dumps(license)} = {json.dumps(config)}" for license, config in recipe.licenses.items()]
    for step in [*recipe.steps, *({"name": name, **keys} for name, keys in recipe.corpus_steps.items())]:
        lines += ["", "[[steps]]", *(f"{key} = {json.dumps(value)}" for key, value in step.items())]
    return "\n".join(lines) + "\n"


# Keys, their types, and whether they must be there.
_RECIPE: dict[str, tuple[type, bool]] = {
    "name": (str, True),
    "pretty_name": (str, True),
    "description": (str, True),
    "intended_use": (str, True),
    "known_gaps": (list, True),
    "validation_share": (float, True),
    "motivation": (str, False),
    "maintainer": (str, False),
    "licenses": (dict, True),
    "forbidden_licenses": (dict, False),
    "evaluation": (str, False),
    "steps": (list, False),
    "held_back": (list, False),
    "sources": (list, True),
}

# Steps that look at all documents, and their parameters: they come last in a recipe, in this order.
_CORPUS_STEPS: dict[str, dict[str, type]] = {"duplicates": {}, "near_duplicates": {}}


def _read_steps(entries: list[Any], where: str) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    steps: list[dict[str, Any]] = []
    corpus_steps: dict[str, dict[str, Any]] = {}
    known = {name: parameters for name, (_, parameters) in STEPS.items()} | _CORPUS_STEPS
    known[DECONTAMINATE] = {}
    for number, entry in enumerate(entries, 1):
        here = f"{where}: step {number}"
        name = entry.get("name") if isinstance(entry, dict) else None
        if name not in known:
            raise DataError(f"{here}: unknown step {name!r}; known are {', '.join(known)}{did_you_mean(name, known)}")
        step = check_keys(entry, {"name": (str, True)} | {key: (kind, True) for key, kind in known[name].items()}, here)
        if name in STEPS and not corpus_steps:
            steps.append(step)
            continue
        corpus_steps[step.pop("name")] = step
        order = [one for one in _CORPUS_STEPS if one in corpus_steps]
        if name in STEPS or list(corpus_steps) != order:
            raise DataError(f"{here}: steps over all documents come last, in the order {', '.join(_CORPUS_STEPS)}")
    return steps, corpus_steps
