"""Short strings put together to texts of a sensible length."""

import html
import re
from collections.abc import Iterable, Iterator

from modeling_axk1.data.extract.block import Block, Text

# A text is full when the next string would bring it above this many bytes of UTF-8.
_FULL = 8_000
# A string with fewer letters is a label, not a sentence. A letter of the East Asian scripts says as much as three.
_LEAST_LETTERS = 16
_LETTERS = re.compile(r"[^\W\d_]")
_EAST_ASIAN = re.compile(r"[ぁ-ヿ一-鿿가-힣]")

_TAGS = re.compile(r"</?[A-Za-z][^<>\n]*>")
# The letter that a menu entry is reached by: "파일(_F)", "파일(&F)...", "_File", "&File".
_KEY_BEHIND = re.compile(r"\s*\([&_][A-Za-z0-9]\)")
_KEY_WITHIN = re.compile(r"(?<![\w&/.])[&_](?=[A-Za-z][a-z])(?!\w+;)|(?<=[a-záéíóúñ])&(?=[a-záéíóúñ])(?!\w+;)")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d+);")


def clean_string(text: str) -> str:
    """Return an interface string without markup and without the mark of its access key.

    Example:
        >>> clean_string("<b>파일(_F)</b>")
        '파일'

    """
    text = _KEY_WITHIN.sub("", _KEY_BEHIND.sub("", _TAGS.sub("", text)))
    text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def join_strings(strings: Iterable[str]) -> Iterator[Text]:
    """Yield texts made of the strings in their order, one a line, numbered from 1.

    Each string counts once; labels are left out. A string with line breaks of its own stands between blank lines.
    """
    seen: set[str] = set()
    text, before, number = "", "", 1
    for string in map(clean_string, strings):
        if string in seen or _letters(string) < _LEAST_LETTERS:
            continue
        seen.add(string)
        if text and len(text.encode()) + len(string.encode()) > _FULL:
            yield Text([Block(text)], str(number))
            text, number = "", number + 1
        gap = "\n\n" if "\n" in string + before else "\n"
        text += gap + string if text else string
        before = string
    if text:
        yield Text([Block(text)], str(number))


def _letters(string: str) -> int:
    return len(_LETTERS.findall(string)) + 2 * len(_EAST_ASIAN.findall(string))
