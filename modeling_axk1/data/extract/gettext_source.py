"""Message catalogues of gettext as translators write them (.po).

The format: https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html
"""

import json
import re
from collections.abc import Iterable, Iterator

from modeling_axk1.data.extract.block import Text, decode
from modeling_axk1.data.extract.joined import join_strings
from modeling_axk1.errors import DataError

_CHARSET = re.compile(rb"charset=([A-Za-z0-9_.:-]+)")
# A keyword with its string, or a line that goes on with the string of the line before.
_LINE = re.compile(r'(?:(msgctxt|msgid|msgid_plural|msgstr)(?:\[\d+\])? +)?(".*")')


def gettext_source(name: str, data: bytes) -> Iterable[Text]:
    """Yield the translations of a catalogue, joined to texts in the order of the file.

    Left out are translations marked as fuzzy (guessed from a similar message), those that are the same as their
    original, and obsolete ones (comments, to gettext). The header names the character set; without it the file is
    refused.
    """
    charset = _CHARSET.search(data)
    if charset is None:
        raise DataError(f"{name}: a catalogue must name its character set")
    return join_strings(_translations(name, decode(name, data, charset[1].decode())))


def _translations(name: str, text: str) -> Iterator[str]:
    for entry in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        strings: list[tuple[str, str]] = []
        for line in entry.splitlines():
            if line.startswith("#"):
                continue
            found = _LINE.fullmatch(line.strip())
            if not found or not (found[1] or strings):
                raise DataError(f"{name}: not a line of a catalogue: {line[:80]!r}")
            string = _unescape(name, found[2])
            if found[1]:
                strings.append((found[1], string))
            else:
                strings[-1] = strings[-1][0], strings[-1][1] + string
        originals = {string for keyword, string in strings if keyword.startswith("msgid")}
        if "" in originals or re.search(r"^#,.*\bfuzzy\b", entry, re.MULTILINE):
            continue
        yield from (string for keyword, string in strings if keyword == "msgstr" and string not in originals)


def _unescape(name: str, quoted: str) -> str:
    # The escapes that are in use (\n, \t, \", \\) are those of JSON.
    try:
        return str(json.loads(quoted, strict=False))
    except json.JSONDecodeError as error:
        raise DataError(f"{name}: not a string of a catalogue: {quoted[:80]}: {error.msg}") from None
