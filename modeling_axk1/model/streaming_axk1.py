# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""Weights read from the shards when they are needed, into memory of a fixed size: no second copy, no conversion.

A token visits 8 of 192 experts a layer, so most of a terabyte waits on the disk while a few gigabytes compute. What is
read together is a *piece*: one routed expert, the rest of a layer, a block of rows of the output head. A piece lies in
a *slot*, and slots are used again and again:

    StreamedPieces.want(keys)      read these now, before anything that is merely expected
    StreamedPieces.expect(keys)    read these when nothing is wanted, where a slot can be spared
    StreamedPieces.take(key)       wait until it is there; it stays in its slot until `give(key)`

Bytes come from the shards as they were published, several reads at a time. A read that fails, comes short, or finds
that the file has changed raises for whoever takes the piece; nothing that was read in part is ever taken.

This file travels to the hub beside modeling_axk1.py and imports nothing of this package.
"""

import atexit
import errno
import json
import mmap
import os
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

Key = TypeVar("Key")
Item = TypeVar("Item")

# Direct reads begin, end and land on multiples of this; every disk's sectors and every memory page divide it.
ALIGNMENT = 4096
# One read. Large enough for a disk to run at its full speed, small enough to have several of one expert in flight.
_CHUNK = 8 * 2**20
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "I8": torch.int8,
}


class Extent(NamedTuple):
    """Where a tensor's bytes lie: it is a stored tensor, or whole rows of one."""

    file: str
    start: int
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor."""
        return self.dtype.itemsize * torch.Size(self.shape).numel()

    def part(self, index: int) -> "Extent":
        """Return entry `index` of the first dimension."""
        one = Extent(self.file, self.start, self.dtype, self.shape[1:])
        return one._replace(start=self.start + index * one.nbytes)

    def rows(self, start: int, stop: int) -> "Extent":
        """Return entries [start, stop) of the first dimension."""
        stop = min(stop, self.shape[0])
        return self.part(start)._replace(shape=(stop - start, *self.shape[1:]))


Piece = Mapping[str, Extent]


class Reader(Protocol):
    """Where bytes come from. Called by several threads."""

    def read(self, file: str, start: int, nbytes: int, buffer: memoryview) -> None:
        """Read `nbytes` of `file` from `start` on into `buffer`, so that they begin at its byte `start % ALIGNMENT`.

        `buffer` begins at a multiple of ALIGNMENT and ends at one, and all of it may be written. Raises OSError or
        ValueError if not all bytes come.
        """

    def bring(self, file: str, start: int, nbytes: int) -> None:
        """See to it that these bytes lie in the file, where others read them and may map them into memory.

        Raises as `read` does, also if the file changed after it was first read.
        """


class ShardReader:
    """Reads shards on this machine's disks, past the page cache where the file system allows that.

    What is read goes into a slot and is kept there; in the page cache it would take the same memory a second time.
    `direct=False` reads through the page cache. A shard that changes after it was first opened is an error: its header
    was read before, and tensors may lie elsewhere now. One that is replaced (by a rename) is not: the old one is read
    on.
    """

    def __init__(self, direct: bool = True) -> None:
        self.direct = direct and hasattr(os, "O_DIRECT")
        self._opened: dict[str, tuple[int, int | None, tuple[int, int]]] = {}
        self._lock = threading.Lock()

    def read(self, file: str, start: int, nbytes: int, buffer: memoryview) -> None:
        """Read as `Reader.read` says."""
        buffered, direct, seen = self._descriptors(file)
        lead, done = start % ALIGNMENT, 0
        if direct is not None:
            done = max(0, self._read(file, direct, start - lead, buffer) - lead)
        while done < nbytes:  # also the rest of a direct read that came short, as its end need not be a multiple
            count = self._read(file, buffered, start + done, buffer[lead + done : lead + nbytes])
            if not count:
                raise ValueError(f"{Path(file).name} ends at byte {start + done:,}, before the tensors it promised")
            done += count
        self._check(file, self.status(file), seen)  # after reading: a change meanwhile is a change too

    def bring(self, file: str, start: int, nbytes: int) -> None:
        """Do as `Reader.bring` says: all bytes lie in the file, if it is still what it was."""
        self._check(file, self.status(file), self._descriptors(file)[2])

    def status(self, file: str) -> os.stat_result:
        """Return what the system says of the file that is read as `file`, whatever has that name now."""
        return os.fstat(self._descriptors(file)[0])

    def _check(self, file: str, status: os.stat_result, seen: tuple[int, int]) -> None:
        if (status.st_size, status.st_mtime_ns) != seen:
            raise ValueError(f"{Path(file).name} was changed while the model was running")

    def _read(self, file: str, descriptor: int, start: int, buffer: memoryview) -> int:
        """Return how many bytes came; 0 at the end, and where a file system refuses what it is asked directly."""
        try:
            if not hasattr(os, "preadv"):  # Windows
                with self._lock:
                    os.lseek(descriptor, start, os.SEEK_SET)
                    raw = os.read(descriptor, len(buffer))
                buffer[: len(raw)] = raw
                return len(raw)
            return os.preadv(descriptor, [buffer], start)
        except OSError as error:
            if error.errno == errno.EINVAL and descriptor != self._descriptors(file)[0]:
                return 0
            raise OSError(error.errno, f"{error.strerror} at byte {start:,}", file) from None

    def _descriptors(self, file: str) -> tuple[int, int | None, tuple[int, int]]:
        with self._lock:
            if file not in self._opened:
                buffered, direct = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0)), None
                if self.direct:
                    try:
                        direct = os.open(file, os.O_RDONLY | os.O_DIRECT)
                    except OSError:  # a file system without direct reads, such as tmpfs
                        direct = None
                status = os.fstat(buffered)
                self._opened[file] = buffered, direct, (status.st_size, status.st_mtime_ns)
            return self._opened[file]

    def __del__(self) -> None:
        if os is None:  # at the program's end, which closes all
            return
        for buffered, direct, _ in getattr(self, "_opened", {}).values():
            os.close(buffered)
            if direct is not None:
                os.close(direct)


def read_extent(reader: Reader, extent: Extent) -> Tensor:
    """Return the tensor at `extent`, in memory of its own."""
    lead = extent.start % ALIGNMENT
    slot = _Slot(_up(lead + extent.nbytes), pinned=False)
    reader.read(extent.file, extent.start, extent.nbytes, slot.view)
    raw = slot.bytes[lead : lead + extent.nbytes]
    return (raw.clone() if lead % extent.dtype.itemsize else raw).view(extent.dtype).view(extent.shape)


def extents_in(file: str, reader: Reader | None = None) -> dict[str, Extent]:
    """Return where each tensor of a safetensors file lies. The header must have been validated, as `safe_open` does.

    It is read by who reads the tensors later, so that both are of one file though another may take its name meanwhile.
    """
    reader = reader or ShardReader(direct=False)
    length = int.from_bytes(bytes(read_extent(reader, Extent(file, 0, torch.uint8, (8,))).tolist()), "little")
    header = json.loads(bytes(read_extent(reader, Extent(file, 8, torch.uint8, (length,))).tolist()))
    return {
        name: Extent(file, 8 + length + entry["data_offsets"][0], _DTYPES[entry["dtype"]], tuple(entry["shape"]))
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] in _DTYPES
    }


class Policy(Protocol[Key]):
    """Which piece makes room for another. Called with a lock held, by one thread at a time."""

    def used(self, key: Key) -> None:
        """A piece was taken."""

    def victim(self, keys: Iterable[Key]) -> Key:
        """Choose of `keys`, at least one, the piece to forget."""


class LeastRecentlyUsed(Generic[Key]):
    """Forget what was not taken for the longest time."""

    def __init__(self) -> None:
        self._last: OrderedDict[Key, None] = OrderedDict()

    def used(self, key: Key) -> None:
        """Put `key` last in the order."""
        self._last[key] = None
        self._last.move_to_end(key)

    def victim(self, keys: Iterable[Key]) -> Key:
        """Return the key that was taken first, or never."""
        may_go = set(keys)
        return next((key for key in self._last if key in may_go), None) or next(iter(may_go))


class LeastFrequentlyUsed(Generic[Key]):
    """Forget what was taken least often, where old times count less: by half after `half_life` takes of all pieces."""

    def __init__(self, half_life: int = 50_000) -> None:
        self._growth = 2.0 ** (1.0 / half_life)
        self._weight = 1.0
        self._score: dict[Key, float] = {}

    def used(self, key: Key) -> None:
        """Count one more."""
        self._weight *= self._growth  # later ones count more, which is the same as the earlier ones counting less
        self._score[key] = self._score.get(key, 0.0) + self._weight
        if self._weight > 1e100:
            self._score = {each: score / self._weight for each, score in self._score.items()}
            self._weight = 1.0

    def victim(self, keys: Iterable[Key]) -> Key:
        """Return the key with the smallest count."""
        return min(keys, key=lambda key: self._score.get(key, 0.0))


class SegmentedLru(Generic[Key]):
    """Forget what was taken once before what was taken again; among each, the longest unused first.

    At most `protected` of the pieces stand in the second segment; the one longest there falls back into the first.
    """

    def __init__(self, protected: int) -> None:
        self._most = max(1, protected)
        self._probation: OrderedDict[Key, None] = OrderedDict()
        self._protected: OrderedDict[Key, None] = OrderedDict()

    def used(self, key: Key) -> None:
        """Move `key` up a segment, or to the end of its own."""
        if key in self._protected:
            self._protected.move_to_end(key)
        elif key in self._probation:
            del self._probation[key]
            self._protected[key] = None
            if len(self._protected) > self._most:
                fallen, _ = self._protected.popitem(last=False)
                self._probation[fallen] = None
        else:
            self._probation[key] = None

    def victim(self, keys: Iterable[Key]) -> Key:
        """Return the first of the first segment that may go, else of the second."""
        may_go = set(keys)
        for segment in (self._probation, self._protected):
            for key in segment:
                if key in may_go:
                    del segment[key]
                    return key
        return next(iter(may_go))


POLICIES: dict[str, Callable[[int], Policy]] = {
    "lru": lambda slots: LeastRecentlyUsed(),
    "lfu": lambda slots: LeastFrequentlyUsed(),
    "segmented": lambda slots: SegmentedLru(slots * 4 // 5),
}


@dataclass
class Counts:
    """What happened so far. A hit is a piece that was there, wholly read, when it was wanted."""

    hits: int = 0
    misses: int = 0
    guessed: int = 0  # reads that were begun for pieces only expected
    guessed_right: int = 0  # of them, those that were wanted while they were there or on their way
    bytes_read: int = 0
    seconds_waited: float = 0.0  # by whoever takes pieces

    @property
    def hit_rate(self) -> float:
        """Hits among all takes, 0 before the first."""
        return self.hits / max(1, self.hits + self.misses)


class Reading:
    """Threads that read chunks into slots: the wanted ones in their order, then the expected ones.

    Threads live while there is something to read, and not longer than the program.
    """

    def __init__(self, reader: Reader, threads: int = 4) -> None:
        self.reader, self.threads = reader, threads
        self._workers: set[threading.Thread] = set()
        self._wanted: deque[tuple[object, Callable[[], None]]] = deque()
        self._expected: deque[tuple[object, Callable[[], None]]] = deque()
        self._lock = threading.Lock()
        atexit.register(_end, weakref.ref(self))

    def add(self, owner: object, chunks: Sequence[Callable[[], None]], wanted: bool) -> None:
        """Queue the reads of a piece."""
        with self._lock:
            (self._wanted if wanted else self._expected).extend((owner, chunk) for chunk in chunks)
            start = min(self.threads - len(self._workers), len(self._wanted) + len(self._expected))
            workers = [threading.Thread(target=self._work, name="axk1-reading", daemon=True) for _ in range(start)]
            self._workers.update(workers)
        for worker in workers:
            worker.start()

    def hurry(self, owner: object) -> None:
        """Move what is still queued for a piece from the expected ones to the wanted ones."""
        with self._lock:
            mine = [item for item in self._expected if item[0] is owner]
            if mine:
                self._expected = deque(item for item in self._expected if item[0] is not owner)
                self._wanted.extend(mine)

    def drop(self, owner: object) -> int:
        """Take back what is still queued for a piece, and return how many reads that were."""
        with self._lock:
            before = len(self._wanted) + len(self._expected)
            self._wanted = deque(item for item in self._wanted if item[0] is not owner)
            self._expected = deque(item for item in self._expected if item[0] is not owner)
            return before - len(self._wanted) - len(self._expected)

    def end(self, patience: float = 1.0) -> None:
        """Read nothing more, and wait so many seconds for what is being read."""
        with self._lock:
            self._wanted.clear()
            self._expected.clear()
            workers = list(self._workers)
        deadline = time.monotonic() + patience
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._lock:
                queue = self._wanted or self._expected
                if not queue:
                    self._workers.discard(threading.current_thread())
                    return
                _, chunk = queue.popleft()
            chunk()


def _end(reading: "weakref.ref[Reading]") -> None:
    """At the program's end: a thread that is still in torch when torch is taken down takes the program down with it."""
    if (ours := reading()) is not None:
        ours.end()


