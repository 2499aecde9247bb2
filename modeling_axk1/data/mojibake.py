"""Text that was decoded by the wrong table: what can be repaired with certainty, and what cannot be read.

UTF-8 read as Windows-1252 or Latin-1 (한글 as í•œê¸€, año as aÃ±o) can be turned back: a line is repaired only when
all of it is UTF-8 in that reading, every character that comes out is one that people write, and the text as a whole
says that it is no accident. ftfy 6.3 repairs these as well and more kinds; this is ten times as fast on right text.

Other tables (EUC-KR or Shift JIS read as Latin-1) lose too much to be turned back. Such texts are refused, and so are
those with many U+FFFD, which stand where a decoder gave up.
"""

import re

# How Windows-1252 shows the bytes 0x80 to 0x9f; Latin-1 shows them as control characters, the gaps here do too.
_SHOWN = {
    char: byte for byte in range(0x80, 0xA0) for char in {bytes([byte]).decode("cp1252", "ignore"), chr(byte)} if char
}
_BYTES = _SHOWN | {chr(byte): byte for byte in range(0xA0, 0x100)}
_FOLLOW = "".join(map(re.escape, [*_SHOWN, *map(chr, range(0xA0, 0xC0))]))
# A first byte of UTF-8 with as many following ones as it announces.
_SEQUENCE = re.compile(f"[\xc2-\xcf][{_FOLLOW}]|[\xe0-\xef][{_FOLLOW}]{{2}}|[\xf0-\xf4][{_FOLLOW}]{{3}}")
# What every such sequence begins with, as a pattern that is looked for much faster.
_PAIR = re.compile(f"[\xc2-\xf4][{_FOLLOW}]")
# What comes out of a repair: letters of Western languages, punctuation, symbols, kana, Han, Hangul, emoji.
_WRITTEN = re.compile(
    "[\xa0-\u017f\u0300-\u036f\u2000-\u206f\u20a0-\u23ff\u2500-\u27bf\u3000-\u9fff\uac00-\ud7a3\uff00-\uffef\U0001f300-\U0001faff]*"
)
# Right text may have such a sequence by chance, café”… for one. So many following bytes in a text, and hardly a
# character of this range outside the sequences, speak for a repair.
_EVIDENCE = 2
_COVERED = 0.9
_HIGH = re.compile(f"[{_FOLLOW}\xc0-\xff]")

# Shares of the text at which it cannot be read.
MAX_REPLACED = 0.001
MIN_REPLACED = 3
MAX_HIGH_LATIN = 0.2
_HIGH_LATIN = re.compile("[\xa1-\xff]")


def repair(text: str) -> str:
    """Return the text with the lines repaired that hold UTF-8 read as Windows-1252 or Latin-1, once or twice over."""
    if text.isascii() or not _PAIR.search(text) or not _SEQUENCE.search(text) or not _convincing(text):
        return text
    return "\n".join(line if line.isascii() else _repair_line(line) for line in text.split("\n"))


def unreadable(text: str, language: str) -> str | None:
    """Return why a text cannot be read, or None."""
    replaced = text.count("\ufffd")
    if replaced >= MIN_REPLACED and replaced > MAX_REPLACED * len(text):
        return "undecodable characters (U+FFFD)"
    # Right Korean, Japanese and Chinese have no accented letters to speak of.
    if language in ("ko", "ja", "zh") and len(_HIGH_LATIN.findall(text)) > MAX_HIGH_LATIN * len(text):
        return "decoded by the wrong table"
    return None


def _convincing(text: str) -> bool:
    found = _SEQUENCE.findall(text)
    return sum(map(len, found)) - len(found) >= _EVIDENCE and sum(map(len, found)) >= _COVERED * len(
        _HIGH.findall(text)
    )


def _repair_line(line: str) -> str:
    repaired = turned = line
    for _ in range(2):
        if not _SEQUENCE.search(turned):
            break
        try:
            turned = bytes(_BYTES.get(char, ord(char)) for char in turned).decode()
        except ValueError:
            break
        if _WRITTEN.fullmatch("".join(char for char in turned if not char.isascii())):
            repaired = turned
    return repaired
