"""The differences of two texts, line by line, found in bounded time."""

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

# Unchanged lines around each change.
_CONTEXT = 3
# Work grows with the square of it: about a third of a second.
MOST_EDITS = 1000

Sign = Literal[" ", "+", "-"]


@dataclass(frozen=True)
class Row:
    """One line of a difference with its numbers in the old and the new text, None where it is not."""

    sign: Sign
    old: int | None
    new: int | None
    text: str


@dataclass(frozen=True)
class Difference:
    """What differs: stretches of lines with some unchanged ones around, and how many were added and removed."""

    hunks: list[list[Row]]
    added: int
    removed: int


def difference(old: list[str], new: list[str], most_edits: int = MOST_EDITS) -> Difference | None:
    """Return the fewest added and removed lines that make `new` of `old`; None when they are more than `most_edits`.

    Example: difference(["a", "b"], ["a", "c"]) removes line 2, "b", and adds line 2, "c".
    """
    start = _shared(old, new)
    end = _shared(old[start:][::-1], new[start:][::-1])
    edits = _edits(old[start : len(old) - end], new[start : len(new) - end], most_edits)
    if edits is None:
        return None
    signs: list[Sign] = [*" " * start, *edits, *" " * end]
    rows, was, now = [], 0, 0
    for sign in signs:
        was += sign != "+"
        now += sign != "-"
        text = new[now - 1] if sign == "+" else old[was - 1]
        rows.append(Row(sign, None if sign == "+" else was, None if sign == "-" else now, text))
    return Difference(_hunks(rows), signs.count("+"), signs.count("-"))


def _shared(old: list[str], new: list[str]) -> int:
    """Return how many lines two texts begin with in common."""
    for number, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            return number
    return min(len(old), len(new))


def _edits(old: list[str], new: list[str], most: int) -> list[Sign] | None:
    """Return a sign for each line of the shortest way from `old` to `new` (E. Myers, 1986); None when it is too long.

    On diagonal k, `old` is k lines ahead of `new`; `reach[k]` is how many lines of `old` the furthest way on it took.
    """
    reach = {1: 0}
    ways = []
    for edits in range(most + 1):
        ways.append(reach.copy())
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and reach[k - 1] < reach[k + 1])
            was = reach[k + 1] if down else reach[k - 1] + 1
            while was < len(old) and was - k < len(new) and old[was] == new[was - k]:
                was += 1
            reach[k] = was
            if was == len(old) and was - k == len(new):
                return _way_back(ways, was, k)
    return None


def _way_back(ways: list[dict[int, int]], was: int, k: int) -> list[Sign]:
    signs: list[Sign] = []
    for edits in range(len(ways) - 1, -1, -1):
        reach = ways[edits]
        down = k == -edits or (k != edits and reach[k - 1] < reach[k + 1])
        before_k = k + 1 if down else k - 1
        came = reach[before_k] if down else reach[before_k] + 1
        signs += [" "] * (was - came)
        if edits:
            signs.append("+" if down else "-")
        was, k = reach[before_k], before_k
    return signs[::-1]


def _hunks(rows: list[Row]) -> list[list[Row]]:
    """Return the rows near a change, each unbroken stretch of them by itself."""
    near = [False] * len(rows)
    for number, row in enumerate(rows):
        if row.sign != " ":
            for neighbour in range(max(0, number - _CONTEXT), min(len(rows), number + _CONTEXT + 1)):
                near[neighbour] = True
    return [
        [row for row, _ in stretch]
        for is_near, stretch in groupby(zip(rows, near, strict=True), key=lambda it: it[1])
        if is_near
    ]
