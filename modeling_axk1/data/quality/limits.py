"""The limits of quality for each language, and why they are not always those of the papers.

The papers' limits were found on web pages and drop 60 to 80 % of manuals, stories and messages of programs. Each limit
here was set by reading examples of what it drops of 12,700 documents from the corpus's own sources.
"""

from dataclasses import dataclass, replace

from modeling_axk1.data.quality.rules import Limits

_ENGLISH = Limits(
    min_units=30,
    min_letters=0.7,
    stop_words=("the", "be", "to", "of", "and", "that", "have", "with"),
    min_line_ends=None,
    max_short_lines=0.95,
    max_line_breaks=0.6,
    duplicate=((5, 0.3), (6, 0.28), (7, 0.26), (8, 0.24), (9, 0.22), (10, 0.2)),
)
_CHINESE = replace(
    _ENGLISH,
    min_units=60,
    max_units=200_000,
    min_mean_length=None,
    max_mean_length=None,
    min_letters=0.6,
    stop_words=None,
    separator=0,
    short_line=8,
    max_line_breaks=0.3,
    top=((4, 0.2), (6, 0.18), (8, 0.16)),
    duplicate=((10, 0.3), (12, 0.28), (14, 0.26), (16, 0.24), (18, 0.22), (20, 0.2)),
)
# Of a language that nobody has looked at.
OTHERS = replace(_ENGLISH, min_mean_length=None, max_mean_length=None, stop_words=None)
LIMITS = {
    "en": _ENGLISH,
    "es": replace(_ENGLISH, stop_words=("de", "la", "que", "el", "en", "y", "a", "los", "del", "se", "las", "por")),
    "zh": _CHINESE,
    # A Japanese word takes more characters, of kana, and a Korean one about as many as a Chinese.
    "ja": replace(
        _CHINESE, min_units=80, max_units=300_000, duplicate=tuple((n + 2, x) for n, x in _CHINESE.duplicate)
    ),
    "ko": replace(_CHINESE, short_line=10),
}


@dataclass(frozen=True)
class Rule:
    """One rule as the documentation shows it: the field of Limits, what it limits, and the reason for our values."""

    field: str
    limits: str
    paper: str
    why: str


RULES = [
    Rule("min_units", "words, or characters of ko, ja and zh", "Gopher", "a help page may be two sentences"),
    Rule(
        "max_units",
        "words or characters",
        "Gopher",
        "as published; a word is about two Chinese, three Japanese characters",
    ),
    Rule("min_mean_length", "mean length of words", "Gopher", "as published; no words in ko, ja and zh"),
    Rule("max_mean_length", "mean length of words", "Gopher", "as published; no words in ko, ja and zh"),
    Rule("max_symbols", "number signs, and ellipses, per word or character", "Gopher", "as published"),
    Rule("min_letters", "share of words with a letter", "Gopher", "manuals name sizes, versions and codes"),
    Rule(
        "stop_words",
        "two of these must be there",
        "Gopher",
        "as published; the commonest Spanish ones; ko, ja, zh: none",
    ),
    Rule("max_bullets", "share of lines that begin with a bullet", "Gopher", "as published"),
    Rule("max_ellipsis_ends", "share of lines that end with an ellipsis", "Gopher", "as published"),
    Rule(
        "min_line_ends",
        "share of lines that end a sentence",
        "FineWeb",
        "not applied: messages of programs, captions and items of lists have no full stop",
    ),
    Rule(
        "max_short_lines",
        "share of lines of `short_line` characters or fewer",
        "FineWeb",
        "lists of options and messages are short lines; drops lists of names alone",
    ),
    Rule("max_line_breaks", "line breaks per word or character", "FineWeb", "synopses and menus break often"),
    Rule("max_repeated_lines", "share of lines that stood before", "Gopher", "as published"),
    Rule(
        "max_repeated_line_characters",
        "share of characters in them",
        "Gopher",
        "as published; FineWeb's 0.01 drops manuals",
    ),
    Rule("max_repeated_paragraphs", "share of paragraphs that stood before", "Gopher", "as published"),
    Rule("max_repeated_paragraph_characters", "share of characters in them", "Gopher", "as published"),
    Rule(
        "top",
        "share of characters in the most frequent run",
        "Gopher",
        "as published; runs of characters twice as long",
    ),
    Rule(
        "duplicate",
        "share of characters in runs that stood before",
        "Gopher",
        "twice the published: references say 'Changed in version' again and again and are right to",
    ),
]


def rules() -> list[dict[str, str]]:
    """Return the table of rules: what is limited, the paper and its value, ours per language, and why."""
    paper = Limits()
    return [
        {
            "rule": rule.limits,
            "paper": f"{rule.paper}: {_shown(getattr(paper, rule.field))}",
            **{language: _shown(getattr(limits, rule.field)) for language, limits in LIMITS.items()},
            "why": rule.why,
        }
        for rule in RULES
    ]


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{one[0]}: {one[1]}" if isinstance(one, tuple) else str(one) for one in value)
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