def in_parallel(work: Callable[[Item], object], items: Iterable[Item], threads: int) -> None:
    """Call `work` with each of `items` by a few threads; raises the first error once what was begun has ended.

    Unlike a pool of concurrent.futures, whose threads a process waits for even when it is told to end: one of them may
    be waiting for a server that does not answer.
    """
    left, lock = iter(items), threading.Lock()
    errors: list[BaseException] = []
    stopped = threading.Event()

    def run() -> None:
        while not stopped.is_set():
            with lock:
                item = next(left, left)
            if item is left:
                return
            try:
                work(item)  # type: ignore[arg-type]
            except BaseException as error:  # it is raised by whoever waits
                errors.append(error)
                stopped.set()

    workers = [threading.Thread(target=run, name="axk1-fetching", daemon=True) for _ in range(threads)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        stopped.set()
    if errors:
        raise errors[0]


class _Slot:
    """Memory for one piece, from the system and aligned; it takes none until it is written."""

    def __init__(self, nbytes: int, pinned: bool) -> None:
        if pinned:  # so that a GPU's copy engine can read it
            room = torch.empty(nbytes + ALIGNMENT, dtype=torch.uint8, pin_memory=True)
            skip = -room.data_ptr() % ALIGNMENT
            self.bytes = room[skip : skip + nbytes]
            self.view = memoryview(self.bytes.numpy()).cast("B")
        else:
            # Private where there is a choice: of shared memory the kernel makes no huge pages.
            private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
            area = mmap.mmap(-1, nbytes, **({"flags": private} if private else {}))
            if hasattr(mmap, "MADV_HUGEPAGE"):
                with suppress(OSError):  # of a kernel without them
                    area.madvise(mmap.MADV_HUGEPAGE)
            self.view = memoryview(area)
            self.bytes = torch.frombuffer(area, dtype=torch.uint8)


@dataclass(eq=False)
class _Entry:
    """A piece in its slot, or on its way there."""

    slot: _Slot | None = None
    tensors: dict[str, Any] = field(default_factory=dict)
    unread: int = 0  # chunks
    read: bool = False  # wholly, or as far as an error let it
    takers: int = 0
    wanted: bool = False
    guessed: bool = False
    error: BaseException | None = None

    @property
    def is_ready(self) -> bool:
        return self.read and self.error is None


def room_for(piece: Piece) -> int:
    """Return the bytes of a slot for a piece: each tensor begins on a page, with room for a direct read's edges."""
    return sum(_room(extent) for extent in piece.values())


def _room(extent: Extent) -> int:
    return _up(extent.nbytes) + ALIGNMENT


def _up(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


class StreamedPieces(Generic[Key]):
    """Pieces by key, as many of them in memory as there are slots.

    `fixed` ones have slots of their own, which they keep from their first use on. All others share `slots` of the size
    of the largest; there must be at least one, and for `expect` to do anything, two. `prepare` may put something else
    in place of a piece's tensors once they are read.
    """

    def __init__(
        self,
        pieces: Mapping[Key, Piece],
        slots: int,
        reading: Reading,
        policy: Policy[Key] | None = None,
        fixed: Iterable[Key] = (),
        prepare: Callable[[Key, dict[str, Tensor]], dict[str, Any]] | None = None,
        pin_memory: bool = False,
    ) -> None:
        self.pieces, self.fixed = pieces, frozenset(fixed)
        self._policy: Policy[Key] = policy or LeastFrequentlyUsed()
        self._reading, self._prepare, self._pin_memory = reading, prepare, pin_memory
        self._slot_bytes = max((room_for(piece) for key, piece in pieces.items() if key not in self.fixed), default=0)
        self.slots = min(max(1, slots), len(pieces) - len(self.fixed))
        self._free: list[_Slot] = []
        self._made = 0
        self._entries: dict[Key, _Entry] = {}
        self._waiting: deque[Key] = deque()  # wanted, and without a slot
        self._changed = threading.Condition()
        self.counts = Counts()

    @property
    def slot_bytes(self) -> int:
        """Bytes of a slot that pieces share."""
        return self._slot_bytes

    @property
    def room_bytes(self) -> int:
        """Bytes of all slots, the fixed pieces' among them."""
        return self.slots * self._slot_bytes + sum(room_for(self.pieces[key]) for key in self.fixed)

    @property
    def held_bytes(self) -> int:
        """Bytes of the slots that were needed by now."""
        with self._changed:
            fixed = [room_for(self.pieces[key]) for key in self.fixed & self._entries.keys()]
            return self._made * self._slot_bytes + sum(fixed)

    def want(self, keys: Iterable[Key]) -> None:
        """Begin to read pieces that will be taken next, in this order."""
        with self._changed:
            for key in keys:
                entry = self._entries.get(key)
                if entry is not None and entry.guessed and not entry.wanted:
                    self.counts.guessed_right += 1
                if entry is not None and entry.is_ready:
                    self.counts.hits += not entry.wanted
                    entry.wanted = True
                    continue
                if entry is None or entry.error is not None:
                    entry = self._entries[key] = _Entry()
                    self._waiting.append(key)
                self.counts.misses += not entry.wanted
                entry.wanted = True
                self._reading.hurry(entry)
            self._admit()

    def expect(self, keys: Iterable[Key]) -> None:
        """Begin to read pieces that may be taken soon, as far as there are slots that nobody needs."""
        with self._changed:
            for key in keys:
                if key in self._entries:
                    continue
                if self._waiting:
                    return
                slot = self._slot_for(key, kept=1)
                if slot is None:
                    continue
                entry = self._entries[key] = _Entry(guessed=True)
                self.counts.guessed += 1
                self._start(key, entry, slot)

    def take(self, key: Key) -> dict[str, Any]:
        """Return a piece's tensors when they are there; raises what went wrong with reading them."""
        with self._changed:
            entry = self._wanted_entry(key)
            try:
                self._wait(lambda: entry.read)
            except BaseException:  # Ctrl-C: a slot must not wait for somebody who went away
                self.leave([key])
                raise
            return self._hand_out(key, entry)

    def take_any(self, keys: Sequence[Key]) -> tuple[Key, dict[str, Any]]:
        """Return whichever of these pieces is there first, of those that are the first in the order given."""
        with self._changed:
            entries = {key: self._wanted_entry(key) for key in keys}
            self._wait(lambda: any(entry.read for entry in entries.values()))
            key = next(key for key, entry in entries.items() if entry.read)
            return key, self._hand_out(key, entries[key])

    def leave(self, keys: Iterable[Key]) -> None:
        """Say that these pieces, wanted and not taken, will not be taken after all."""
        with self._changed:
            for key in keys:
                entry = self._entries.get(key)
                if entry is None or entry.takers:
                    continue
                entry.wanted = False
                if entry.slot is None:
                    del self._entries[key]
                elif entry.read and entry.error is not None:
                    self._forget(key, entry)
            self._admit()

    def give(self, key: Key) -> None:
        """Say that a taken piece is not used any more."""
        with self._changed:
            entry = self._entries[key]
            entry.takers -= 1
            if not entry.takers:
                entry.wanted = entry.guessed = False
            self._admit()
            self._changed.notify_all()

    def _wanted_entry(self, key: Key) -> _Entry:
        entry = self._entries.get(key)
        if entry is None or not entry.wanted:
            self.want([key])
        return self._entries[key]

    def _wait(self, until: Callable[[], bool]) -> None:
        started = time.perf_counter()
        while not until():
            # In steps, so that Ctrl-C is noticed on every system.
            self._changed.wait(1.0)
        self.counts.seconds_waited += time.perf_counter() - started

    def _hand_out(self, key: Key, entry: _Entry) -> dict[str, Any]:
        if entry.error is not None:
            self._forget(key, entry)
            self._admit()
            raise entry.error
        entry.takers += 1
        self._policy.used(key)
        return entry.tensors

    def _admit(self) -> None:
        """Give slots to wanted pieces, the first first."""
        while self._waiting:
            key = self._waiting[0]
            entry = self._entries.get(key)
            if entry is None or entry.slot is not None:
                self._waiting.popleft()
                continue
            slot = self._slot_for(key)
            if slot is None:
                return
            self._waiting.popleft()
            self._start(key, entry, slot)

    def _slot_for(self, key: Key, kept: int = 0) -> _Slot | None:
        """Return a slot for a piece, taking one from another piece if need be; `kept` are left for wanted ones."""
        if key in self.fixed:
            return _Slot(room_for(self.pieces[key]), self._pin_memory)
        idle = [
            other
            for other, entry in self._entries.items()
            if other not in self.fixed and not entry.takers and not entry.wanted and entry.is_ready
        ]
        if len(self._free) + (self.slots - self._made) + len(idle) <= kept:
            return None
        if self._free:
            return self._free.pop()
        if self._made < self.slots:
            self._made += 1
            return _Slot(self._slot_bytes, self._pin_memory)
        victim = self._policy.victim(idle)
        return self._entries.pop(victim).slot

    def _start(self, key: Key, entry: _Entry, slot: _Slot) -> None:
        """Queue the reads of a piece into a slot."""
        entry.slot = slot
        chunks, base = [], 0
        for extent in self.pieces[key].values():
            begin = base + extent.start % ALIGNMENT
            # Cut at multiples of the alignment in the file, so that only the first and the last read have edges.
            cuts = range(_CHUNK - extent.start % ALIGNMENT, extent.nbytes, _CHUNK)
            for first, end in pairwise([0, *cuts, extent.nbytes]):
                start = extent.start + first
                room = slice(begin + first - start % ALIGNMENT, _up(begin + end))
                chunks.append(partial(self._read, key, entry, extent.file, start, end - first, slot.view[room]))
            base += _room(extent)
        entry.unread = len(chunks)
        self._reading.add(entry, chunks, entry.wanted)

    def _read(self, key: Key, entry: _Entry, file: str, start: int, nbytes: int, buffer: memoryview) -> None:
        """Read one chunk; the thread that reads the last one makes the tensors."""
        error: BaseException | None = None
        try:
            self._reading.reader.read(file, start, nbytes, buffer)
        except BaseException as problem:  # whatever it is, it is raised where the piece is taken
            error = problem
        with self._changed:
            self.counts.bytes_read += nbytes
            entry.unread -= 1
            if error is not None:
                entry.error = error
                entry.unread -= self._reading.drop(entry)
            if entry.unread:
                return
        tensors: dict[str, Any] = {}
        if entry.error is None:
            try:
                tensors = self._tensors(key, entry)
            except BaseException as problem:
                error = problem
        with self._changed:
            entry.tensors, entry.error, entry.read = tensors, entry.error or error, True
            if entry.error is not None and not (entry.wanted and self._entries.get(key) is entry):
                self._forget(key, entry)  # it was only expected: who wants it will see for himself
            self._admit()
            self._changed.notify_all()

    def _tensors(self, key: Key, entry: _Entry) -> dict[str, Any]:
        assert entry.slot is not None
        tensors, base = {}, 0
        for name, extent in self.pieces[key].items():
            begin = base + extent.start % ALIGNMENT
            raw = entry.slot.bytes[begin : begin + extent.nbytes]
            if begin % extent.dtype.itemsize:
                raw = raw.clone()  # behind a header of odd length, which no common tool writes
            tensors[name] = raw.view(extent.dtype).view(extent.shape)
            base += _room(extent)
        return self._prepare(key, tensors) if self._prepare else tensors

    def _forget(self, key: Key, entry: _Entry) -> None:
        """Let go of a piece that could not be read, which may have been wanted anew before all its reads had ended."""
        if self._entries.get(key) is entry:
            del self._entries[key]
        if entry.slot is not None and key not in self.fixed:
            self._free.append(entry.slot)
        entry.slot = None


__all__ = [
    "POLICIES",
    "Counts",
    "Extent",
    "Piece",
    "Reader",
    "Reading",
    "ShardReader",
    "StreamedPieces",
    "extents_in",
    "in_parallel",
    "read_extent",
    "room_for",
]
