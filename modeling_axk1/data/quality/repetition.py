"""How much of a text repeats itself (Gopher, Table A1 of https://arxiv.org/abs/2112.11446).

Counted in units (units.py): words, or characters of scripts without spaces. datatrove's GopherRepetitionFilter is the
oracle: given the same words these functions return what it computes, without joining and hashing n-grams as text.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modeling_axk1.data.units import Units, windows


def repeated(pieces: Sequence[str]) -> tuple[int, int]:
    """Count the pieces that stood before, and their characters."""
    different = set(pieces)
    return len(pieces) - len(different), sum(map(len, pieces)) - sum(map(len, different))


def longest(units: Units, n: int, separator: int) -> int:
    """Return the characters of the longest n-gram; see `top`."""
    return int(_lengths(units, n).max(initial=0)) + separator * (n - 1)


def top(units: Units, n: int, separator: int, limit: float) -> tuple[int, int]:
    """Return how many times the most frequent n-gram is there, and the characters that it takes in all.

    Instead of the characters 0 is returned when they cannot be more than `limit`. Of equally frequent ones the first
    counts. `separator` is the width of what stands between two units: 1 for words, 0 for characters.
    """
    grams = windows(units.hashes, n)
    if not len(grams):
        return 0, 0
    ordered = np.sort(grams)
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, len(ordered))
    counts = ends.copy()
    counts[1:] -= ends[:-1]
    often = int(counts.max())
    lengths = _lengths(units, n) + separator * (n - 1)
    if often * lengths.max() <= limit:
        return often, 0
    most = ordered[ends[counts == often] - 1]
    first = (np.isin(grams, most) if len(most) > 1 else grams == most).argmax()
    return often, often * int(lengths[first])


def duplicate_characters(units: Units, n: int, limit: float) -> int:
    """Return the characters of the n-grams that stood before, none counted twice, or 0 when they are `limit` or fewer.

    The text is read from the left; after an n-gram that stood before, reading goes on behind it.
    """
    grams = windows(units.hashes, n)
    order = stable_order(grams)
    ordered = grams[order]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    if not len(same):
        return 0
    # What all that stood before cover bounds the answer, and is mostly too little to matter.
    again = order[same + 1]
    covered = np.zeros(len(units.hashes) + 1, np.int64)
    covered[again] += 1
    covered[again + n] -= 1
    if units.lengths[np.cumsum(covered[:-1]) > 0].sum() <= limit:
        return 0
    twice = np.zeros(len(grams), np.bool_)
    twice[again] = twice[order[same]] = True
    places, lengths = np.flatnonzero(twice), _lengths(units, n)
    seen: set[int] = set()
    characters = next_place = 0
    for place, gram, length in zip(places.tolist(), grams[places].tolist(), lengths[places].tolist(), strict=True):
        if place < next_place:
            continue
        if gram in seen:
            characters += length
            next_place = place + n
        else:
            seen.add(gram)
    return characters


def stable_order(hashes: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Return an order in which equal hashes stand together, the first of them first.

    Their last bits make way for their places, and numbers are sorted many times faster than an order is found. Should
    different hashes begin with the same bits, the order is found after all.
    """
    low = np.uint64((1 << len(hashes).bit_length()) - 1)
    keys = np.sort(hashes & ~low | np.arange(len(hashes), dtype=np.uint64))
    order = (keys & low).astype(np.intp)
    begins, ordered = keys & ~low, hashes[order]
    if ((begins[1:] == begins[:-1]) != (ordered[1:] == ordered[:-1])).any():
        return np.argsort(hashes, kind="stable")
    return order


def _lengths(units: Units, n: int) -> NDArray[np.int64]:
    ends = np.concatenate(([0], np.cumsum(units.lengths)))
    return ends[n:] - ends[:-n]
