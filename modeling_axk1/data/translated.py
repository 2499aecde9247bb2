"""Lines that are not in the language that their file claims.

Manuals and catalogues fall back to English where nobody translated.
"""

import re

# What a translated line has at least once, its letters or its commonest words.
_MARKS = {
    "ko": re.compile(r"[가-힣]"),
    "ja": re.compile(r"[ぁ-ヿ]"),
    "zh": re.compile(r"[一-鿿]"),
    "es": re.compile(r"\b(?:de|del|el|la|los|las|que|un|una|para|por|con|es|se)\b"),
}
# From this many letters on, a line without its language's marks is one that nobody translated yet.
_UNTRANSLATED_LETTERS = 30
_LETTERS = re.compile(r"[^\W\d_]")


def translated_lines(text: str, language: str) -> str:
    """Return the text without those lines that are long enough to tell, and are not in the language."""
    return "\n".join(line for line in text.split("\n") if not _untranslated(line, language))


def _untranslated(line: str, language: str) -> bool:
    if language not in _MARKS or _MARKS[language].search(line):
        return False
    return len(_LETTERS.findall(line)) >= _UNTRANSLATED_LETTERS
