"""The first stages of a build: sources are read, and their documents sent through the steps, by all processes."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from modeling_axk1.data.inputs import Input, Package
from modeling_axk1.data.parts import MakeParts
from modeling_axk1.data.raw import raw_file, read_raw, write_raw
from modeling_axk1.data.work import Work, read_to_its_end
from modeling_axk1.data.workers import Workers
from modeling_axk1.progress import progress_bar


@dataclass(frozen=True)
class Read:
    """A task: read a source into a folder."""

    source: Input
    folder: Path


@dataclass(frozen=True)
class Step:
    """A task: send a file of documents through the steps."""

    raw: Path
    part: Path


@dataclass
class Prepare:
    """Carries out tasks of both kinds; yields the numbers of the files that it read, or the bytes that steps saw."""

    parts: MakeParts
    file_bytes: int

    def __call__(self, task: Read | Step) -> Iterator[int]:
        """Carry out one task."""
        if isinstance(task, Read):
            yield from write_raw(task.source, task.folder, self.file_bytes)
        else:
            yield self.parts.make(task.raw, task.part)


def fetch(sources: Iterable[Input]) -> None:
    """Bring packages into the cache, one after the other: their servers and clients like it so."""
    packages = [source for source in sources if isinstance(source, Package)]
    with progress_bar("fetching packages", total=len(packages)) as advance:
        for package in packages:
            package.fetch()
            advance(1, note=package.name)


def prepare(work: Work, workers: Workers) -> None:
    """Read all sources and run the steps; a file is sent through the steps as soon as it is there."""
    plan = work.plan
    fetch([*plan.evaluation, *plan.inputs])
    carry_out = Prepare(MakeParts(plan.recipe, work.index), work.settings.sizes.file)
    if work.index and not work.index.exists():
        tasks: deque[Read | Step] = deque(Read(one, work.evaluation_raws[one.name]) for one in plan.evaluation)
        with progress_bar("reading evaluation texts", total=None) as advance:
            for _ in workers.run(carry_out, tasks):
                advance(1)
        index_evaluation(work)
    # The largest first, or the last to be begun would be waited for.
    largest = sorted(plan.inputs, key=lambda source: source.size(), reverse=True)
    tasks = deque(Read(source, work.raws[source.name]) for source in largest)
    with progress_bar("reading and running the steps", total=None, in_bytes=True) as advance:
        for task, result in workers.run(carry_out, tasks):
            if isinstance(task, Read):
                tasks.append(step(work, task.source.name, result))
            else:
                advance(result, note=task.part.parent.name.rpartition("-")[0])


def step(work: Work, source: str, number: int) -> Step:
    """Return the task for one of a source's files."""
    return Step(raw_file(work.raws[source], number), work.steps[source] / f"{number:05}")


def index_evaluation(work: Work) -> None:
    """Make the index of evaluation texts, which were read to their end."""
    if not work.index or work.index.exists():
        return
    from modeling_axk1.data.decontaminate import build_index

    raws = work.evaluation_raws.values()
    files = (raw_file(folder, number) for folder in raws for number in range(read_to_its_end(folder).files))
    build_index(chain.from_iterable(map(read_raw, files)), work.index)
