"""Licences: the card says what LICENSE says, and what the data's licences allow covers what the weights are put under.

The table states what this release acts on, with its sources; it is no legal advice.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

from modeling_axk1.hub.checking.metadata import front_matter
from modeling_axk1.hub.checking.subject import Subject


class Rule(NamedTuple):
    """Whether texts under a licence may train weights that are released under Apache-2.0, and why."""

    allowed: bool
    why: str


_FREE = Rule(True, "allows use for any purpose; notices stay with the texts, in the dataset repository")
_SHARE_ALIKE = Rule(
    True, "share-alike binds adaptations of the texts: the dataset keeps the licence, the weights hold no text"
)
_COPYLEFT = Rule(True, "copyleft binds copies of the texts: the dataset keeps the licence, the weights hold no text")
_NO_COMMERCE = Rule(False, "forbids commercial use, and Apache-2.0 allows it")
_NO_DERIVATIVES = Rule(False, "forbids adaptations, and a cleaned text is one")

# By the SPDX id in lower case, the longest beginning that fits. Sources: the licences' own texts (sections on use,
# adaptation and sharing) and, for share-alike, Creative Commons' guidance on training ("Using CC-licensed works for AI
# training", 2025): conditions hold where a copy or an adaptation is shared.
RULES = {
    "apache-": _FREE,
    "mit": _FREE,
    "bsd": _FREE,
    "0bsd": _FREE,
    "isc": _FREE,
    "zlib": _FREE,
    "psf-": _FREE,
    "python-": _FREE,
    "unicode-": _FREE,
    "cc0-": _FREE,
    "cc-by-": _FREE,
    "cc-by-sa-": _SHARE_ALIKE,
    "cc-by-nc": _NO_COMMERCE,
    "cc-by-nd": _NO_DERIVATIVES,
    "odc-by": _FREE,
    "public-domain": _FREE,
    "unlicense": _FREE,
    "wtfpl": _FREE,
    "gpl-": _COPYLEFT,
    "lgpl-": _COPYLEFT,
    "agpl-": _COPYLEFT,
    "gfdl-": _COPYLEFT,
    "mpl-": _COPYLEFT,
    "artistic-": _COPYLEFT,
    "vim": _FREE,
    "x11": _FREE,
    "curl": _FREE,
    "openssl": _FREE,
    "postgresql": _FREE,
    "ofl-": _FREE,
    "fsfap": _FREE,
    "bsl-1": _FREE,
    "tcl": _FREE,
    "ruby": _COPYLEFT,
    "linux-man-pages-1-para": _FREE,
    "linux-man-pages-copyleft": _COPYLEFT,
    "licenseref-": Rule(False, "is nobody's known licence: its text must be read and a rule added"),
}

_APACHE = "Apache License\n                           Version 2.0, January 2004"


def rule_for(licence: str) -> Rule | None:
    """Return the rule for an SPDX id, None where there is none."""
    name = licence.lower()
    fitting = [start for start in RULES if name.startswith(start)]
    return RULES[max(fitting, key=len)] if fitting else None


def check_licences(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield (file, what is wrong) about licences of code, weights and data."""
    if "LICENSE" not in subject.files:
        yield "LICENSE", "a repository must hold the text of its licence, and it is missing"
        return
    data, problem = front_matter(subject) if "README.md" in subject.files else ({}, "no card")
    if problem:
        return  # the metadata's own rule says so
    licences = data.get("license")
    if subject.type == "model":
        if licences != "apache-2.0":
            yield "README.md", f"weights are released under apache-2.0, the licence of A.X K1, got {licences!r:.60}"
        if _APACHE not in subject.text("LICENSE"):
            yield "LICENSE", "must be the text of the Apache License 2.0, which the card names"
        for name in subject.files:
            if name.endswith(".py") and "Apache License, Version 2.0" not in subject.text(name)[:400]:
                yield name, "code must name its licence, Apache-2.0, in its first lines"
    for name in ("results/dataset.json", "stats.json"):
        if name in subject.files:
            yield from _of_data(subject, name)


def _of_data(subject: Subject, name: str) -> Iterator[tuple[str, str]]:
    try:
        licences = json.loads(subject.text(name))["by_license"]
    except (ValueError, KeyError, TypeError):
        yield name, "must count the documents of each licence under by_license"
        return
    for licence in licences:
        rule = rule_for(licence)
        if rule is None:
            yield name, f"documents under {licence} have no rule in the table of licences"
        elif not rule.allowed:
            yield name, f"documents under {licence} do not go with Apache-2.0 weights: it {rule.why}"
