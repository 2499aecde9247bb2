"""Files of text: JSON, CSV, and plain lines. They are read from the beginning: a late row costs those before it."""

import csv
import io
import json
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow

from modeling_axk1.hub.server.browse.sandboxed import UnfitError
from modeling_axk1.hub.server.browse.sandboxed.table import MOST_BATCH_ROWS, MOST_COLUMNS, Row, each_once, one_line

# A book on one line is no row of a table.
_LONGEST_LINE = 64 << 20
_LARGEST_ARRAY = 64 << 20
_LINES_BETWEEN_LOOKS = 4096


class _Lines:
    """What has a row in each line, or in several."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._names: dict[str, None] = {}  # in the order in which they came
        self._more: set[str] = set()

    def types(self) -> dict[str, str]:
        return {}

    def more_columns(self) -> int:
        return len(self._more)

    def count(self, until: float) -> int | None:
        found = 0
        try:
            for _ in self._all():
                found += 1
                if found % _LINES_BETWEEN_LOOKS == 0 and time.process_time() > until:
                    return None
        except (OSError, EOFError) as error:
            raise UnfitError(f"it cannot be unpacked: {one_line(error)}") from None
        return found

    def rows(self, start: int, count: int) -> Iterator[Row | UnfitError]:
        try:
            for one in islice(self._all(), start, start + count):
                try:
                    row: Row | UnfitError = self._row(one)
                except UnfitError as error:
                    row = error
                yield row
        except (OSError, EOFError) as error:
            raise UnfitError(f"it cannot be unpacked: {one_line(error)}") from None

    def batches(self) -> Iterator[tuple[int, dict[str, pyarrow.Array]]]:
        everything = iter(self.rows(0, 1 << 62))
        while batch := _some(everything):
            names = list(dict.fromkeys(name for row in batch for name in row))
            yield len(batch), {name: _array([row.get(name) for row in batch]) for name in names}

    def _all(self) -> Iterator[Any]:
        """Yield every row from the first on, as cheaply as they can be counted."""
        raise NotImplementedError

    def _row(self, one: Any) -> Row:
        raise NotImplementedError

    def _kept(self, row: Mapping[str, Any]) -> Row:
        """Return what a row has in columns that are shown."""
        for name in row:
            if name not in self._names:
                if len(self._names) < MOST_COLUMNS:
                    self._names[name] = None
                elif len(self._more) < 10_000:
                    self._more.add(name)
        return {name: value for name, value in row.items() if name in self._names}

    def _lines(self) -> Iterator[bytes]:
        self._raw.seek(0)
        while line := self._raw.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise UnfitError(f"a line must be shorter than {_LONGEST_LINE:,} bytes")
            yield line


class Json(_Lines):
    """An object in each line, or one array of them."""

    def _all(self) -> Iterator[Any]:
        self._raw.seek(0)
        if self._raw.read(256).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[":
            yield from self._array()
            return
        yield from (line for line in self._lines() if line.strip())

    def _array(self) -> list[Any]:
        self._raw.seek(0)
        text = self._raw.read(_LARGEST_ARRAY + 1)
        if len(text) > _LARGEST_ARRAY:
            raise UnfitError(
                f"a JSON array must be at most {_LARGEST_ARRAY:,} bytes to be shown; JSON lines may be longer"
            )
        found = _parsed(text)
        if not isinstance(found, list):
            raise UnfitError("it must be an array of objects, or an object in each line")
        return found

    def _row(self, one: Any) -> Row:
        found = _parsed(one) if isinstance(one, bytes) else one
        if not isinstance(found, dict):
            raise UnfitError(f"a row must be a JSON object, got {type(found).__name__}")
        return self._kept(found)


class Csv(_Lines):
    """A row in each record; the first one names the columns."""

    def __init__(self, raw: Any, separator: str) -> None:
        super().__init__(raw)
        self._separator = separator
        self._header: list[str] = []

    def _all(self) -> Iterator[Any]:
        self._raw.seek(0)
        csv.field_size_limit(_LONGEST_LINE)
        text = io.TextIOWrapper(self._raw, "utf-8-sig", "replace", newline="")
        try:
            records = csv.reader(text, delimiter=self._separator)
            self._header = each_once(next(records, []))
            yield from (record for record in records if record)
        except csv.Error as error:
            raise UnfitError(f"it is not CSV: {error}") from None
        finally:
            text.detach()

    def _row(self, one: Any) -> Row:
        extra = [f"({number})" for number in range(len(self._header) + 1, len(one) + 1)]
        return self._kept(dict(zip([*self._header, *extra], [value or None for value in one], strict=False)))


class Text(_Lines):
    """A row in each line."""

    def _all(self) -> Iterator[Any]:
        return self._lines()

    def _row(self, one: Any) -> Row:
        return {"text": one.rstrip(b"\r\n").decode("utf-8", "replace")}

    def _kept(self, row: Mapping[str, Any]) -> Row:
        return row


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8-sig", "replace"))
    except RecursionError:
        raise UnfitError("it is not JSON: it is nested too deeply") from None
    except ValueError as error:
        raise UnfitError(f"it is not JSON: {error}") from None


def _some(rows: Iterator[Row | UnfitError]) -> list[Row]:
    """Return the next rows, not more of them than memory has room for; raises the UnfitError of one that is none."""
    batch: list[Row] = []
    for row in islice(rows, MOST_BATCH_ROWS):
        if isinstance(row, UnfitError):
            raise row
        batch.append(row)
        if any(isinstance(value, str) and len(value) > 1 << 16 for value in row.values()) and len(batch) >= 64:
            break
    return batch


def _array(values: list[Any]) -> pyarrow.Array:
    """Return Python values as Arrow's; values of several types become their JSON."""
    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError):
        made = [None if value is None else json.dumps(value, ensure_ascii=True) for value in values]
        return pyarrow.array(made, pyarrow.string())
