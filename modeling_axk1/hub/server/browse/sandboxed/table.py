"""What one file of rows can be asked, whatever its format.

A row is {column: value}; values are Arrow's from Parquet and Python's from the other formats.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import pyarrow

from modeling_axk1.hub.server.browse.sandboxed import UnfitError

# A wide table shows its first columns.
MOST_COLUMNS = 100
MOST_BATCH_ROWS = 2048

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


def each_once(names: list[str]) -> list[str]:
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


def one_line(error: BaseException, path: str = "") -> str:
    """Return what a library says, on one line and without the name that the file has on this machine."""
    said = " ".join(str(error).split())
    return (said.replace(path, "the file") if path else said)[:300]
