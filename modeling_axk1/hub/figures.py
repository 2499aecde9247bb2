"""Figures of a card: each is a link to the file that holds it, titled with where in that file it stands.

    [2.190](results/train.json "/measured/bits_per_byte")

So a reader can follow it, and `axk1 hub check` can read the card and the file and compare them.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from modeling_axk1.errors import HubError

# Of bounded length: a card may be a stranger's, and a line of brackets would be looked through from each of them.
_FIGURE = re.compile(r'\[([^\[\]\n]{0,200})\]\(([^)\s"]{1,300}\.json) "(/[^"\n]{0,300})"\)')


class Figure(NamedTuple):
    """A figure in a card: the words it is printed as, the file, and the JSON pointer in it."""

    text: str
    file: str
    pointer: str


class Figures:
    """Give a card its figures from the JSON files of one repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def value(self, file: str, pointer: str) -> Any:
        """Return a value; raises HubError naming the file and the place where it is missing."""
        return at(self._read(file), pointer, f"{self.folder.name}/{file}")

    def link(self, file: str, pointer: str, form: str = "{:,}") -> str:
        """Return a value as a linked figure, formatted by `str.format`."""
        value = self.value(file, pointer)
        try:
            return f'[{form.format(value)}]({file} "{pointer}")'
        except (TypeError, ValueError):
            raise HubError(f"{self.folder.name}/{file}: {pointer} must be a figure, got {value!r:.60}") from None

    @cache  # noqa: B019  # lives as long as one card
    def _read(self, file: str) -> Any:
        try:
            return json.loads((self.folder / file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise HubError(f"a card's figures come from {file}, which cannot be read: {error}") from None


def at(document: Any, pointer: str, where: str) -> Any:
    """Return what a JSON pointer (RFC 6901, without escapes) points at; raises HubError where it points at nothing."""
    found = document
    for key in pointer.strip("/").split("/"):
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (KeyError, IndexError, TypeError, ValueError):
            raise HubError(f"{where} lacks the figure {pointer}") from None
    return found


def figures_in(text: str) -> Iterator[Figure]:
    """Yield the figures of a card, in order."""
    for match in _FIGURE.finditer(text):
        yield Figure(*match.groups())


def says(text: str, value: Any) -> bool:
    """Whether a printed figure is the value, rounded to the digits that are printed.

    Example: "2.190" says 2.1903, and "2.191" does not; "99.5 %" says 0.995.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return text.strip("`") == str(value)
    match = re.fullmatch(r"(-?[0-9][0-9,]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)( ?%)?", text)
    if not match:
        return False
    number = match[1].replace(",", "")
    mantissa, _, exponent = number.partition("e")
    decimals = len(mantissa.partition(".")[2])
    wanted = value * 100 if match[2] else value
    try:
        printed = f"{wanted:.{decimals}e}" if exponent else f"{wanted:.{decimals}f}"
        return float(printed) == float(number)
    except OverflowError:  # a whole number beyond every float
        return False
