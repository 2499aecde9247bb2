"""Java's message files (.properties): lines `key=message`, with escapes as in Java."""

import re
from collections.abc import Iterable, Iterator

from modeling_axk1.data.extract.block import Text, decode
from modeling_axk1.data.extract.joined import join_strings

_ENTRY = re.compile(r"^\s*(?![#!])(?:\\.|[^=:\\])+[=:][ \t]*(.*)$")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))")
# A choice by number, "{{plural:%n%|one=day|other=days}}": the last form stands for all.
_CHOICE = re.compile(r"\{\{[^{}]*\|[^{}|=]*=([^{}|]*)\}\}")
_CONTROL = {"n": "\n", "t": " ", "r": ""}


def properties(name: str, data: bytes) -> Iterable[Text]:
    """Yield the messages of a file in UTF-8, joined to texts in the order of the file."""
    return join_strings(_messages(decode(name, data, "utf-8")))


def _messages(text: str) -> Iterator[str]:
    for line in re.sub(r"(?<!\\)\\\n[ \t]*", "", text.replace("\r\n", "\n")).split("\n"):
        if entry := _ENTRY.match(line):
            message = _ESCAPE.sub(lambda e: chr(int(e[1], 16)) if e[1] else _CONTROL.get(e[2], e[2]), entry[1])
            message = _CHOICE.sub(r"\1", message)
            # Half a character, written as one of two escapes, is put together or not let in.
            yield message.encode("utf-16", "surrogatepass").decode("utf-16", "ignore").strip()
