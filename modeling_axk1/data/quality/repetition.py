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
    seen: set[str] = set()
    count = characters = 0
    for piece in pieces:
        if piece in seen:
            count += 1
            characters += len(piece)
        else:
            seen.add(piece)
    return count, characters


def top_characters(units: Units, n: int, separator: int, limit: float) -> int:
    """Return the characters that the most frequent n-gram takes in all, or 0 when they cannot be more than `limit`.

    Of equally frequent ones the first counts. `separator` is the width of what stands between two units: 1 for words,
    0 for characters.
    """
    grams = windows(units.hashes, n)
    if not len(grams):
        return 0
    lengths = _lengths(units, n) + separator * (n - 1)
    ordered = np.sort(grams)
    # So many times must the longest stand there at least.
    needed = int(limit / lengths.max()) + 1
    if needed > len(ordered) or not (ordered[needed - 1 :] == ordered[: len(ordered) - needed + 1]).any():
        return 0
    order = np.argsort(grams, kind="stable")
    ordered = grams[order]
    begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(begins, append=len(ordered))
    most = counts.max()
    return int(most * lengths[order[begins[counts == most]].min()])


def duplicate_characters(units: Units, n: int, limit: float) -> int:
    """Return the characters of the n-grams that stood before, none counted twice, or 0 when they are `limit` or fewer.

    The text is read from the left; after an n-gram that stood before, reading goes on behind it.
    """
    grams = windows(units.hashes, n)
    ordered = np.sort(grams)
    if not len(grams) or not (ordered[1:] == ordered[:-1]).any():
        return 0
    order = np.argsort(grams, kind="stable")
    ordered = grams[order]
    again = ordered[1:] == ordered[:-1]
    # What all that stand there twice or more cover bounds the answer, and is mostly too little to matter.
    covered = np.zeros(len(units.hashes) + 1, np.int64)
    twice = np.zeros(len(grams), np.bool_)
    twice[order[1:][again]] = True
    covered[: len(grams)] += twice
    covered[n : n + len(grams)] -= twice
    if units.lengths[np.cumsum(covered[:-1]) > 0].sum() <= limit:
        return 0
    twice[order[:-1][again]] = True
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


def _lengths(units: Units, n: int) -> NDArray[np.int64]:
    ends = np.concatenate(([0], np.cumsum(units.lengths)))
    return ends[n:] - ends[:-n]
