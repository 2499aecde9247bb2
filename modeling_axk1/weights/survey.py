"""Find out the facts of many files at once: all cores, bounded memory, and not twice what an earlier run found out."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.progress import progress_bar
from modeling_axk1.weights.checkpoint import reason
from modeling_axk1.weights.facts import CHUNK_BYTES, Facts, Wanted, identity, read_facts
from modeling_axk1.weights.header import Header
from modeling_axk1.weights.state import State
from modeling_axk1.weights.store import Folder

DEFAULT_MEMORY = 1 << 30
MIN_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Reading:
    """How to read: on how many `workers` (None: all cores), in how many bytes of `memory`, and where to remember.

    `state` is the file that lets a run go on where an earlier one stopped (None: nothing is remembered); `fresh`
    forgets what that one found out.
    """

    workers: int | None = None
    memory: int = DEFAULT_MEMORY
    state: Path | None = None
    fresh: bool = False

    def threads(self) -> int:
        """Return how many threads read; raises UsageError for less than one."""
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers must be at least 1, got {self.workers}")
        return self.workers or _cores()

    def chunk_bytes(self) -> int:
        """Return how much a thread may hold at a time, in two buffers; raises UsageError when that is too little."""
        least = 2 * self.threads() * MIN_CHUNK_BYTES
        if self.memory < least:
            raise UsageError(f"{self.threads()} workers need at least {least:,} bytes of memory, got {self.memory:,}")
        return min(CHUNK_BYTES, self.memory // (2 * self.threads()))


@dataclass
class Survey:
    """The facts by file, and why those of other files could not be had."""

    state: State
    facts: dict[str, Facts] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # bytes of each file
    remembered: list[str] = field(default_factory=list)  # files not read now, as an earlier run had

    def close(self, *, done: bool) -> None:
        """Forget all when the run is `done`; otherwise keep it for the next one, which may go on after a repair."""
        self.state.close(done=done)

    def digests(self) -> dict[str, str]:
        """Return the digests by file, where they were wanted and had."""
        return {name: facts.sha256 for name, facts in self.facts.items() if facts.sha256}

    def notes(self) -> list[str]:
        """Return what a person should know about how this was found out."""
        notes = []
        if self.remembered:
            nbytes = sum(self.sizes[name] for name in self.remembered)
            notes.append(
                f"{len(self.remembered):,} files of {nbytes:,} bytes were read by an earlier run and "
                "are unchanged since: not read again (--fresh reads all)"
            )
        if self.state.unsaved:
            notes.append(f"had this run been stopped, it could not go on: {self.state.unsaved}")
        return notes


def survey(folder: Folder, files: Mapping[str, Header | None], wanted: Wanted, reading: Reading, doing: str) -> Survey:
    """Read every one of `files`, given with its header where it has one; `doing` is the word beside the bar.

    Files are divided over the workers, the largest first; while fewer files are left than there are workers, a second
    one computes a file's digest beside the first. A file that cannot be read is a problem of its own; Ctrl-C stops all.
    """
    workers, chunk_bytes = reading.threads(), reading.chunk_bytes()
    found = Survey(State(reading.state, folder.folder, fresh=reading.fresh))
    unread = _look(folder, files, wanted, found)
    finished: list[str] = []
    stopped = threading.Event()

    with (
        progress_bar(doing, total=sum(found.sizes[name] for name in unread), in_bytes=True) as advance,
        ThreadPoolExecutor(workers) as pool,
        ThreadPoolExecutor(workers) as helpers,
    ):

        def read(name: str) -> tuple[list[int], Facts]:
            def done(amount: int) -> None:
                if stopped.is_set():
                    raise WeightsError("stopped")
                advance(amount, note=name)

            def idle() -> ThreadPoolExecutor | None:
                return helpers if len(unread) - len(finished) < workers else None

            try:
                path = _regular(folder, name)
                then = identity(path.stat())
                return then, read_facts(path, files[name], wanted, chunk_bytes=chunk_bytes, advance=done, helper=idle)
            finally:
                finished.append(name)

        futures = {pool.submit(read, name): name for name in sorted(unread, key=lambda name: -found.sizes[name])}
        try:
            for future in as_completed(futures):
                name = futures[future]
                try:
                    then, found.facts[name] = future.result()
                except (WeightsError, OSError) as error:
                    found.problems[name] = reason(error, name)
                else:
                    found.state.add(name, then, found.facts[name])
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            found.close(done=False)
            raise
    return found


def is_there(folder: Folder, name: str) -> bool:
    """Whether there is something called `name`, be it of a kind that `survey` refuses to read."""
    try:
        return folder.exists(name)
    except (WeightsError, OSError):
        return True


def _look(folder: Folder, files: Mapping[str, Header | None], wanted: Wanted, found: Survey) -> list[str]:
    """Take over what an earlier run found out; return the other files."""
    unread = []
    for name in files:
        try:
            status = _regular(folder, name).stat()
        except (WeightsError, OSError) as error:
            found.problems[name] = reason(error, name)
            continue
        found.sizes[name] = status.st_size
        if facts := found.state.facts(name, identity(status), wanted):
            found.facts[name] = facts
            found.remembered.append(name)
        else:
            unread.append(name)
    return unread


def _regular(folder: Folder, name: str) -> Path:
    path = folder.path(name)
    if path.exists() and not path.is_file():  # a pipe or a device would not end
        raise WeightsError(f"{name} must be a regular file")
    return path


def _cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
