"""What was read from the web, kept in sparse files: a range is there wholly or not at all, for any number of threads.

FOLDER/*.safetensors   true headers and sizes; the rest are holes, which are filled
FOLDER/.held           the journal of what was filled
FOLDER/.lock           held by every process that reads here: together, or, to give space back, alone
"""

import os
import threading
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modeling_axk1.errors import UsageError
from modeling_axk1.stream.held import Held, Range
from modeling_axk1.stream.holes import can_punch, punch
from modeling_axk1.stream.journal import Entry, Journal

JOURNAL, LOCK = ".held", ".lock"


class Kept:
    """The ranges that are kept in a folder's sparse files, at most `size` bytes of them where that is given.

    `alone` keeps other processes out, which `size` does anyway: what they have mapped must not be given back.
    Raises UsageError where that cannot be.
    """

    def __init__(self, folder: Path, size: int | None = None, alone: bool = False) -> None:
        """Take up what was kept there before."""
        self._lock = _locked(folder / LOCK, alone or size is not None)
        if size is not None and not can_punch(folder):
            raise UsageError(
                f"cache_size needs a file system that can punch holes into files, which {folder} is not on"
            )
        self.folder, self.size, self.nbytes = folder, size, 0
        self._journal = Journal(folder / JOURNAL)
        self._held: defaultdict[str, Held] = defaultdict(Held)
        self._order: OrderedDict[tuple[str, Range], None] = OrderedDict()  # what may go, the longest unused first
        self._claims: list[tuple[str, int, int]] = []
        self._changed = threading.Condition()
        self.stopped: str | None = None  # why nothing more is kept
        entries = list(self._journal.entries())
        for entry in entries:
            (self._add if entry.held else self._remove)(entry.file, entry.start, entry.end)
        if size is not None:
            self._make_room(0)
            if self._order and len(entries) > 4 * len(self._order):
                self._journal.rewrite(Entry(True, file, *held) for file, held in self._order)

    @contextmanager
    def claim(self, file: str, start: int, end: int) -> Iterator[bool]:
        """Give whether [start, end) is all there; while the block runs nobody else fills or removes any of it."""
        with self._changed:
            while self._is_claimed(file, start, end):
                self._changed.wait()
            self._claims.append((file, start, end))
            for held in self._held[file].overlapping(start, end):
                if (file, held) in self._order:
                    self._order.move_to_end((file, held))
            is_there = not self._held[file].missing(start, end)
        try:
            yield is_there
        finally:
            with self._changed:
                self._claims.remove((file, start, end))
                self._changed.notify_all()

    def keep(self, file: str, start: int, data: memoryview) -> bool:
        """Write bytes that are claimed into their file, and return whether they are kept now.

        Where they cannot be, for the disk is full, nothing is kept from then on, and a warning says so once.
        """
        end = start + len(data)
        try:
            with self._changed:
                if self.stopped or not self._make_room(len(data)):
                    return False
                self.nbytes += len(data)  # so that others do not take the same room
            try:
                with self._open(file) as descriptor:
                    while data:
                        data = data[os.pwrite(descriptor, data, end - len(data)) :]
                    os.fsync(descriptor)
                self._journal.note(Entry(True, file, start, end))
            finally:
                with self._changed:
                    self.nbytes -= end - start
            with self._changed:
                self._add(file, start, end)
            return True
        except OSError as error:
            self._stop(error)
            return False

    def stay(self, file: str, start: int, end: int) -> None:
        """Never remove what is kept of [start, end): somebody has it mapped."""
        with self._changed:
            for held in self._held[file].overlapping(start, end):
                self._order.pop((file, held), None)

    def forget(self, file: str, start: int, end: int) -> None:
        """Let go of a range that is claimed: it is not what it should be."""
        with self._changed:
            self._journal.note(Entry(False, file, start, end))
            self._remove(file, start, end)

    def holds(self, file: str, start: int, end: int) -> bool:
        """Whether all of [start, end) is kept."""
        with self._changed:
            return not self._held[file].missing(start, end)

    def _add(self, file: str, start: int, end: int) -> None:
        for added in self._held[file].add(start, end):
            self._order[file, added] = None
            self.nbytes += added[1] - added[0]

    def _remove(self, file: str, start: int, end: int) -> None:
        for gone in self._held[file].remove(start, end):
            self._order.pop((file, gone), None)
            self.nbytes -= gone[1] - gone[0]
            for rest in ((gone[0], start), (end, gone[1])):
                if rest[0] < rest[1]:
                    self._order[file, rest] = None
                    self.nbytes += rest[1] - rest[0]

    def _make_room(self, nbytes: int) -> bool:
        """Remove the longest unused until `nbytes` more fit; called with the lock held."""
        while self.size is not None and self.nbytes + nbytes > self.size:
            may_go = (key for key in self._order if not self._is_claimed(key[0], *key[1]))
            if (oldest := next(may_go, None)) is None:
                return False
            file, (start, end) = oldest
            self._journal.note(Entry(False, file, start, end))
            self._remove(file, start, end)
            with self._open(file) as descriptor:
                punch(descriptor, start, end - start)
        return True

    def _is_claimed(self, file: str, start: int, end: int) -> bool:
        return any(other == file and first < end and start < last for other, first, last in self._claims)

    @contextmanager
    def _open(self, file: str) -> Iterator[int]:
        descriptor = os.open(self.folder / file, os.O_RDWR)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _stop(self, error: OSError) -> None:
        with self._changed:
            if self.stopped is None:
                self.stopped = error.strerror or str(error)
                warnings.warn(
                    f"nothing more is kept in {self.folder}: {self.stopped}; what is missing is fetched each time",
                    stacklevel=2,
                )

    def __del__(self) -> None:
        """Let other processes in."""
        if hasattr(self, "_journal"):
            self._journal.close()
        if getattr(self, "_lock", None) is not None:
            os.close(self._lock)


def _locked(path: Path, alone: bool) -> int:
    """Return a descriptor that holds the lock until it is closed; where there are no locks, nobody is kept out."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        import fcntl

        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except ImportError:
        pass
    except OSError:
        os.close(descriptor)
        why = "cache_size and check_digests need it alone" if alone else "it needs the folder alone"
        raise UsageError(f"another process reads through {path.parent}, and {why}; give another cache_dir") from None
    return descriptor
