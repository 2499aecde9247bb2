"""One file of rows, whatever its format: how many there are, some of them, or all in batches for statistics.

A row is {column: value}; values are Arrow's from Parquet and Python's from the other formats. All formats but Parquet
are read from the beginning, so a late row costs the reading of those before it.
"""

import csv
import gzip
import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow
import pyarrow.parquet

from modeling_axk1.hub.server.browse.sandboxed import UnfitError

# Of one line of text; in front of a whole book on one line memory ends first.
_LONGEST_LINE = 64 << 20
_LARGEST_ARRAY = 64 << 20
# What a batch of Parquet rows should take when it is unfolded; the file says how large its rows are.
_BATCH_BYTES = 8 << 20
_MOST_BATCH_ROWS = 2048
# A wide table shows its first columns.
MOST_COLUMNS = 100
_LINES_BETWEEN_LOOKS = 4096

Row = Mapping[str, Any]


class Table(Protocol):
    """The rows of one file."""

    def count(self, until: float) -> int | None:
        """Return how many rows there are; None when that is not known by the time `until` (of `process_time`)."""

    def rows(self, start: int, count: int) -> Iterator[Row | UnfitError]:
        """Yield up to `count` rows from the row `start` on; for a row that is none, why."""

    def batches(self) -> Iterator[tuple[int, dict[str, pyarrow.Array]]]:
        """Yield (number of rows, {column: values}) until all rows came."""

    def types(self) -> dict[str, str]:
        """Return the type of each column, where the format has types."""

    def more_columns(self) -> int:
        """Return how many columns are left out."""


@contextmanager
def open_table(path: str | None, format: str, *, compressed: bool) -> Iterator[Table]:
    """Open a file for as long as the block runs, None where its bytes are gone; raises UnfitError for what is none."""
    if path is None:
        raise UnfitError("its bytes are missing on this hub")
    if format == "parquet":
        yield _Parquet(path)
        return
    with Path(path).open("rb") as file:
        raw = gzip.GzipFile(fileobj=file) if compressed else file
        if format == "json":
            yield _Json(raw)
        elif format == "text":
            yield _Text(raw)
        else:
            yield _Csv(raw, "\t" if format == "tsv" else ",")


class _Parquet:
    """Row groups, of which only those that are needed are read, page by page."""

    def __init__(self, path: str) -> None:
        try:
            self._file = pyarrow.parquet.ParquetFile(
                pyarrow.OSFile(path), buffer_size=1 << 18, pre_buffer=False, arrow_extensions_enabled=False
            )
        except MemoryError:
            raise
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise UnfitError(f"it is not a Parquet file: {_line(error, path)}") from None
        self._path = path
        metadata = self._file.metadata
        self._groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        if any(rows < 0 for rows in self._groups):
            raise UnfitError("it is not a Parquet file: it has a negative number of rows")
        # By number, as names may come twice or hold the dots that select inside of them.
        self._names = _each_once(self._file.schema_arrow.names)[:MOST_COLUMNS]

    def count(self, until: float) -> int:
        return sum(self._groups)

    def types(self) -> dict[str, str]:
        return {name: str(kind)[:200] for name, kind in zip(self._names, self._file.schema_arrow.types, strict=False)}

    def more_columns(self) -> int:
        return len(self._file.schema_arrow.names) - len(self._names)

    def rows(self, start: int, count: int) -> Iterator[Row | UnfitError]:
        for number, held in enumerate(self._groups):
            if count <= 0:
                return
            if start >= held:
                start -= held
                continue
            for batch in self._batches(number, at_most=start + count):
                if start >= batch.num_rows:
                    start -= batch.num_rows
                    continue
                for at in range(start, min(start + count, batch.num_rows)):
                    yield {name: batch.column(column)[at] for column, name in enumerate(self._names)}
                    count -= 1
                start = 0
                if count <= 0:
                    return
            start = 0

    def batches(self) -> Iterator[tuple[int, dict[str, pyarrow.Array]]]:
        for number in range(len(self._groups)):
            for batch in self._batches(number, at_most=_MOST_BATCH_ROWS):
                yield batch.num_rows, {name: batch.column(column) for column, name in enumerate(self._names)}

    def _batches(self, group: int, at_most: int) -> Iterator[pyarrow.RecordBatch]:
        described = self._file.metadata.row_group(group)
        size = max(described.total_byte_size // max(described.num_rows, 1), 1)
        rows = max(min(_BATCH_BYTES // size, at_most, _MOST_BATCH_ROWS), 1)
        wanted = self._file.schema_arrow.names[: len(self._names)] if self.more_columns() else None
        try:
            yield from self._file.iter_batches(rows, row_groups=[group], columns=wanted, use_threads=False)
        except MemoryError:
            raise
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise UnfitError(f"its rows cannot be read: {_line(error, self._path)}") from None


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
            raise UnfitError(f"it cannot be unpacked: {_line(error)}") from None
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
            raise UnfitError(f"it cannot be unpacked: {_line(error)}") from None

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


class _Json(_Lines):
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


class _Csv(_Lines):
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
            self._header = _each_once(next(records, []))
            yield from (record for record in records if record)
        except csv.Error as error:
            raise UnfitError(f"it is not CSV: {error}") from None
        finally:
            text.detach()

    def _row(self, one: Any) -> Row:
        extra = [f"({number})" for number in range(len(self._header) + 1, len(one) + 1)]
        return self._kept(dict(zip([*self._header, *extra], [value or None for value in one], strict=False)))


class _Text(_Lines):
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
    for row in islice(rows, _MOST_BATCH_ROWS):
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


def _each_once(names: list[str]) -> list[str]:
    """Return names of which each is another: a second "a" becomes "a (2)"."""
    taken: set[str] = set()
    made = []
    for name in names:
        number, one = 1, name
        while one in taken:
            number += 1
            one = f"{name} ({number})"
        taken.add(one)
        made.append(one)
    return made


def _line(error: BaseException, path: str = "") -> str:
    """Return what a library says, on one line and without the name that the file has on this machine."""
    said = " ".join(str(error).split())
    return (said.replace(path, "the file") if path else said)[:300]
