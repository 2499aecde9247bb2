"""Compiled message catalogues of Qt (.qm): translations of an interface, those of one window side by side.

A file is a magic number and sections, each a tag of one byte, a length of four and its bytes. The section of messages
is a row of fields, each a tag and, but for the last of a message, a length of four bytes and its bytes; numbers are
big-endian. The format as read by Qt: https://doc.qt.io/qt-6/qtranslator.html, `lconvert` shows a file's messages.
"""

import struct
from collections.abc import Iterable, Iterator

from modeling_axk1.data.extract.block import Text, decode
from modeling_axk1.data.extract.joined import join_strings
from modeling_axk1.errors import DataError

_MAGIC = bytes.fromhex("3cb86418caef9c95cd211cbf60a1bddd")
_MESSAGES = 0x69
# Fields of a message: its translation, or one for each plural form, its original, and where it stood in the program.
_END, _TRANSLATION, _SOURCE = 1, 3, 6
_OTHERS = frozenset({2, 4, 7, 8})
# The length of a text that is not there.
_NONE = 0xFFFFFFFF


def qt_catalogue(name: str, data: bytes) -> Iterable[Text]:
    """Yield the translations of a catalogue, joined to texts in the order of the file.

    One that is the same as its original is one that nobody translated.
    """
    return join_strings(_translations(name, data))


def _translations(name: str, data: bytes) -> Iterator[str]:
    if not data.startswith(_MAGIC):
        raise DataError(f"{name}: not a catalogue of Qt")
    try:
        for tag, section in _fields(data, len(_MAGIC)):
            if tag == _MESSAGES:
                yield from _messages(name, section)
    except struct.error:
        raise DataError(f"{name}: the catalogue is cut off") from None


def _messages(name: str, section: bytes) -> Iterator[str]:
    translations: list[str] = []
    original = ""
    for tag, value in _fields(section, 0):
        if tag == _TRANSLATION:
            translations.append(decode(name, value, "utf-16-be"))
        elif tag == _SOURCE:
            original = decode(name, value, "utf-8")
        elif tag == _END:
            yield from (one for one in translations if one != original)
            translations, original = [], ""
        elif tag not in _OTHERS:
            raise DataError(f"{name}: a message has an unknown field {tag}")


def _fields(data: bytes, place: int) -> Iterator[tuple[int, bytes]]:
    while place < len(data):
        tag = data[place]
        place += 1
        if tag == _END:
            yield tag, b""
            continue
        (length,) = struct.unpack_from(">I", data, place)
        place += 4
        length = 0 if length == _NONE else length
        if place + length > len(data):
            raise struct.error
        yield tag, data[place : place + length]
        place += length
