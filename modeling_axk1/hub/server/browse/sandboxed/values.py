"""One value as text of bounded length, whether it comes from Arrow or from JSON.

A cell is {"text", "kind", "length"}: `kind` is "text", "number", "null", "binary" or "nested"; `length` counts the
characters of the whole value where `text` is only its beginning, -1 where nobody counted, and is absent for all else.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

import pyarrow
import pyarrow.compute

Cell = dict[str, Any]

_SHOWN_BYTES = 24


def cell(value: object, longest: int) -> Cell:
    """Return a value as a cell of at most `longest` characters."""
    if isinstance(value, pyarrow.Scalar):
        value = _unwrapped(value)
    if value is None:
        return {"text": "", "kind": "null"}
    if isinstance(value, str):
        return _cut({"text": sound(value[:longest]), "kind": "text"}, len(value), longest)
    if _is_text(value):
        text, length = _text(value, longest)
        return _cut({"text": text, "kind": "text"}, length, longest)
    if isinstance(value, bytes | pyarrow.BinaryScalar):
        return {"text": _binary(value), "kind": "binary"}
    if isinstance(value, dict | list | pyarrow.ListScalar | pyarrow.StructScalar):
        writer = _Writer(longest)
        try:
            writer.value(value, 0)
        except _FullError:
            return {"text": sound("".join(writer.parts)[:longest]), "kind": "nested", "length": -1}
        return {"text": sound("".join(writer.parts)), "kind": "nested"}
    text = _plain(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    kind = "number" if is_number or isinstance(value, _NUMBERS) else "text"
    return _cut({"text": sound(text[:longest]), "kind": kind}, len(text), longest)


def sound(text: str) -> str:
    """Return text that UTF-8 can hold: halves of characters, which JSON can spell, are made whole or replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_NUMBERS = tuple(
    kind
    for name in dir(pyarrow)
    if isinstance(kind := getattr(pyarrow, name), type)
    and issubclass(kind, pyarrow.Scalar)
    and name.startswith(("Int", "UInt", "Float", "HalfFloat", "Double", "Decimal"))
)


class _FullError(Exception):
    """There is no room for more."""


class _Writer:
    """Writes a nested value as JSON, no more of it than there is room for."""

    def __init__(self, longest: int) -> None:
        self.parts: list[str] = []
        self._room = longest
        self._deepest = 40

    def value(self, value: Any, depth: int) -> None:
        if depth > self._deepest:
            self._write("…")
            return
        if isinstance(value, pyarrow.Scalar):
            value = _unwrapped(value)
        if isinstance(value, dict | pyarrow.StructScalar):
            self._all("{}", value.items(), depth)
        elif isinstance(value, pyarrow.MapScalar):
            pairs = value.values
            self._all("{}", ((pairs[at]["key"].as_py(), pairs[at]["value"]) for at in range(len(pairs))), depth)
        elif isinstance(value, list | pyarrow.ListScalar):
            items = value if isinstance(value, list) else _items(value)
            self._all("[]", ((None, item) for item in items), depth)
        elif _is_text(value):
            text, length = _text(value, self._room + 1)
            self._write(json.dumps(text, ensure_ascii=False))
            if length > len(text):
                raise _FullError
        elif isinstance(value, str):
            self._write(json.dumps(value[: self._room + 1], ensure_ascii=False))
        elif isinstance(value, bytes | pyarrow.BinaryScalar):
            self._write(json.dumps(_binary(value)))
        elif isinstance(value, bool | None):
            self._write(json.dumps(value))
        else:
            self._write(_plain(value))

    def _all(self, brackets: str, items: Any, depth: int) -> None:
        self._write(brackets[0])
        for number, (key, item) in enumerate(items):
            if number:
                self._write(", ")
            if brackets == "{}":
                self._write(f"{json.dumps(str(key)[:1000], ensure_ascii=False)}: ")
            self.value(item, depth + 1)
        self._write(brackets[1])

    def _write(self, text: str) -> None:
        self.parts.append(text)
        self._room -= len(text)
        if self._room < 0:
            raise _FullError


def _unwrapped(value: Any) -> Any:
    """Return the value inside of dictionaries and extension types; None for a null."""
    while isinstance(value, pyarrow.DictionaryScalar | pyarrow.ExtensionScalar | pyarrow.RunEndEncodedScalar):
        if not value.is_valid:
            return None
        value = value.value if not isinstance(value, pyarrow.RunEndEncodedScalar) else value.as_py()
    if isinstance(value, pyarrow.Scalar):
        if not value.is_valid:
            return None
        if isinstance(value, pyarrow.BooleanScalar):
            return value.as_py()
    return value


def _items(value: Any) -> Iterator[Any]:
    values = value.values
    return (values[at] for at in range(len(values)))


def _is_text(value: object) -> bool:
    return isinstance(value, pyarrow.StringScalar | pyarrow.LargeStringScalar | pyarrow.StringViewScalar)


def _text(value: Any, longest: int) -> tuple[str, int]:
    """Return the first characters of a string in Arrow, and how many it has; nobody proved that it is UTF-8."""
    buffer = value.as_buffer()
    if buffer is None:
        return "", 0
    beginning = bytes(buffer[: 4 * longest])
    whole = buffer.size <= 4 * longest
    text = beginning.decode("utf-8", "replace" if whole else "ignore")
    length = len(text) if whole else pyarrow.compute.utf8_length(value).as_py()
    return text[:longest], length


def _binary(value: Any) -> str:
    buffer = value if isinstance(value, bytes) else value.as_buffer()
    size = 0 if buffer is None else len(buffer) if isinstance(buffer, bytes) else buffer.size
    beginning = bytes(buffer[:_SHOWN_BYTES]).hex(" ") if size else ""
    return f"{size:,} B: {beginning}{' …' if size > _SHOWN_BYTES else ''}"


def _plain(value: Any) -> str:
    """Return a number, a date or a boolean as text; what Python cannot hold (nanoseconds) as Arrow says it."""
    if isinstance(value, pyarrow.Scalar):
        try:
            value = value.as_py()
        except (ValueError, OverflowError, TypeError, pyarrow.ArrowException):
            return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    try:
        return str(value)
    except ValueError:  # a number of more digits than Python turns to text
        return f"0x{value:x}"


def _cut(found: Cell, length: int, longest: int) -> Cell:
    return found | {"length": length} if length > longest else found
