"""What differs between two JSON documents, key by key."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.strict_json import parse_json

_LARGEST_JSON = 1024 * 1024
_MOST_VALUES = 20_000
# Each value has its whole pointer: one long key with many below it unfolds into a thousand times its length.
_MOST_CHARACTERS = 4_000_000
_DEEPEST = 64


@dataclass(frozen=True)
class KeyChange:
    """One value, as JSON; None where the document has none.

    `key` is a JSON pointer: /rope_parameters/factor; "" is the document itself.
    """

    key: str
    before: str | None
    after: str | None


def key_changes(before: bytes, after: bytes) -> list[KeyChange] | None:
    """Return the values that differ, in the order of the documents; None when one is no JSON of a size to compare."""
    flat_before, flat_after = _flat(before), _flat(after)
    if flat_before is None or flat_after is None:
        return None
    keys = dict.fromkeys([*flat_before, *flat_after])
    return [
        KeyChange(key, flat_before.get(key), flat_after.get(key))
        for key in keys
        if flat_before.get(key) != flat_after.get(key)
    ]


def _flat(raw: bytes) -> dict[str, str] | None:
    if len(raw) > _LARGEST_JSON:
        return None
    try:
        document = parse_json(raw, "a file")
    except WeightsError:
        return None
    found: dict[str, str] = {}
    characters = 0
    try:
        for key, text in _leaves(document, ""):
            found[key] = text
            characters += len(key)
            if len(found) > _MOST_VALUES or characters > _MOST_CHARACTERS:
                return None
    except _TooDeepError:
        return None
    return found


class _TooDeepError(Exception):
    """A value lies in more than _DEEPEST others."""


def _leaves(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, JSON text) of every value that holds no others."""
    if key.count("/") > _DEEPEST:
        raise _TooDeepError
    if not isinstance(value, dict | list) or not value:
        yield key, json.dumps(value, ensure_ascii=False)
        return
    for name, child in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(child, f"{key}/{str(name).replace('~', '~0').replace('/', '~1')}")
