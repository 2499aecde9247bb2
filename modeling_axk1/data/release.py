"""What of a corpus is released: the [[held_back]] rules of its recipe. What no rule names is released whole.

    [[held_back]]
    source = "court-rulings"           # any of license, language and source; a document must match all that are given
    max_bytes = 20_000_000             # this much is released all the same; left out, nothing of it is
    reason = "one register would make up most of the Chinese text"

The first rule that matches a document decides about it. Of a rule with `max_bytes`, documents are released in the
order of their SHA-256, read from its 17th hex digit on, until there is no more room: a choice that nobody made, that
any reader can repeat, and that stays the same when other documents come or go. The digits before decide about the
split, and one must not decide about the other.
"""

from dataclasses import dataclass
from typing import Any

from modeling_axk1.data.keys import check_keys
from modeling_axk1.errors import DataError


@dataclass(frozen=True)
class HeldBack:
    """One rule: which documents are held back, beyond how many bytes of them, and why."""

    reason: str
    license: str | None = None
    language: str | None = None
    source: str | None = None
    max_bytes: int = 0

    def matches(self, license: str, language: str, source: str) -> bool:
        """Say whether the rule is about documents of this licence, language and source."""
        pairs = ((self.license, license), (self.language, language), (self.source, source))
        return all(wanted is None or wanted == got for wanted, got in pairs)


def read_held_back(entry: Any, where: str) -> HeldBack:
    """Read a [[held_back]] entry; raises DataError for an unknown key, a wrong value, or a rule that matches all."""
    rule = HeldBack(**check_keys(entry, _HELD_BACK, where))
    if rule.matches("", "", ""):
        raise DataError(f"{where}: must name a license, a language or a source, or nothing would be released")
    if rule.max_bytes < 0:
        raise DataError(f"{where}: max_bytes must not be negative, got {rule.max_bytes}")
    return rule


_HELD_BACK: dict[str, tuple[type, bool]] = {
    "reason": (str, True),
    "license": (str, False),
    "language": (str, False),
    "source": (str, False),
    "max_bytes": (int, False),
}
