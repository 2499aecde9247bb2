"""How values are shown to people: filters of the templates."""

import re
from datetime import UTC, datetime

# Change the direction of what follows, or are nothing to see: text is shown without them. The two joiners stay, which
# Persian, Hindi and emoji need. Half a character, which JSON can hold, could not be sent at all.
_UNSEEN = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufe00-\ufe0e\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
# Marks that combine with the letter before them, one block of Unicode after the other.
_MARK = (
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u0f71-\u0f84\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f]"
)
_PILED = re.compile(f"({_MARK}{{3}}){_MARK}+")


def human_bytes(count: int) -> str:
    """Return bytes as people say them: 1.5 MB. Units are powers of 1000, as disks and Hugging Face count."""
    return f"{count} B" if count < 1000 else "{:.3g} {}".format(*_scaled(count, ("kB", "MB", "GB", "TB", "PB")))


def human_count(count: int) -> str:
    """Return a large number in three digits, as parameters are counted: 519B."""
    return str(count) if count < 1000 else "{:.3g}{}".format(*_scaled(count, ("K", "M", "B", "T")))


def _scaled(count: float, units: tuple[str, ...]) -> tuple[float, str]:
    """Return a number of 1000 or more in the unit (each 1000 of the one before) in which it has three digits."""
    power = 0
    while (count := count / 1000) >= 999.5 and power < len(units) - 1:
        power += 1
    return count, units[power]


def grouped(count: int) -> str:
    """Return a whole number with commas: 1,234,567."""
    return f"{count:,}"


def day(seconds: int) -> str:
    """Return the date of a time in seconds since 1970 (UTC): 2026-03-01."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def moment(seconds: int) -> str:
    """Return a time in seconds since 1970 to the minute (UTC): 2026-03-01 09:30 UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def iso(seconds: int) -> str:
    """Return a time in seconds since 1970 for the `datetime` of <time>."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def short(digest: str) -> str:
    """Return the beginning of a digest or commit id, enough to tell it from its neighbours."""
    return digest[:10]


def tame(text: object, longest: int = 1000) -> str:
    """Return text that a stranger wrote, with nothing hidden in it, at most `longest` characters.

    Shown by this, it neither covers its neighbours nor hides what it says. Put it into <bdi> within a line.
    """
    said = str(text)
    return without_hidden(said if len(said) <= longest else said[: longest - 1] + "…")


def without_hidden(text: str) -> str:
    """Return text without characters that turn the direction of what follows or cannot be seen.

    Of marks that are piled on one letter, three stay.
    """
    return _PILED.sub(r"\1", _UNSEEN.sub("", text))


FILTERS = {
    "bytes": human_bytes,
    "count": human_count,
    "grouped": grouped,
    "day": day,
    "moment": moment,
    "iso": iso,
    "short": short,
    "tame": tame,
}
