"""Compiled message catalogues of gettext (.mo): translations of an interface, or of a story told in a game.

The format: https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html
"""

import re
import struct
from collections.abc import Iterable, Iterator

from modeling_axk1.data.extract.block import Text, decode
from modeling_axk1.data.extract.joined import join_strings
from modeling_axk1.errors import DataError

_CHARSET = re.compile(rb"charset=([A-Za-z0-9_.:-]+)")
_HEADER = struct.calcsize("<7I")


def gettext_catalogue(name: str, data: bytes) -> Iterable[Text]:
    """Yield the translations of a catalogue, joined to texts in the order of the file.

    A message that is empty or the same as its original is one that nobody translated. The catalogue's own header
    names its character set; one without a header is refused.
    """
    return join_strings(_translations(name, data))


def _translations(name: str, data: bytes) -> Iterator[str]:
    charset = ""
    for original, translation in _entries(name, data):
        if not original:
            declared = _CHARSET.search(translation)
            charset = declared[1].decode() if declared else ""
            continue
        if not charset:
            raise DataError(f"{name}: a catalogue must name its character set")
        originals = decode(name, original, charset).rpartition("\x04")[2].split("\0")
        for string in decode(name, translation, charset).split("\0"):
            if string not in originals:
                yield string


def _entries(name: str, data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (original, translation) in the file's order, which begins with the header's empty original."""
    order = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}.get(data[:4])
    if order is None or len(data) < _HEADER:
        raise DataError(f"{name}: not a compiled message catalogue")
    _, count, originals, translations = struct.unpack_from(f"{order}4I", data, 4)
    if max(originals, translations) + 8 * count > len(data):
        raise DataError(f"{name}: the catalogue is cut off")
    for number in range(count):
        pair = []
        for table in (originals, translations):
            length, offset = struct.unpack_from(f"{order}2I", data, table + 8 * number)
            if offset + length > len(data):
                raise DataError(f"{name}: the catalogue is cut off")
            pair.append(data[offset : offset + length])
        yield pair[0], pair[1]
