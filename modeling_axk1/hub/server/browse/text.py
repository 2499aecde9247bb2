"""Bytes as text: in which encoding, cut to what a page can hold, and JSON with line breaks."""

import codecs
import json
import re
from dataclasses import dataclass

# More of a file is not read for a page; the raw file has the rest.
LARGEST_TEXT = 512 * 1024
MOST_LINES = 5000
LONGEST_LINE = 2000
_DEEPEST_JSON = 64

# Longest first: the mark of UTF-16 is the beginning of that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF32_LE, "UTF-32-LE"),
    (codecs.BOM_UTF32_BE, "UTF-32-BE"),
    (codecs.BOM_UTF16_LE, "UTF-16-LE"),
    (codecs.BOM_UTF16_BE, "UTF-16-BE"),
)
# What no text holds; terminals' escape is in recorded logs.
_CONTROLS = bytes(number for number in range(32) if number not in b"\t\n\r\f\x1b")
_HANGUL = re.compile("[가-힣]")
_JSON_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@dataclass(frozen=True)
class Line:
    """One line of a file; `cut` says how many of its characters are not shown."""

    number: int
    text: str
    cut: int = 0


@dataclass(frozen=True)
class Text:
    """The beginning of a file, or all of it when `whole`.

    `encoding` names how its bytes were read; `is_guess` when they do not say so themselves and are not UTF-8.
    """

    text: str
    encoding: str
    is_guess: bool
    whole: bool


def read_text(content: bytes, size: int) -> Text | None:
    """Return what the first bytes of a file of `size` bytes say; None when they are no text.

    UTF-8 and what a byte order mark names is known. Anything else is a guess: Korean (CP949) when it makes Hangul of
    the bytes and no error, else Latin-1, which makes some character of any byte.
    """
    whole = len(content) >= size
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            text = _decoded(content[len(mark) :], encoding, whole)
            return None if text is None else Text(text, encoding, is_guess=False, whole=whole)
    if len(content.translate(None, _CONTROLS)) < len(content):
        return None
    if (text := _decoded(content, "UTF-8", whole)) is not None:
        return Text(text, "UTF-8", is_guess=False, whole=whole)
    if (text := _decoded(content, "CP949", whole)) is not None and _HANGUL.search(text):
        return Text(text, "CP949", is_guess=True, whole=whole)
    return Text(content.decode("latin-1"), "Latin-1", is_guess=True, whole=whole)


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, as editors count them: what follows the last line break is a line if not empty."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def shown_lines(text: str) -> list[Line]:
    """Return at most MOST_LINES lines of a text, each cut to LONGEST_LINE characters."""
    return [
        Line(number, line[:LONGEST_LINE], max(0, len(line) - LONGEST_LINE))
        for number, line in enumerate(lines_of(text)[:MOST_LINES], start=1)
    ]


def pretty_json(text: str) -> str | None:
    """Return JSON with a line for each value, every number and string as it is written; None when it is none."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    parts: list[str] = []
    depth = 0
    before = ""
    for part in _JSON_PART.findall(text):
        if part in "}]":
            depth -= 1
            parts.append(part if before in "{[" else "\n" + "  " * depth + part)
        else:
            if before and before in "{[,":
                parts.append("\n" + "  " * depth)
            parts.append(": " if part == ":" else part)
            if part in "{[":
                depth += 1
                if depth > _DEEPEST_JSON:
                    return None
        before = part
    return "".join(parts) + "\n"


def _decoded(content: bytes, encoding: str, whole: bool) -> str | None:
    """Return the text, without a character that the end of the bytes cuts in two; None when it is none."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(content, final=whole)
    except UnicodeDecodeError:
        return None
