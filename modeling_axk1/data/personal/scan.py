"""Where a text may have a number: every character is looked up in a table once, and patterns are tried only there.

A pattern that begins with a class of characters is tried at every character of the text, which took most of the time.
What is asked here is necessary for the patterns and costs a tenth of them; what is found is still for them to say.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modeling_axk1.data.code_points import code_points

_DIGIT, _JOIN, _CAPITAL, _DOT, _COLON, _OPEN, _A, _T = (1 << bit for bit in range(8))
_DIGITS = "0123456789０１２３４５６７８９"
# What stands between the digits of one number, full-width forms and all that is written for a hyphen or a space among
# them (numbers.py).
_JOINTS = "-. ()/（）\u3000\xa0‐‑‒–—−－ー"
# What follows the last entry of a table is as the last entry is: nothing.
_LAST = 0xFFFF
_FIRST = 4


class Scan(NamedTuple):
    """The code points of a text, what each is, as bits, and the places of its digits."""

    codes: NDArray[np.intp]
    marks: NDArray[np.uint8]
    digits: NDArray[np.int64]


def scan(text: str) -> Scan:
    """Look every character of a text up."""
    codes = code_points(text)
    marks = _table().take(codes, mode="clip")
    return Scan(codes, marks, (marks & _DIGIT).nonzero()[0])


class Beginnings:
    """Finds the places where one of up to 32 words may begin, all words at once, by the first characters of each.

    Every word has a bit; a table for each of the first characters says which words have a character there. `lower`
    words are found in any case. Baeza-Yates and Gonnet, "A new approach to text searching" (1992).
    """

    def __init__(self, words: Sequence[str], lower: Collection[str] = ()) -> None:
        self._tables = np.zeros((_FIRST, _LAST + 1), np.uint32)
        folded: dict[str, list[int]] = {}
        for code in range(_LAST):
            folded.setdefault(chr(code).lower(), []).append(code)
        for number, word in enumerate(words):
            for place, table in enumerate(self._tables):
                if place >= len(word):
                    table |= np.uint32(1 << number)
                else:
                    table[folded[word[place]] if word in lower else ord(word[place])] |= np.uint32(1 << number)

    def find(self, codes: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
        """Yield (place, number of the word) for each word that may begin there."""
        # A word may be shorter than what is looked at, and end with the text.
        padded = np.concatenate([codes, np.full(_FIRST - 1, _LAST)])
        bits = self._tables[0].take(codes, mode="clip")
        for place in range(1, _FIRST):
            bits &= self._tables[place].take(padded[place : place + len(codes)], mode="clip")
        places = bits.nonzero()[0]
        for place, some in zip(places.tolist(), bits[places].tolist(), strict=True):
            while some:
                yield place, (some & -some).bit_length() - 1
                some &= some - 1


def digit_runs(scanned: Scan, least: int) -> list[tuple[int, int]]:
    """Return [start, end) of all that is written with digits and joints only, and with `least` digits or more."""
    _, marks, digits = scanned
    if len(digits) < least:
        return []
    others = (marks & (_DIGIT | _JOIN) == 0).nonzero()[0]
    # Digits stand in one run when as many other characters are before both.
    before = np.searchsorted(others, digits)
    runs = np.unique(before[least - 1 :][before[least - 1 :] == before[: len(before) - least + 1]])
    bounds = np.concatenate(([-1], others, [len(marks)]))
    return list(zip((bounds[runs] + 1).tolist(), bounds[runs + 1].tolist(), strict=True))


def capitals_and_digits(scanned: Scan) -> list[int]:
    """Return the places where two capital letters (A to Z) and two digits follow each other."""
    _, marks, digits = scanned
    firsts = digits[(digits >= 2) & (digits < len(marks) - 1)]
    there = marks[firsts - 2] & marks[firsts - 1] & _CAPITAL != 0
    return (firsts[there & (marks[firsts + 1] & _DIGIT != 0)] - 2).tolist()


def dotted(scanned: Scan) -> list[int]:
    """Return the places of dots that begin three within nine characters, each with a digit on both sides."""
    _, marks, digits = scanned
    before = digits[digits < len(marks) - 2]
    dots = before[(marks[before + 1] & _DOT != 0) & (marks[before + 2] & _DIGIT != 0)] + 1
    return dots[:-2][dots[2:] - dots[:-2] <= 8].tolist()


def colons(scanned: Scan) -> list[int]:
    """Return the places of colons that have a digit four characters before them."""
    _, marks, digits = scanned
    found = digits[digits < len(marks) - 4] + 4
    return found[marks[found] & _COLON != 0].tolist()


def bracketed_at(scanned: Scan) -> list[int]:
    """Return the places of opening brackets behind which, perhaps after one character more, stands "at" or "AT"."""
    marks = scanned.marks
    opens = (marks[:-3] & _OPEN).nonzero()[0]
    first, second, third = (marks[opens + distance] for distance in (1, 2, 3))
    there = (first & _A != 0) & (second & _T != 0) | (second & _A != 0) & (third & _T != 0)
    return opens[there].tolist()


@cache
def _table() -> NDArray[np.uint8]:
    table = np.zeros(_LAST + 1, np.uint8)
    members = {
        _DIGIT: _DIGITS,
        _JOIN: _JOINTS,
        _CAPITAL: "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        _DOT: ".",
        _COLON: ":",
        _OPEN: "([<{",
        _A: "aA",
        _T: "tT",
    }
    for mark, characters in members.items():
        table[[ord(character) for character in characters]] |= mark
    return table
