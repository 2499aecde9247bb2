"""Statistics of a split's columns: how many values, between which bounds, how they are spread, which are frequent."""

import json
import time
from collections import Counter
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as pc

from modeling_axk1.hub.server.browse.sandboxed import UnfitError
from modeling_axk1.hub.server.browse.sandboxed.spread import spread
from modeling_axk1.hub.server.browse.sandboxed.tables import open_table
from modeling_axk1.hub.server.browse.sandboxed.values import cell, sound

# What is looked at: whichever of these ends first.
MOST_ROWS = 200_000
MOST_SECONDS = 10.0

# Values that are frequent are few and short; a column of others is no category.
_MOST_VALUES = 5_000
_LONGEST_VALUE = 200
_SHOWN_VALUES = 10


def columns(files: list[dict[str, Any]], format: str) -> bytes:
    """Return JSON: {"rows" looked at, "whole" (whether these are all), "columns": [statistics], "problems"}.

    A file is {"path", "compressed"}. Statistics are {"name", "type", "kind", "nulls", "distinct", and by kind
    "numbers" (of values, lengths or items), "frequent" (values with their counts), "bounds"}.
    """
    until = time.process_time() + MOST_SECONDS
    seen, whole = 0, True
    found: dict[str, _Column] = {}
    problems = []
    for place, file in enumerate(files):
        if not whole:
            break
        try:
            with open_table(file["path"], format, compressed=file["compressed"]) as table:
                for count, arrays in table.batches():
                    if seen + count > MOST_ROWS or time.process_time() > until:
                        whole = False
                        break
                    for name, values in arrays.items():
                        if name not in found:
                            found[name] = _Column(from_text=format in ("csv", "tsv"))
                        found[name].add(values)
                    seen += count
        except UnfitError as error:
            problems.append((place, str(error)))
    listed = [{"name": sound(name)[:200], **column.told(seen)} for name, column in found.items()]
    answer = {"rows": seen, "whole": whole and not problems, "columns": listed, "problems": problems}
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")


class _Column:
    """One column; what kind of values it has follows from the first that is not null."""

    def __init__(self, *, from_text: bool) -> None:
        self._present = 0
        self._type: pyarrow.DataType | None = None
        self._values: _Values | None = None
        self._from_text = from_text

    def add(self, values: pyarrow.Array) -> None:
        values = values.drop_null() if values.null_count else values
        if pyarrow.types.is_null(values.type) or not len(values):
            return
        if pyarrow.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        self._present += len(values)
        kind = _kind_of(values.type)
        if self._values is None:
            self._type = values.type
            self._values = _FromText() if self._from_text else kind()
        elif values.type != self._type and not isinstance(self._values, _FromText | kind):
            self._values = _Mixed()
        self._values.add(values)

    def told(self, rows: int) -> dict[str, Any]:
        # A row without the column counts as one where it is null.
        told = {"type": str(self._type)[:200] if self._type else "", "nulls": rows - self._present, "not_finite": 0}
        return told | (self._values.told() if self._values else {"kind": "empty"})


class _Values:
    """Takes values that are not null, and tells of them in the end."""

    def add(self, values: pyarrow.Array) -> None:
        """Take some values."""

    def told(self) -> dict[str, Any]:
        """Return what is known of all."""
        return {"kind": "other"}


class _Mixed(_Values):
    def told(self) -> dict[str, Any]:
        return {"kind": "mixed"}


