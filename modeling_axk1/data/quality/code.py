"""The rules of quality for program text: written by a person, to be read by one.

The limits of lines and letters are those of The Stack (https://arxiv.org/abs/2211.15533); the others were set by
reading what they drop of Go's, Rust's and Python's libraries.
"""

import re
import string

# At the beginning of a line: in the middle of one, something else is spoken of.
_GENERATED = re.compile(
    r"^\W*(?:(?:code|(?:this )?file|this(?: code)?)(?: is| was| has been)? )?"
    r"(?:auto[- ]?|automatically |machine[- ])?generated (?:by|from|automatically|using|with|file|code)\b"
    r"|@generated\b|^[^\n]{0,60}\bDO NOT (?:EDIT|MODIFY)\b",
    re.MULTILINE | re.IGNORECASE,
)
# Only the head says it of the whole file; further down it is a string or a remark.
_HEAD = 1000
MAX_LINE = 1000
MAX_MEAN_LINE = 100
MIN_LETTERS = 0.25
MAX_NUMBERS = 0.3
_HEX = re.compile(r"\b0[xX][0-9A-Fa-f_]+|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}")
_DIGITS, _ASCII_LETTERS, _ASCII = b"0123456789", string.ascii_letters.encode(), bytes(range(128))
# None of digits, "_" and what is no part of a word; of those beyond ASCII.
_LETTERS = re.compile(r"[^\W\d_]+")
MAX_REPEATED = 0.5
_REPEATED_LINE = 12


def broken(text: str) -> str | None:
    """Return the rule that a program's text breaks, or None."""
    if _GENERATED.search(text, 0, _HEAD):
        return "generated file"
    lines = text.split("\n")
    if max(map(len, lines)) > MAX_LINE:
        return f"a line of more than {MAX_LINE} characters"
    filled = [line for line in lines if line.strip()]
    if not filled:
        return "empty"
    if sum(map(len, filled)) > MAX_MEAN_LINE * len(filled):
        return f"lines of more than {MAX_MEAN_LINE} characters in the mean"
    visible = sum(map(len, text.split()))
    if _letters(text) < MIN_LETTERS * visible:
        return "too few letters"
    numbers = _count(text.encode(), _DIGITS) + sum(map(len, _HEX.findall(text) if _has_escapes(text) else ()))
    if numbers > MAX_NUMBERS * visible:
        return "table of numbers"
    # Braces and returns repeat in any program; whole statements in data.
    long = [line for line in map(str.strip, filled) if len(line) >= _REPEATED_LINE]
    if len(long) - len(set(long)) > MAX_REPEATED * len(filled):
        return "repeated lines"
    return None


def _letters(text: str) -> int:
    encoded = text.encode()
    # What is left is UTF-8 too: its longer sequences have no byte of ASCII.
    others = encoded.translate(None, _ASCII).decode()
    return _count(encoded, _ASCII_LETTERS) + sum(map(len, _LETTERS.findall(others)))


def _count(encoded: bytes, characters: bytes) -> int:
    return len(encoded) - len(encoded.translate(None, characters))


def _has_escapes(text: str) -> bool:
    return any(beginning in text for beginning in ("0x", "0X", "\\x", "\\u"))


def rules() -> list[dict[str, str]]:
    """Return the rules with their limits and the reasons."""
    return [
        {
            "rule": "the head says that it was generated",
            "limit": "no",
            "why": "its source is another file; DO NOT EDIT",
        },
        {"rule": "longest line", "limit": f"{MAX_LINE} characters", "why": "minified, or data in a string (The Stack)"},
        {"rule": "mean length of lines", "limit": f"{MAX_MEAN_LINE} characters", "why": "minified (The Stack)"},
        {"rule": "share of letters", "limit": f">= {MIN_LETTERS}", "why": "data, not a program (The Stack)"},
        {"rule": "share of digits and escapes", "limit": f"<= {MAX_NUMBERS}", "why": "tables of numbers, Unicode data"},
        {
            "rule": "share of repeated statements",
            "limit": f"<= {MAX_REPEATED}",
            "why": "unrolled or generated without saying",
        },
    ]
