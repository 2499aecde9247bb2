"""What the finders of personal data and secrets give back, and how they look for it."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Found(NamedTuple):
    """A stretch of a text, [start, end), and what kind of thing it is."""

    start: int
    end: int
    kind: str


def places(text: str, literal: str) -> Iterator[int]:
    """Yield where `literal` stands in the text. Many times faster than a pattern that begins by looking behind."""
    place = text.find(literal)
    while place >= 0:
        yield place
        place = text.find(literal, place + 1)


def matches(pattern: re.Pattern[str], text: str, starts: Iterable[int]) -> Iterator[re.Match[str]]:
    """Yield what `pattern.finditer(text)` yields when no match begins elsewhere than at `starts`, which ascend."""
    end = 0
    for start in starts:
        if start >= end and (match := pattern.match(text, start)):
            yield match
            end = match.end()


def apart(text: str, match: re.Match[str], left: str) -> bool:
    """Tell whether no character of `left` stands right before a match; letters and digits never may (ASCII only)."""
    if match.start() == 0:
        return True
    before = text[match.start() - 1]
    return before not in left and before != "_" and not (before.isascii() and before.isalnum())
