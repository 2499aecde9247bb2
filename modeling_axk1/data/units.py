"""A text as a sequence of hashed units: what near-duplicates and shared runs are looked for in.

A unit is a word where a script parts words (lower case, letters, digits and marks), and one character where it does
not or does so as each writer likes: Han, kana, Hangul. Punctuation, symbols and spaces part units and are no units.
So one rule fits every language, mixed texts too, and a change of layout changes nothing.

Hashes depend on nothing but the text, so they may be kept in files and compared between processes and machines.
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_BASE = np.uint64(0x9E3779B97F4A7C15)
_PIECE = 1 << 16
_LAST = 0x3FFFF
_APART, _DIGIT, _LETTER, _SINGLE = 0, 1, 2, 3
# Scripts whose characters are units of their own, up to U+FFFF; above it Han lies in planes 2 and 3.
_SINGLES = [
    (0x1100, 0x11FF),  # Hangul letters
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3041, 0x318F),  # kana, bopomofo, Hangul letters
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFFDC),  # half-width kana and Hangul
]


class Units(NamedTuple):
    """The hash of every unit of a text, its length in characters, and whether it has a letter.

    `single` tells which units are single characters of a script without words.
    """

    hashes: Hashes
    lengths: NDArray[np.int64]
    letter: NDArray[np.bool_]
    single: NDArray[np.bool_]


# Several steps in a row ask for the units of one text.
@lru_cache(maxsize=1)
def units(text: str) -> Units:
    """Divide a text into units. Nobody may change what is returned.

    >>> units("Ein Wort, 한글!").single.tolist()
    [False, False, True, True]
    """
    pieces = [_units(np.frombuffer(piece.encode("utf-32-le"), np.uint32)) for piece in _pieces(text.casefold())]
    return Units(*map(np.concatenate, zip(*pieces, strict=True))) if len(pieces) > 1 else pieces[0]


def windows(hashes: Hashes, length: int) -> Hashes:
    """Return the hash of every run of `length` neighbours; empty when there are fewer.

    Equal runs have equal hashes wherever they stand.
    """
    count = len(hashes) - length + 1
    if count <= 0:
        return hashes[:0]
    block, size = hashes, 1
    total, done = np.zeros(count, np.uint64), 0
    # A run's hash is a polynomial in _BASE. Those of 1, 2, 4 ... neighbours are made from each other, and `length` is
    # put together from them.
    while True:
        power = np.uint64(pow(int(_BASE), size, 1 << 64))
        if length & size:
            total = total * power + block[done : done + count]
            done += size
        if done == length:
            return _mix(total)
        block = block[:-size] * power + block[size:]
        size *= 2


def _pieces(text: str) -> Iterator[str]:
    """Cut a long text where no word is cut, so that the work for one text needs little memory."""
    start = 0
    while len(text) - start > _PIECE:
        end = max(text.rfind(space, start, start + _PIECE) for space in "\n ")
        end = end if end > start else start + _PIECE
        yield text[start:end]
        start = end
    yield text[start:]


def _units(codes: NDArray[np.uint32]) -> Units:
    kinds, values = _tables()
    places = codes.astype(np.intp)
    kind = kinds.take(places, mode="clip")
    inside = kind != _APART
    word = inside & (kind != _SINGLE)
    further = np.zeros(len(codes) + 1, np.bool_)  # not the first character of a word
    further[1:-1] = word[1:] & word[:-1]
    firsts = np.flatnonzero(inside & ~further[:-1])
    if not len(firsts):
        none = np.zeros(0, np.bool_)
        return Units(np.zeros(0, np.uint64), np.zeros(0, np.int64), none, none)
    lengths = np.flatnonzero(inside & ~further[1:]) + 1 - firsts
    # Within a word the characters have powers of _BASE as weights, or words of the same letters would be the same.
    # What stands between units has the value 0 and need not be taken out.
    powers, start = _powers(), firsts[0]
    order = np.arange(start, len(codes)) - np.repeat(firsts, np.append(firsts[1:], len(codes)) - firsts)
    weights = powers.take(order, mode="clip" if lengths.max() <= len(powers) else "wrap")
    return Units(
        _mix(np.add.reduceat(values.take(places[start:], mode="clip") * weights, firsts - start)),
        lengths,
        np.maximum.reduceat(kind, firsts) >= _LETTER,
        kind.take(firsts) == _SINGLE,
    )


def _mix(values: Hashes) -> Hashes:
    """Spread every bit over all 64 (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@cache
def _powers() -> Hashes:
    return np.multiply.accumulate(np.full(1024, _BASE, np.uint64))


@cache
def _tables() -> tuple[NDArray[np.uint8], Hashes]:
    """Return the kind of every code point up to _LAST, and a number for each that units have. Above it none is used."""
    import unicodedata

    kinds = np.zeros(_LAST + 1, np.uint8)
    for code in range(0x20000):
        kinds[code] = {"L": _LETTER, "N": _DIGIT, "M": _DIGIT}.get(unicodedata.category(chr(code))[0], _APART)
    for first, last in _SINGLES:
        kinds[first : last + 1] = _SINGLE
    kinds[0x20000:_LAST] = _SINGLE
    return kinds, np.where(kinds == _APART, 0, _mix(np.arange(1, _LAST + 2, dtype=np.uint64)))
