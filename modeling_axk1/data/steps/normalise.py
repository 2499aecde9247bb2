"""One form for equal texts."""

import re
import unicodedata
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from modeling_axk1.data.code_points import code_points
from modeling_axk1.data.document import Document, Drop, Step
from modeling_axk1.data.mojibake import MAX_HIGH_LATIN, MAX_REPLACED, MIN_REPLACED, repair, unreadable

_LINE_BREAKS = re.compile(r"\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Everything of category Cc but tab and newline, and the byte order mark. Joiners and other format characters stay:
# emoji and several scripts need them.
_UNWANTED = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f-\x9f\ufeff]")
_BLANK_LINES = re.compile(r"\n{3,}")


def normalise_text(text: str) -> str:
    """Return the text in NFC, with Unix line ends, no control characters, trailing spaces or runs of blank lines.

    Doing it twice changes nothing. Characters go before NFC is applied, because a base letter and an accent that
    stood apart may now compose.
    """
    if _is_odd(text):
        text = _UNWANTED.sub("", _LINE_BREAKS.sub("\n", text))
    text = unicodedata.normalize("NFC", text)
    text = "\n".join(map(str.rstrip, text.split("\n")))
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.strip("\n")


def _is_odd(text: str) -> bool:
    """Tell whether a line break or unwanted character is in a text; a table says it faster than the patterns."""
    return bool(_odd().take(code_points(text), mode="clip").any())


@cache
def _odd() -> NDArray[np.bool_]:
    # What follows the last entry is as the last entry is.
    table = np.zeros(0x10000, np.bool_)
    for code in range(0xFFFF):
        character = chr(code)
        table[code] = bool(_LINE_BREAKS.match(character) or _UNWANTED.match(character))
    return table


def normalise() -> Step:
    """Bring every text to one form, so that equal texts have equal bytes; drop what cannot be read."""

    def decide(document: Document) -> Document | Drop:
        # Before control characters go: Latin-1 shows half of all bytes above 0x7f as such.
        text = normalise_text(repair(document.text))
        reason = unreadable(text, document.language)
        if reason:
            return Drop(reason)
        return document if text == document.text else replace(document, text=text)

    return Step("normalise", decide)


def rules() -> list[dict[str, str]]:
    """Return the rules by which a text is refused, with their limits and the reasons."""
    return [
        {
            "rule": "undecodable characters (U+FFFD)",
            "limit": f"fewer than {MIN_REPLACED}, or at most {MAX_REPLACED:.1%} of the text",
            "why": "a decoder gave up there, and what stood there is lost",
        },
        {
            "rule": "accented Latin letters and signs (ko, ja, zh)",
            "limit": f"at most {MAX_HIGH_LATIN:.0%} of the text",
            "why": "EUC-KR, Shift JIS or GBK read as Latin-1, which cannot be turned back",
        },
    ]
