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

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Generic, TypeVar

from torch import Tensor

from .policies_axk1 import LeastFrequentlyUsed, Policy
from .reading_axk1 import ALIGNMENT, AlignedMemory, Extent, Piece, Reading, aligned

Key = TypeVar("Key")

# One read. Large enough for a disk to run at its full speed, small enough to have several of one expert in flight.
_CHUNK = 8 * 2**20


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


@dataclass(eq=False)
class _Entry:
    """A piece in its slot, or on its way there."""

    slot: AlignedMemory | None = None
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
    return aligned(extent.nbytes) + ALIGNMENT


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
        self._reading, self._pin_memory, self.prepare = reading, pin_memory, prepare
        self._slot_bytes = max((room_for(piece) for key, piece in pieces.items() if key not in self.fixed), default=0)
        self.slots = min(max(1, slots), len(pieces) - len(self.fixed))
        self._free: list[AlignedMemory] = []
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

    def _slot_for(self, key: Key, kept: int = 0) -> AlignedMemory | None:
        """Return a slot for a piece, taking one from another piece if need be; `kept` are left for wanted ones."""
        if key in self.fixed:
            return AlignedMemory(room_for(self.pieces[key]), self._pin_memory)
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
            return AlignedMemory(self._slot_bytes, self._pin_memory)
        victim = self._policy.victim(idle)
        return self._entries.pop(victim).slot

    def _start(self, key: Key, entry: _Entry, slot: AlignedMemory) -> None:
        """Queue the reads of a piece into a slot."""
        entry.slot = slot
        chunks, base = [], 0
        for extent in self.pieces[key].values():
            begin = base + extent.start % ALIGNMENT
            # Cut at multiples of the alignment in the file, so that only the first and the last read have edges.
            cuts = range(_CHUNK - extent.start % ALIGNMENT, extent.nbytes, _CHUNK)
            for first, end in pairwise([0, *cuts, extent.nbytes]):
                start = extent.start + first
                room = slice(begin + first - start % ALIGNMENT, aligned(begin + end))
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
        return self.prepare(key, tensors) if self.prepare else tensors

    def _forget(self, key: Key, entry: _Entry) -> None:
        """Let go of a piece that could not be read, which may have been wanted anew before all its reads had ended."""
        if self._entries.get(key) is entry:
            del self._entries[key]
        if entry.slot is not None and key not in self.fixed:
            self._free.append(entry.slot)
        entry.slot = None


__all__ = ["Counts", "StreamedPieces", "room_for"]
