"""Opens a file of rows by its format."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modeling_axk1.hub.server.browse.sandboxed import UnfitError
from modeling_axk1.hub.server.browse.sandboxed.lines import Csv, Json, Text
from modeling_axk1.hub.server.browse.sandboxed.parquet import Parquet
from modeling_axk1.hub.server.browse.sandboxed.table import Table


@contextmanager
def open_table(path: str | None, format: str, *, compressed: bool) -> Iterator[Table]:
    """Open a file for as long as the block runs, None where its bytes are gone; raises UnfitError for what is none."""
    if path is None:
        raise UnfitError("its bytes are missing on this hub")
    if format == "parquet":
        yield Parquet(path)
        return
    with Path(path).open("rb") as file:
        raw = gzip.GzipFile(fileobj=file) if compressed else file
        if format == "json":
            yield Json(raw)
        elif format == "text":
            yield Text(raw)
        else:
            yield Csv(raw, "\t" if format == "tsv" else ",")
