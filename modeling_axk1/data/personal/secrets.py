"""Keys, tokens and passwords: of known forms, private keys, and random values given to telling names."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

from modeling_axk1.data.personal.found import Found, apart
from modeling_axk1.data.personal.scan import Beginnings, Scan

# What a provider's tokens begin with, and their whole form, as the providers document them.
_TOKENS = {
    prefix: re.compile(rf"{pattern}(?![A-Za-z0-9_/+-])")
    for prefix, pattern in {
        "AKIA": r"AKIA[A-Z2-7]{16}",
        "ASIA": r"ASIA[A-Z2-7]{16}",
        "ghp_": r"ghp_[A-Za-z0-9]{36}",
        "gho_": r"gho_[A-Za-z0-9]{36}",
        "ghu_": r"ghu_[A-Za-z0-9]{36}",
        "ghs_": r"ghs_[A-Za-z0-9]{36}",
        "ghr_": r"ghr_[A-Za-z0-9]{36,76}",
        "github_pat_": r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
        "glpat-": r"glpat-[\w-]{20,}",
        # Bounded, or a text full of beginnings would be gone through again from each.
        "xox": r"xox[abeoprs]-(?:[0-9A-Za-z]{1,64}-){0,5}[0-9A-Za-z]{10,64}",
        "xapp-": r"xapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{32,}",
        "AIza": r"AIza[\w-]{35}",
        "ya29.": r"ya29\.[\w-]{20,}",
        "sk_live_": r"sk_live_[A-Za-z0-9]{16,}",
        "rk_live_": r"rk_live_[A-Za-z0-9]{16,}",
        "sk-": r"sk-(?:proj-|ant-|svcacct-)?(?=[\w-]*[0-9])[A-Za-z0-9_-]{32,}",
        "hf_": r"hf_[A-Za-z]{34}",
        "npm_": r"npm_[A-Za-z0-9]{36}",
        "pypi-": r"pypi-AgEIcHlwaS5vcmc[\w-]{50,}",
        "SG.": r"SG\.[\w-]{22}\.[\w-]{43}",
        "eyJ": r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    }.items()
}
_WEBHOOK = re.compile(r"(?<=hooks\.slack\.com/services/)T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{20,}")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?)-----\s(?:[^-]|-(?!----)){64,}?-----END \1-----"
)
_URL_PASSWORD = re.compile(r"(?<=://)[\w.%+-]{1,64}:([^\s:/@\"'<>{}$*()\[\]]{6,100})@(?=[\w.-]+\.[\w-]+|localhost)")
# A telling name, then a value in quotes, or one without them that goes on for long.
# By what they begin with.
_NAMES = {
    "pass": ("passw", "passphrase"),
    "secr": ("secret",),
    "toke": ("token",),
    "api_": ("api_key",),
    "apik": ("apikey",),
    "api-": ("api-key",),
    "acce": ("access_key", "accesskey"),
    "auth": ("auth",),
}
_ASSIGNED = re.compile(
    r"[\w-]{0,24}[\"']?\]?[ \t]*(?::=|=>|[:=])[ \t]*"
    r"(?:[bru]?([\"'])([^\s\"'\\]{8,256})\1|([A-Za-z0-9+/_=.~-]{20,256})(?=\s|$))",
    re.ASCII,
)
_AN_EXAMPLE = re.compile(
    r"example|sample|dummy|fake|placeholder|change|replace|insert|your|(?:my|test|some)[-_]?(?:secret|token|key|pass)"
    r"|password|passwd|secret|xxx|\.\.\.|\*\*\*|<|\$\{|\{\{|%\(|012345|123456|abcdef|(.)\1{4}",
    re.IGNORECASE,
)


def secrets(text: str, scanned: Scan) -> Iterator[Found]:
    """Find private keys, tokens, passwords in URLs, and random values assigned to names such as `api_key`.

    `scanned` is the text's scan.
    """
    if "PRIVATE KEY" in text:
        for match in _PRIVATE_KEY.finditer(text):
            yield Found(*match.span(), "private_key")
    named: list[tuple[int, str]] = []
    prefixes = list(_TOKENS)
    for place, number in _beginnings().find(scanned.codes):
        if number >= len(prefixes):
            named.append((place, list(_NAMES)[number - len(prefixes)]))
            continue
        prefix = prefixes[number]
        token = _TOKENS[prefix].match(text, place)
        if token and apart(text, token, "/+-") and not _AN_EXAMPLE.search(text, place + len(prefix), token.end()):
            yield Found(*token.span(), "secret")
    if "hooks.slack.com" in text:
        for match in _WEBHOOK.finditer(text):
            if not _AN_EXAMPLE.search(match.group()):
                yield Found(*match.span(), "secret")
    if "://" in text and "@" in text:
        for match in _URL_PASSWORD.finditer(text):
            if not _AN_EXAMPLE.search(match[1]) and not match[1].isalpha():
                yield Found(*match.span(1), "secret")
    if named:
        yield from _assigned(text, named)


@cache
def _beginnings() -> Beginnings:
    return Beginnings([*_TOKENS, *_NAMES], lower=_NAMES)


def _assigned(text: str, named: list[tuple[int, str]]) -> Iterator[Found]:
    lower = text.lower()
    # Two characters have a small letter of another length; then names are found as they are written.
    lower = lower if len(lower) == len(text) else text
    for place, beginning in named:
        for name in _NAMES[beginning]:
            if not lower.startswith(name, place):
                continue
            match = _ASSIGNED.match(text, place + len(name))
            if match and _is_random(value := match[2] or match[3]) and not _AN_EXAMPLE.search(value):
                yield Found(*match.span(2 if match[2] else 3), "secret")


def _is_random(value: str) -> bool:
    """Tell a random value from a word, a path, a number or a name of several words.

    Its letters are as unpredictable as those of a random string of its length, and it has digits among letters.
    """
    letters, digits = sum(map(str.isalpha, value)), sum(map(str.isdigit, value))
    if not letters or digits < 2 or value.count("/") > 3 or value.count(".") > 2:
        return False
    # A word and a year, utf8 or sha256 are names: random strings change between letters and digits over and over.
    changes = sum(a.isdigit() != b.isdigit() for a, b in itertools.pairwise(value))
    return changes >= 4 and entropy(value) >= min(3.5, 0.82 * math.log2(len(value)))


def entropy(text: str) -> float:
    """Return the Shannon entropy of a text's characters, in bits per character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())
