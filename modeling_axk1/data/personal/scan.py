"""Where a text may have a number: every character is looked up in a table once, and patterns are tried only there.

A pattern that begins with a class of characters is tried at every character of the text, which took most of the time.
What is asked here is necessary for the patterns and costs a tenth of them; what is found is still for them to say.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

_DIGIT, _JOIN, _CAPITAL, _DOT, _COLON, _OPEN, _A, _T = (1 << bit for bit in range(8))
_DIGITS = "0123456789０１２３４５６７８９"
# What stands between the digits of one number, full-width forms and all that is written for a hyphen or a space among
# them (numbers.py).
_JOINTS = "-. ()/（）\u3000\xa0‐‑‒–—−－ー"
_LAST = 0xFFFF

Marks = NDArray[np.uint8]


def scan(text: str) -> Marks:
    """Return what each character of a text is to the functions below."""
    if text.isascii():
        return np.frombuffer(text.encode().translate(_table()[:256].tobytes()), np.uint8)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return _table().take(codes.astype(np.intp), mode="clip")


def digit_runs(marks: Marks, least: int) -> list[tuple[int, int]]:
    """Return [start, end) of all that is written with digits and joints only, and with `least` digits or more."""
    digits = np.flatnonzero(marks & _DIGIT)
    if len(digits) < least:
        return []
    # Digits stand in one run when as many other characters are before both.
    others = np.cumsum(marks & (_DIGIT | _JOIN) == 0)
    before = others[digits]
    runs = np.unique(before[least - 1 :][before[least - 1 :] == before[: len(before) - least + 1]])
    starts = np.where(runs == 0, 0, np.searchsorted(others, runs) + 1)
    return list(zip(starts.tolist(), np.searchsorted(others, runs + 1).tolist(), strict=True))


def capitals_and_digits(marks: Marks) -> list[int]:
    """Return the places where two capital letters (A to Z) and two digits follow each other."""
    digit, capital = marks & _DIGIT != 0, marks & _CAPITAL != 0
    return np.flatnonzero(capital[:-3] & capital[1:-2] & digit[2:-1] & digit[3:]).tolist()


def dotted(marks: Marks) -> list[int]:
    """Return the places of dots that begin three within nine characters, each with a digit on both sides."""
    dots = np.flatnonzero(marks & _DOT)
    dots = dots[(dots > 0) & (dots < len(marks) - 1)]
    dots = dots[(marks[dots - 1] & marks[dots + 1] & _DIGIT) != 0]
    return dots[:-2][dots[2:] - dots[:-2] <= 8].tolist()


def colons(marks: Marks) -> list[int]:
    """Return the places of colons that have a digit four characters before them."""
    found = np.flatnonzero(marks & _COLON)
    found = found[found >= 4]
    return found[(marks[found - 4] & _DIGIT) != 0].tolist()


def bracketed_at(marks: Marks) -> list[int]:
    """Return the places of opening brackets behind which, perhaps after one character more, stands "at" or "AT"."""
    at = (marks[:-1] & _A != 0) & (marks[1:] & _T != 0)
    return np.flatnonzero((marks[:-3] & _OPEN != 0) & (at[1:-1] | at[2:])).tolist()


@cache
def _table() -> Marks:
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
