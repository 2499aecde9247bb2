"""JSON from files that nobody vouches for: one object, no key twice, no NaN, never a traceback."""

import json
from typing import Any

from modeling_axk1.errors import WeightsError

MAX_NAME = 512
MAX_VALUES = 1_000_000  # 142 thousand tensors in one file, a million in one index
MAX_BEYOND_ASCII = 16_000_000


def parse_object(raw: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in `raw`; raises WeightsError naming `what` when it is anything else."""
    value = parse_json(raw, what)
    if not isinstance(value, dict):
        raise WeightsError(f"{what} must be a JSON object, got a {type(value).__name__}")
    return value


def parse_json(raw: bytes, what: str) -> Any:
    """Return the JSON value in `raw`; raises WeightsError naming `what` when it is none or more than MAX_VALUES."""
    # Before a value exists, as an empty list of two bytes takes sixty: brackets and commas bound how many there are,
    # and those in names only make the bound stricter.
    values = sum(raw.count(mark) for mark in b"[{,")
    if values > MAX_VALUES:
        raise WeightsError(f"{what} must hold at most {MAX_VALUES:,} JSON values, got about {values:,}")
    if len(raw) > MAX_BEYOND_ASCII and not raw.isascii():  # one wide character makes every one of them four bytes
        raise WeightsError(f"{what} must be ASCII beyond {MAX_BEYOND_ASCII:,} bytes, got {len(raw):,} with others")
    try:
        return json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_once_each,
            parse_constant=_no_constant,
            parse_int=_no_minus_zero if b"-0" in raw else None,
        )
    except RecursionError:
        raise WeightsError(f"{what} must be a JSON object, got nesting too deep to read") from None
    except ValueError as error:
        raise WeightsError(f"{what} must be a JSON object in UTF-8: {str(error)[:200]}") from None


def check_name(name: str, what: str) -> None:
    """Refuse a tensor or file name that could not be shown on one line as it is; raises WeightsError naming `what`."""
    if not name.isprintable() or not 0 < len(name) <= MAX_NAME:
        raise WeightsError(f"{what}: a name must be 1 to {MAX_NAME} printable characters, got {ascii(name[:60])[:60]}")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {ascii(twice[:60])[:60]} stands there twice")
    return items


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON value")


def _no_minus_zero(text: str) -> int:
    # 0 to Python, a float to the stock library's parser.
    if text == "-0":
        raise ValueError("-0 is not an integer")
    return int(text)
