"""What an extractor returns, and how it reads characters."""

from typing import NamedTuple

from modeling_axk1.errors import DataError


class Block(NamedTuple):
    """A paragraph, heading, list or table row by row, or (verbatim) a listing with its own line breaks."""

    text: str
    verbatim: bool = False


class Text(NamedTuple):
    """One text of a file: its blocks, which part of the file it is ("" for all), and the licence that it states.

    `license` is an SPDX identifier, or None when the file says nothing and its package's licence holds.
    """

    blocks: list[Block]
    part: str = ""
    license: str | None = None


def decode(name: str, data: bytes, charset: str) -> str:
    """Return the text of a file in the given character set, without a byte order mark.

    Raises DataError naming the byte that is wrong.
    """
    try:
        return data.decode(charset).removeprefix("\ufeff")
    except LookupError:
        raise DataError(f"{name}: unknown character set {charset!r}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not {charset} at byte {error.start}") from None
