"""The rules of quality for prose.

They are those of Gopher (https://arxiv.org/abs/2112.11446, A.1.1) and FineWeb (https://arxiv.org/abs/2406.17557), and
C4's one against filler text (https://arxiv.org/abs/1910.10683), counted in units (units.py): words, or characters of
scripts without spaces. datatrove's filters are the oracle: with the same words and limits the decision is the same.
limits.py says which limits each language has and why.
"""

import re
from dataclasses import dataclass
from functools import cache

from modeling_axk1.data.quality.repetition import duplicate_characters, longest, repeated, top
from modeling_axk1.data.units import Hashes, Units, units

_PARAGRAPHS = re.compile(r"\n{2,}")
# What ends a sentence, also a quoted one, and what ends the line before a list.
LINE_ENDS = tuple(".!?:;。！？：；…．｡」』）)\"'”’»")
_BULLETS = ("•", "-")
_ELLIPSES = ("...", "…")


@dataclass(frozen=True)
class Limits:
    """What a text must not exceed. The values given here are those of the papers; a limit of None is not applied."""

    min_units: int = 50
    max_units: int | None = 100_000
    min_mean_length: float | None = 3
    max_mean_length: float | None = 10
    max_symbols: float | None = 0.1
    min_letters: float | None = 0.8
    stop_words: tuple[str, ...] | None = None
    # What stands between two units: a space between words, nothing between characters.
    separator: int = 1
    max_bullets: float | None = 0.9
    max_ellipsis_ends: float | None = 0.3
    min_line_ends: float | None = 0.12
    max_short_lines: float | None = 0.67
    short_line: int = 30
    max_line_breaks: float | None = 0.3
    max_repeated_lines: float | None = 0.3
    max_repeated_line_characters: float | None = 0.2
    max_repeated_paragraphs: float | None = 0.3
    max_repeated_paragraph_characters: float | None = 0.2
    # The shortest first.
    top: tuple[tuple[int, float], ...] = ((2, 0.2), (3, 0.18), (4, 0.16))
    duplicate: tuple[tuple[int, float], ...] = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1))


def broken(text: str, limits: Limits) -> str | None:
    """Return the rule that a text breaks, or None. What is quickly told comes first."""
    if not text.strip():
        return "empty"
    return _filler(text) or _repeated_pieces(text, limits) or _lines(text, limits) or _units(text, limits)


def _filler(text: str) -> str | None:
    return "filler text (lorem ipsum)" if "orem ipsum" in text else None


def _repeated_pieces(text: str, limits: Limits) -> str | None:
    for kind, pieces, max_count, max_characters in (
        (
            "paragraphs",
            _paragraphs(text.strip()),
            limits.max_repeated_paragraphs,
            limits.max_repeated_paragraph_characters,
        ),
        ("lines", _pieces(text), limits.max_repeated_lines, limits.max_repeated_line_characters),
    ):
        count, characters = repeated(pieces)
        if _above(count / len(pieces), max_count):
            return f"share of repeated {kind}"
        if _above(characters / len(text), max_characters):
            return f"characters in repeated {kind}"
    return None


def _paragraphs(text: str) -> list[str]:
    # Normalised texts have no longer gaps, and plain searching is much faster than a pattern.
    return _PARAGRAPHS.split(text) if "\n\n\n" in text else text.split("\n\n")


def _pieces(text: str) -> list[str]:
    """Return what a split at every run of line breaks gives: no empty lines, but for one at each end."""
    first, *others = text.split("\n")
    return [first, *filter(None, others[:-1]), *others[-1:]]


def _lines(text: str, limits: Limits) -> str | None:
    lines = text.splitlines()
    bullets = sum(line.lstrip().startswith(_BULLETS) for line in lines) if any(map(text.count, _BULLETS)) else 0
    if _above(bullets / len(lines), limits.max_bullets):
        return "lines that begin with a bullet"
    ellipses = sum(line.rstrip().endswith(_ELLIPSES) for line in lines) if any(map(text.count, _ELLIPSES)) else 0
    if _above(ellipses / len(lines), limits.max_ellipsis_ends):
        return "lines that end with an ellipsis"
    lines = [line for line in text.split("\n") if line.strip()]
    if limits.min_line_ends is not None and _ended(lines) / len(lines) < limits.min_line_ends:
        return "too few lines that end with punctuation"
    short = sum(length <= limits.short_line for length in map(len, lines))
    if _above(short / len(lines), limits.max_short_lines):
        return "too many short lines"
    return None


def _ended(lines: list[str]) -> int:
    return sum(line.endswith(LINE_ENDS) for line in lines)


def _units(text: str, limits: Limits) -> str | None:
    found = units(text)
    count = len(found.hashes)
    if count < limits.min_units:
        return f"fewer than {limits.min_units} words or characters"
    if _above(count, limits.max_units):
        return f"more than {limits.max_units} words or characters"
    mean = found.lengths.mean()
    if _below(mean, limits.min_mean_length) or _above(mean, limits.max_mean_length):
        return "mean length of words"
    if _above(text.count("#") / count, limits.max_symbols):
        return "number signs"
    if _above((text.count("...") + text.count("…")) / count, limits.max_symbols):
        return "ellipses"
    if _below(found.letter.mean(), limits.min_letters):
        return "too few words with a letter"
    if limits.stop_words is not None and not _two_of(_hashes(limits.stop_words), found.hashes):
        return "too few of the commonest words"
    if _above(text.count("\n") / count, limits.max_line_breaks):
        return "too few words per line"
    return _repeated_runs(text, found, limits)


@cache
def _hashes(words: tuple[str, ...]) -> Hashes:
    return units(" ".join(words)).hashes


def _two_of(wanted: Hashes, hashes: Hashes) -> bool:
    there = (one for one in wanted if (hashes == one).any())
    return any(there) and any(there)


def _repeated_runs(text: str, found: Units, limits: Limits) -> str | None:
    # No longer run is there more often than the shortest, and mostly that is not often enough.
    often = len(found.hashes)
    for n, share in limits.top:
        limit = share * len(text)
        if often * longest(found, n, limits.separator) <= limit:
            continue
        often, characters = top(found, n, limits.separator, limit)
        if characters / len(text) > share:
            return f"one run of {n} again and again"
    # What repeats in runs of n repeats in shorter ones too: when those are too few to matter, the others are.
    least = min((share for _, share in limits.duplicate), default=0) * len(text)
    for n, share in limits.duplicate:
        characters = duplicate_characters(found, n, least)
        if characters / len(text) > share:
            return f"repeated runs of {n}"
        if not characters:
            break
    return None


def _above(value: float, limit: float | None) -> bool:
    return limit is not None and value > limit


def _below(value: float, limit: float | None) -> bool:
    return limit is not None and value < limit
