"""Personal data and secrets, replaced by placeholders that say what stood there."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from modeling_axk1.data.document import Document, Step
from modeling_axk1.data.personal.addresses import emails, ip_addresses
from modeling_axk1.data.personal.found import Found
from modeling_axk1.data.personal.numbers import numbers
from modeling_axk1.data.personal.scan import scan
from modeling_axk1.data.personal.secrets import secrets

KINDS = {
    "email": "e-mail addresses; reserved domains (example.org) and machine accounts (git@) stay",
    "phone": "telephone numbers as they are written in the document's language, and with a country's code; not in code",
    "national_id": "Korean resident registration numbers (check digit, or a date since October 2020), Chinese identity "
    "numbers, Japanese individual numbers, Spanish DNI and NIE, US social security numbers",
    "card": "payment card numbers: a network's first digits and Luhn's check; not in code",
    "iban": "bank accounts: the country's length and the check modulo 97",
    "ip": "IPv4 and IPv6 addresses that the Internet routes; private, reserved and well-known ones stay",
    "secret": "tokens of known forms, passwords in URLs, random values assigned to names such as api_key",
    "private_key": "PEM and PGP private key blocks",
}


def pii() -> Step:
    """Replace personal data and secrets by placeholders such as <EMAIL_1>.

    Equal values have equal placeholders within a document, and numbers count from 1 in the order of the text, so the
    outcome depends on the text alone. The step counts what it replaced, by kind.
    """
    counts: Counter[str] = Counter()

    def decide(document: Document) -> Document:
        found = find(document.text, document.language)
        if not found:
            return document
        counts.update(one.kind for one in found)
        return replace(document, text=_replaced(document.text, found))

    return Step("pii", decide, counts)


def rules() -> list[dict[str, str]]:
    """Return what is replaced, kind by kind, with its placeholder."""
    return [{"kind": kind, "placeholder": f"<{kind.upper()}_1>", "what": what} for kind, what in KINDS.items()]


def find(text: str, language: str) -> list[Found]:
    """Return what is personal or secret in a text, in its order and without overlaps."""
    chosen: list[Found] = []
    for one in sorted(_all(text, language), key=lambda one: (one.start, -one.end)):
        if not chosen or one.start >= chosen[-1].end:
            chosen.append(one)
    return chosen


def _all(text: str, language: str) -> Iterator[Found]:
    scanned = scan(text)
    # Among finds that begin and end together the first wins.
    yield from secrets(text, scanned)
    yield from emails(text, scanned)
    yield from numbers(text, language, scanned)
    yield from ip_addresses(text, scanned)


def _replaced(text: str, found: list[Found]) -> str:
    numbers_of: dict[tuple[str, str], int] = {}
    given: Counter[str] = Counter()
    parts, end = [], 0
    for one in found:
        value = text[one.start : one.end]
        # The same number with other separators, and the same address in capitals, is the same.
        key = (one.kind, value if one.kind in {"secret", "private_key"} else re.sub(r"[-. ()]", "", value.lower()))
        if key not in numbers_of:
            given[one.kind] += 1
            numbers_of[key] = given[one.kind]
        parts += [text[end : one.start], f"<{one.kind.upper()}_{numbers_of[key]}>"]
        end = one.end
    return "".join([*parts, text[end:]])
