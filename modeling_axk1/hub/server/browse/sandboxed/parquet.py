"""Parquet files."""

from collections.abc import Iterator

import pyarrow
import pyarrow.parquet

from modeling_axk1.hub.server.browse.sandboxed import UnfitError
from modeling_axk1.hub.server.browse.sandboxed.table import MOST_BATCH_ROWS, MOST_COLUMNS, Row, each_once, one_line

# What a batch of rows should take when it is unfolded; the file says how large its rows are.
_BATCH_BYTES = 8 << 20


class Parquet:
    """Row groups, of which only those that are needed are read, page by page."""

    def __init__(self, path: str) -> None:
        """Read the footer; raises UnfitError for a file that has none."""
        try:
            self._file = pyarrow.parquet.ParquetFile(
                pyarrow.OSFile(path), buffer_size=1 << 18, pre_buffer=False, arrow_extensions_enabled=False
            )
        except MemoryError:
            raise
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise UnfitError(f"it is not a Parquet file: {one_line(error, path)}") from None
        self._path = path
        metadata = self._file.metadata
        self._groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        if any(rows < 0 for rows in self._groups):
            raise UnfitError("it is not a Parquet file: it has a negative number of rows")
        # By number, as names may come twice or hold the dots that select inside of them.
        self._names = each_once(self._file.schema_arrow.names)[:MOST_COLUMNS]

    def count(self, until: float) -> int:
        """Return how many rows the footer names."""
        return sum(self._groups)

    def types(self) -> dict[str, str]:
        """Return the type of each column."""
        return {name: str(kind)[:200] for name, kind in zip(self._names, self._file.schema_arrow.types, strict=False)}

    def more_columns(self) -> int:
        """Return how many columns are left out."""
        return len(self._file.schema_arrow.names) - len(self._names)

    def rows(self, start: int, count: int) -> Iterator[Row | UnfitError]:
        """Yield up to `count` rows from the row `start` on."""
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
        """Yield (number of rows, {column: values}) until all rows came."""
        for number in range(len(self._groups)):
            for batch in self._batches(number, at_most=MOST_BATCH_ROWS):
                yield batch.num_rows, {name: batch.column(column) for column, name in enumerate(self._names)}

    def _batches(self, group: int, at_most: int) -> Iterator[pyarrow.RecordBatch]:
        described = self._file.metadata.row_group(group)
        size = max(described.total_byte_size // max(described.num_rows, 1), 1)
        rows = max(min(_BATCH_BYTES // size, at_most, MOST_BATCH_ROWS), 1)
        wanted = self._file.schema_arrow.names[: len(self._names)] if self.more_columns() else None
        try:
            yield from self._file.iter_batches(rows, row_groups=[group], columns=wanted, use_threads=False)
        except MemoryError:
            raise
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise UnfitError(f"its rows cannot be read: {one_line(error, self._path)}") from None
