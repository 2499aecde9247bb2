"""What is to be built, and how."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from modeling_axk1.data.inputs import Input, Package, TextFolder, recipe_inputs
from modeling_axk1.data.recipe import Recipe, read_recipe
from modeling_axk1.data.sizes import Sizes
from modeling_axk1.errors import DataError


@dataclass(frozen=True)
class Plan:
    """What is to be built: the recipe, where its documents come from, and those that must not be in."""

    recipe: Recipe
    inputs: list[Input]
    evaluation: list[Input] = field(default_factory=list)


@dataclass(frozen=True)
class Settings:
    """How to build: nothing here but `whole` and `sizes` decides about what comes out.

    `work` is kept when it is given; by default it lies beside the dataset, and goes when the dataset is there.
    """

    work: Path | None = None
    workers: int = 1
    whole: bool = False
    keep_dropped: bool = False
    sizes: Sizes = field(default_factory=Sizes)


DEFAULTS = Settings()


def plan_recipe(recipe: Recipe, cache: Path | None = None) -> Plan:
    """Plan a dataset from a recipe; `cache` keeps packages that are downloaded."""
    evaluation = recipe_inputs(read_recipe(recipe.evaluation_recipe()), cache) if recipe.decontaminated else []
    return Plan(recipe, recipe_inputs(recipe, cache), evaluation)


def plan_folder(folder: Path, language: str, license: str) -> Plan:
    """Plan a dataset from a folder of .txt and .jsonl files, all in one language and under one SPDX licence."""
    if not re.fullmatch(r"[a-z]{2,3}|code", language):
        raise DataError(f"language must be an ISO 639 code such as 'ko', or 'code', got {language!r}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", license):
        raise DataError(f"licence must be an SPDX identifier such as 'Apache-2.0', got {license!r}")
    name = folder.resolve().name
    recipe = Recipe(
        folder=folder,
        file="",
        name=name,
        pretty_name=name,
        description=f"Text files of the folder {name}.",
        intended_use="As its maker decides; the licence below holds.",
        known_gaps=["Language and licence are as its maker stated them for all files alike."],
        validation_share=0.08,
        licenses={license: license.lower().replace("+", "-or-later")},
        steps=[{"name": "normalise"}, {"name": "length", "min_bytes": 1, "max_line_bytes": 100_000}],
        corpus_steps={"duplicates": {}},
    )
    return Plan(recipe, [TextFolder(folder, language, license)])


def processes_for(plan: Plan) -> int:
    """Return how many processes are worth starting: as many as there are cores, one where there is little text."""
    little = all(not isinstance(source, Package) and source.size() < Sizes().file for source in plan.inputs)
    return 1 if little else os.cpu_count() or 1
