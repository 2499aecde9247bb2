"""The steps that exist so far. A recipe names them in order, with their parameters."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace

from modeling_axk1.data.document import Document, Drop, Step

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
    text = _UNWANTED.sub("", _LINE_BREAKS.sub("\n", text))
    text = unicodedata.normalize("NFC", text)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def normalise() -> Step:
    """Bring every text to one form, so that equal texts have equal bytes."""
    return Step("normalise", lambda document: replace(document, text=normalise_text(document.text)))


def length(min_bytes: int, max_line_bytes: int) -> Step:
    """Drop texts too short to learn from, and texts with a line so long that it is data or minified code."""

    def decide(document: Document) -> Document | Drop:
        if document.bytes < min_bytes:
            return Drop(f"shorter than {min_bytes} bytes")
        if max(len(line.encode()) for line in document.text.split("\n")) > max_line_bytes:
            return Drop(f"a line longer than {max_line_bytes} bytes")
        return document

    return Step("length", decide)


def licence(allowed: Mapping[str, str], forbidden: Mapping[str, str]) -> Step:
    """Keep documents whose licence the recipe allows; say of every other whether it is forbidden or unknown."""

    def decide(document: Document) -> Document | Drop:
        if document.license in forbidden:
            return Drop(f"licence forbidden: {document.license} ({forbidden[document.license]})")
        if document.license not in allowed:
            return Drop(f"licence unknown: {document.license or 'none stated'}")
        return document

    return Step("licence", decide)


def duplicates() -> Step:
    """Drop every text seen before, byte for byte; the first one stays."""
    seen: set[str] = set()

    def decide(document: Document) -> Document | Drop:
        digest = document.sha256
        if digest in seen:
            return Drop("exact duplicate")
        seen.add(digest)
        return document

    return Step("duplicates", decide)


# The steps a recipe may name under [[steps]], and the type of each parameter. The licence gate is no choice: every
# build begins with it.
STEPS: dict[str, tuple[Callable[..., Step], dict[str, type]]] = {
    "normalise": (normalise, {}),
    "length": (length, {"min_bytes": int, "max_line_bytes": int}),
    "duplicates": (duplicates, {}),
}
