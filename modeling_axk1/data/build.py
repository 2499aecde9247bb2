"""Build a dataset folder from a recipe: read, run the steps, split, write. The whole folder appears by one rename."""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from modeling_axk1.checksums import write_sums
from modeling_axk1.data.card import licence_notice, render_card
from modeling_axk1.data.dataset import SPLITS, parquet_name, write_parquet
from modeling_axk1.data.document import Document, Dropped, run_steps
from modeling_axk1.data.read import read_jsonl, read_text_folder
from modeling_axk1.data.recipe import Recipe, read_recipe
from modeling_axk1.data.stats import Stats, measure
from modeling_axk1.errors import DataError
from modeling_axk1.files import atomic_folder, atomic_write
from modeling_axk1.progress import progress_bar


@dataclass(frozen=True)
class Plan:
    """Everything that a build will write, before anything is written."""

    recipe: Recipe
    files: dict[str, list[Document]]
    dropped: list[Dropped]
    stats: Stats


@dataclass(frozen=True)
class BuildReport:
    """What a build wrote: the dataset folder, the file of dropped documents beside it, and the measured numbers."""

    out: Path
    dropped_file: Path
    stats: Stats


def build(recipe: Path, out: Path) -> BuildReport:
    """Build the dataset of a recipe (recipe.toml or its folder) at `out`, replacing what is there.

    Raises DataError for a recipe or a document that is not what it must be; then `out` is left as it was.
    """
    return write(plan_recipe(read_recipe(recipe)), out)


def plan_recipe(recipe: Recipe) -> Plan:
    """Read the recipe's documents and run its steps; writes nothing."""
    files = [recipe.folder / source.documents for source in recipe.sources]
    return _plan(recipe, (document for file in files for document in read_jsonl(file)))


def plan_folder(folder: Path, language: str, license: str) -> Plan:
    """Plan a dataset from a folder of .txt files, all in one language and under one SPDX licence."""
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
        steps=[
            {"name": "normalise"},
            {"name": "length", "min_bytes": 1, "max_line_bytes": 100_000},
            {"name": "duplicates"},
        ],
    )
    return _plan(recipe, read_text_folder(folder, language, license))


def write(plan: Plan, out: Path) -> BuildReport:
    """Write a plan's dataset folder and, beside it, `<out>.dropped.jsonl`: dropped texts are never published."""
    dropped_file = out.with_name(f"{out.name}.dropped.jsonl")
    with atomic_folder(out) as folder:
        for name, documents in plan.files.items():
            write_parquet(folder / name, documents)
        if plan.recipe.sources:
            # With these two the dataset can be made again from itself.
            shutil.copyfile(plan.recipe.folder / plan.recipe.file, folder / "recipe.toml")
            shutil.copytree(plan.recipe.folder / "LICENSES", folder / "LICENSES")
        (folder / "LICENSE").write_text(licence_notice(plan.recipe), encoding="utf-8")
        (folder / "stats.json").write_text(
            json.dumps(asdict(plan.stats), ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
        (folder / "README.md").write_text(render_card(plan.recipe, plan.stats), encoding="utf-8")
        write_sums(folder)
        with atomic_write(dropped_file) as file:
            for dropped in plan.dropped:
                file.write(json.dumps(asdict(dropped), ensure_ascii=False).encode() + b"\n")
    return BuildReport(out, dropped_file, plan.stats)


def _plan(recipe: Recipe, documents: Iterable[Document]) -> Plan:
    steps = recipe.make_steps()
    kept: list[Document] = []
    dropped: list[Dropped] = []
    with progress_bar("reading", total=None) as advance:
        for document in documents:
            outcome = run_steps(steps, document)
            if isinstance(outcome, Dropped):
                dropped.append(outcome)
            else:
                kept.append(outcome)
            advance()
    if not kept:
        reasons = ", ".join(sorted({one.reason for one in dropped})) or "there were none"
        raise DataError(f"no document of {recipe.name} is left: {reasons}")
    splits = split(kept, recipe.validation_share)
    files = {}
    for config in sorted(set(recipe.licenses.values())):
        for part in SPLITS:
            chosen = [one for one in splits[part] if recipe.licenses[one.license] == config]
            if chosen:
                files[parquet_name(config, part)] = chosen
    return Plan(recipe, files, dropped, measure(recipe, splits, dropped))


def split(documents: Iterable[Document], validation_share: float) -> dict[str, list[Document]]:
    """Divide documents into train and validation by the hash of their texts, keeping their order.

    Each licence and language is divided for itself: a group of two or more always has a validation document, if need
    be the one whose hash is lowest, so that every language can be measured.
    """
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    documents = list(documents)
    for document in documents:
        groups[document.license, document.language].append(document.sha256)
    validation = set()
    for digests in groups.values():
        below = [digest for digest in digests if int(digest[:8], 16) / 2**32 < validation_share]
        if len(digests) > 1:
            # Never all of them: something must be left to train on.
            validation.update(sorted(below or [min(digests)])[: len(digests) - 1])
    return {
        "train": [one for one in documents if one.sha256 not in validation],
        "validation": [one for one in documents if one.sha256 in validation],
    }