class _Numbers(_Values):
    """Numbers: whole ones exactly, others in double precision."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._not_numbers = 0

    def add(self, values: pyarrow.Array) -> None:
        if pyarrow.types.is_decimal(values.type) or pyarrow.types.is_float16(values.type):
            part = values.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
        else:
            part = values.to_numpy(zero_copy_only=False)
        if part.dtype.kind == "f":
            finite = part[np.isfinite(part)]
            self._not_numbers += len(part) - len(finite)
            part = finite
        if len(part):
            self._parts.append(part)

    def told(self) -> dict[str, Any]:
        numbers = np.concatenate(self._parts) if self._parts else np.empty(0)
        told: dict[str, Any] = {"kind": "number", "not_finite": self._not_numbers}
        if not len(numbers):
            return told
        values, counts = np.unique(numbers, return_counts=True)
        told |= {"distinct": len(values), "numbers": spread(numbers)}
        if len(values) <= _SHOWN_VALUES:
            told["frequent"] = _frequent([str(value) for value in values.tolist()], counts.tolist())
        return told


class _Text(_Values):
    """Text: lengths in characters, distinct values, and which are frequent while they are few and short."""

    def __init__(self) -> None:
        self._lengths: list[np.ndarray] = []
        self._digests: list[np.ndarray] = []
        self._counter: Counter[bytes] | None = Counter()

    def add(self, values: pyarrow.Array) -> None:
        self._lengths.append(pc.utf8_length(values).to_numpy(zero_copy_only=False))
        # As bytes: nobody proved that they are UTF-8.
        held = values.cast(pyarrow.large_binary()).to_pylist()
        # 64 bits tell 200,000 values apart but for one chance in a billion.
        self._digests.append(np.fromiter(map(hash, held), np.int64, len(held)))
        if self._counter is not None:
            self._counter.update(held)
            if len(self._counter) > _MOST_VALUES or max(map(len, held)) > _LONGEST_VALUE:
                self._counter = None

    def told(self) -> dict[str, Any]:
        lengths = np.concatenate(self._lengths)
        told: dict[str, Any] = {
            "kind": "text",
            "distinct": len(np.unique(np.concatenate(self._digests))),
            "numbers": spread(lengths),
        }
        if self._counter is not None and told["distinct"] < len(lengths):
            common = self._counter.most_common(_SHOWN_VALUES)
            told["frequent"] = _frequent(
                [value.decode("utf-8", "replace") for value, _ in common], [n for _, n in common]
            )
        return told


class _FromText(_Text):
    """What CSV holds: numbers if all of it is, else text."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers: _Numbers | None = _Numbers()

    def add(self, values: pyarrow.Array) -> None:
        values = values if pyarrow.types.is_string(values.type) else values.cast(pyarrow.string())
        super().add(values)
        if self._numbers is not None:
            try:
                self._numbers.add(_as_numbers(values))
            except (pyarrow.ArrowException, ValueError):
                self._numbers = None

    def told(self) -> dict[str, Any]:
        return super().told() if self._numbers is None else self._numbers.told()


class _Truth(_Values):
    def __init__(self) -> None:
        self._counts = Counter[str]()

    def add(self, values: pyarrow.Array) -> None:
        true = pc.sum(values).as_py() or 0
        self._counts.update({"true": true, "false": len(values) - true})

    def told(self) -> dict[str, Any]:
        common = [(value, count) for value, count in self._counts.most_common() if count]
        frequent = _frequent([value for value, _ in common], [count for _, count in common])
        return {"kind": "boolean", "distinct": len(common), "frequent": frequent}


class _Times(_Values):
    """Dates and times: their bounds."""

    def __init__(self) -> None:
        self._bounds: list[pyarrow.Scalar] = []

    def add(self, values: pyarrow.Array) -> None:
        bounds = pc.min_max(values)
        self._bounds += [bounds["min"], bounds["max"]]

    def told(self) -> dict[str, Any]:
        bounds = pc.min_max(pyarrow.array([self._plain(it) for it in self._bounds]))
        by_value = {self._plain(it): it for it in self._bounds}
        found = [by_value[bounds[key].as_py()] for key in ("min", "max")]
        return {"kind": "time", "bounds": [cell(it, _LONGEST_VALUE)["text"] for it in found]}

    @staticmethod
    def _plain(moment: pyarrow.Scalar) -> int:
        return int(moment.value)


class _Lengths(_Values):
    """Lists by how many items they have, binary values by their bytes."""

    def __init__(self) -> None:
        self._lengths: list[np.ndarray] = []
        self._kind = "list"

    def add(self, values: pyarrow.Array) -> None:
        is_list = _is_list(values.type)
        self._kind = "list" if is_list else "binary"
        lengths = pc.list_value_length(values) if is_list else pc.binary_length(values)
        self._lengths.append(lengths.to_numpy(zero_copy_only=False))

    def told(self) -> dict[str, Any]:
        return {"kind": self._kind, "numbers": spread(np.concatenate(self._lengths))}


def _frequent(values: list[str], counts: list[int]) -> list[tuple[str, int]]:
    ordered = sorted(zip(values, counts, strict=True), key=lambda item: (-item[1], item[0]))
    return [(sound(value), count) for value, count in ordered]


def _as_numbers(values: pyarrow.Array) -> pyarrow.Array:
    """Return text as whole numbers if all of it is, else as numbers; raises ValueError when some is neither."""
    trimmed = pc.utf8_trim_whitespace(values)
    try:
        return trimmed.cast(pyarrow.int64())
    except (pyarrow.ArrowException, ValueError):
        return trimmed.cast(pyarrow.float64())


def _is_list(kind: pyarrow.DataType) -> bool:
    types = pyarrow.types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _kind_of(kind: pyarrow.DataType) -> type[_Values]:
    types = pyarrow.types
    for is_it, values in (
        (types.is_boolean, _Truth),
        (lambda it: types.is_integer(it) or types.is_floating(it) or types.is_decimal(it), _Numbers),
        (lambda it: types.is_string(it) or types.is_large_string(it), _Text),
        (lambda it: types.is_timestamp(it) or types.is_date(it) or types.is_time(it), _Times),
        (lambda it: _is_list(it) or types.is_binary(it) or types.is_large_binary(it), _Lengths),
    ):
        if is_it(kind):
            return values
    return _Values
