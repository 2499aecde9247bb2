"""Build a dataset from a recipe, in stages whose results stay in a work folder until the dataset is whole.

    read the sources           WORK/raw       one process a source; its documents in files of about 16 MB
    run the steps              WORK/steps     any process, file by file, while other sources are still read
    decide about every text    WORK/choice    duplicates over all sources, what is held back, the splits
    write the shards           WORK/shards    any process, shard by shard
    count, write the card      OUT            the folder appears by one rename

What is finished appears by a rename, under a name that is a hash of all it depends on. So a build that was killed
goes on where it was, one whose recipe changed does again what the change is about, and the number of processes
decides about nothing but the time. Memory is bounded: a process holds one file of one source, a row group, or rows of
numbers; only a line about each of the files grows with the corpus.
"""

import json
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from modeling_axk1.checksums import write_sums
from modeling_axk1.data.about import about
from modeling_axk1.data.choice import Choice, choose
from modeling_axk1.data.inputs import JsonLines, Package
from modeling_axk1.data.measure import CORPUS_REASONS, measure
from modeling_axk1.data.parts import Part, dropped_of
from modeling_axk1.data.plan import DEFAULTS, Plan, Settings, plan_folder, plan_recipe
from modeling_axk1.data.prepare import prepare
from modeling_axk1.data.recipe import Recipe, read_recipe, recipe_text
from modeling_axk1.data.shards import Counted, WriteShards, plan_shards, read_counted
from modeling_axk1.data.stats import Stats
from modeling_axk1.data.work import Work
from modeling_axk1.data.workers import Workers
from modeling_axk1.errors import DataError
from modeling_axk1.files import atomic_folder, atomic_write, exclusive
from modeling_axk1.progress import progress_bar

__all__ = ["BuildReport", "Plan", "Settings", "build", "dry_run", "plan_folder", "plan_recipe", "work_folder", "write"]


@dataclass(frozen=True)
class BuildReport:
    """What a build wrote: the dataset folder, the measured numbers, and where dropped documents lie, if asked for."""

    out: Path
    stats: Stats
    dropped_file: Path | None


def build(recipe: Path, out: Path, settings: Settings = DEFAULTS, cache: Path | None = None) -> BuildReport:
    """Build the dataset of a recipe (recipe.toml or its folder) at `out`, replacing what is there.

    Raises DataError for a recipe or a document that is not what it must be; then `out` is left as it was.
    """
    return write(plan_recipe(read_recipe(recipe), cache), out, settings)


def work_folder(out: Path) -> Path:
    """Return where a build towards `out` does its work, unless it is told another place."""
    return out.with_name(f".{out.name}.work")


def write(plan: Plan, out: Path, settings: Settings = DEFAULTS) -> BuildReport:
    """Build the dataset folder `out`, and `<out>.dropped.jsonl` beside it if dropped documents are to be kept.

    An error leaves `out` as it was, and in the work folder what is finished: the next run goes on from there.
    """
    work = Work(settings.work or work_folder(out), plan, settings)
    with _working_in(work.folder, keep=settings.work is not None):
        built = _run(work)
        dropped_file = out.with_name(f"{out.name}.dropped.jsonl") if settings.keep_dropped else None
        if dropped_file:
            _write_dropped(built, dropped_file)
        with atomic_folder(out) as folder:
            for name in built.counted:
                _link(work.shards / name, folder / name)
            _write_about(plan, built, folder)
    return BuildReport(out, built.stats, dropped_file)


def dry_run(plan: Plan, settings: Settings = DEFAULTS) -> Stats:
    """Do all the work in a temporary folder (or in `settings.work`) and return what was measured."""
    with tempfile.TemporaryDirectory(prefix="axk1-") as temporary:
        work = Work(settings.work or Path(temporary), plan, settings)
        with _working_in(work.folder, keep=True):
            return _run(work).stats


@dataclass(frozen=True)
class _Built:
    parts: list[Part]
    choice: Choice
    counted: dict[str, Counted]
    stats: Stats


@contextmanager
def _working_in(work: Path, keep: bool) -> Iterator[None]:
    """Hold the work folder for this process alone; it goes when the block succeeds, or when nothing is finished."""
    work.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(work / "lock"):
            yield
            if not keep:
                shutil.rmtree(work)
    except BaseException:
        if not keep and not any(work.glob("raw/*/*.parquet")):
            shutil.rmtree(work, ignore_errors=True)
        raise


def _run(work: Work) -> _Built:
    recipe, whole = work.plan.recipe, work.settings.whole
    work.forget_others()
    with Workers(work.settings.workers) as workers:
        prepare(work, workers)
        by_source = work.parts()
        parts = [part for of_source in by_source.values() for part in of_source]
        choice = choose(recipe, parts, work.choice, whole=whole)
        shards = plan_shards(parts, choice, recipe.licenses, work.settings.sizes.shard)
        if not shards:
            raise DataError(f"no document of {recipe.name} is left: {_reasons(recipe, parts)}")
        with progress_bar("writing", total=len(shards)) as advance:
            write_shards = WriteShards(work.shards, parts, choice, work.settings.sizes.row_group)
            for shard, _ in workers.run(write_shards, deque(shards)):
                advance(1, note=shard.name)
    counted = {shard.name: read_counted(work.shards / shard.name) for shard in shards}
    sampled = any(isinstance(source, JsonLines) for source in work.plan.inputs)
    stats = measure(recipe, work.read(), by_source, choice, counted, whole=whole, sampled=sampled)
    return _Built(parts, choice, counted, stats)


def _reasons(recipe: Recipe, parts: list[Part]) -> str:
    reasons = {reason for part in parts for step in part.dropped.values() for reason in step}
    if any(part.rows for part in parts):
        reasons |= {rule.reason for rule in recipe.held_back}
    return ", ".join(sorted(reasons)) or "there were none"


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _write_about(plan: Plan, built: _Built, folder: Path) -> None:
    recipe = plan.recipe
    # With recipe and licence texts the dataset can be made again from itself.
    if recipe.sources:
        shutil.copyfile(recipe.folder / recipe.file, folder / "recipe.toml")
        _write_licences(plan, folder / "LICENSES")
        if recipe.decontaminated:
            evaluation = read_recipe(recipe.evaluation_recipe())
            (folder / "evaluation").mkdir()
            shutil.copyfile(evaluation.folder / evaluation.file, folder / "evaluation" / "recipe.toml")
    else:
        (folder / "recipe.toml").write_text(recipe_text(recipe), encoding="utf-8")
    files = {name: (counted.size, counted.sha256) for name, counted in built.counted.items()}
    for name, text in about(recipe, built.stats, files).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    write_sums(folder)


def _write_licences(plan: Plan, folder: Path) -> None:
    beside = plan.recipe.folder / "LICENSES"
    if beside.is_dir():
        shutil.copytree(beside, folder)
    folder.mkdir(exist_ok=True)
    for source in plan.inputs:
        path = folder / f"{source.name}.copyright"
        if isinstance(source, Package) and not path.exists():
            path.write_bytes(source.copyright())


def _write_dropped(built: _Built, path: Path) -> None:
    with atomic_write(path) as file:
        for number, part in enumerate(built.parts):
            for dropped in dropped_of(part, built.choice.of(number), CORPUS_REASONS):
                file.write(json.dumps(asdict(dropped), ensure_ascii=False).encode() + b"\n")
