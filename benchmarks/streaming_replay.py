"""Replaying which experts were visited through a cache: hit rates of policies, of a fixed set, and of the optimum.

Visits are groups, one for each token and layer in the order in which they were computed; all of a group are needed at
once, so none of them makes room for another, as in `StreamedPieces`. Hits are counted from a share of the groups on;
those before fill the cache.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence

from modeling_axk1.model.policies_axk1 import Policy

Groups = Sequence[Sequence[Hashable]]


def replay(policy: Policy, slots: int, visits: Groups, counted_from: float = 0.5) -> float:
    """Return the share of visits that find theirs in memory."""
    held: set[Hashable] = set()
    hits = total = 0
    for number, group in enumerate(visits):
        missing = [key for key in group if key not in held]
        if number >= counted_from * len(visits):
            hits, total = hits + len(group) - len(missing), total + len(group)
        for key in missing:
            if len(held) >= slots:
                held.remove(policy.victim(held.difference(group)))
            held.add(key)
        for key in group:
            policy.used(key)
    return hits / total


def fixed(slots: int, profile: Counter, visits: Groups) -> float:
    """Return the hit rate of the experts that a profile of other text visits most."""
    held = {key for key, _ in profile.most_common(slots)}
    later = [key for group in visits[len(visits) // 2 :] for key in group]
    return sum(key in held for key in later) / len(later)


def belady(slots: int, visits: Groups, counted_from: float = 0.5) -> float:
    """Return the hit rate of forgetting always what is needed again last."""
    return replay(_Foreseeing(visits), slots, visits, counted_from)


class _Foreseeing:
    """A policy that knows the visits to come."""

    def __init__(self, visits: Groups) -> None:
        self._times: dict[Hashable, list[int]] = defaultdict(list)
        for now, key in enumerate(key for group in visits for key in group):
            self._times[key].append(now)
        self._now = -1

    def used(self, key: Hashable) -> None:
        """Go on by one visit."""
        self._now += 1

    def victim(self, keys: Iterable[Hashable]) -> Hashable:
        """Return whichever is needed again last, or never."""
        return max(keys, key=self._next)

    def _next(self, key: Hashable) -> float:
        times = self._times[key]
        place = bisect_right(times, self._now)
        return times[place] if place < len(times) else float("inf")
