# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""Which weight makes room for another, of those that were read from the shards and are not needed at the moment.

How well each does is measured by benchmarks/streaming_policies.py.

This file travels to the hub beside modeling_axk1.py and imports nothing of this package.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

Key = TypeVar("Key")


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


__all__ = ["POLICIES", "LeastFrequentlyUsed", "LeastRecentlyUsed", "Policy", "SegmentedLru"]
