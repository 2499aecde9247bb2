"""A source's documents as they were read, cut into files, so that the steps can be shared out over processes.

    WORK/raw/<source>-<key>/00000.parquet    about 16 MB of text a file, in the source's own order
    WORK/raw/<source>-<key>/read.json        how many such files there are, and what was left out; written last

The key is a hash of everything that decides what is read, so a file that is there can be trusted.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from modeling_axk1.data.document import Document
from modeling_axk1.data.inputs import Input
from modeling_axk1.data.read import FIELDS
from modeling_axk1.errors import DataError
from modeling_axk1.files import atomic_write, atomic_write_text


@dataclass(frozen=True)
class Raw:
    """A source read to its end: how many files its documents fill, and what its reader left out, by reason."""

    files: int
    left_out: dict[str, int]


def raw_file(folder: Path, number: int) -> Path:
    """Return the path of one of a source's files."""
    return folder / f"{number:05}.parquet"


def raw_of(folder: Path) -> Raw | None:
    """Return what was read into `folder`, or None when the reading did not come to its end."""
    facts = folder / "read.json"
    return Raw(**json.loads(facts.read_text(encoding="utf-8"))) if facts.is_file() else None


def write_raw(source: Input, folder: Path, file_bytes: int) -> Iterator[int]:
    """Write a source's documents to files in `folder` and yield each file's number when it is there.

    A source that was read to its end is not read again; of one that was not, no file that is there is written again.
    """
    if done := raw_of(folder):
        yield from range(done.files)
        return
    files = 0
    left_out: Counter[str] = Counter()
    for documents in _cut(source.documents(left_out), file_bytes):
        path = raw_file(folder, files)
        if not path.exists():
            _write(path, documents)
        yield files
        files += 1
    facts = asdict(Raw(files, dict(sorted(left_out.items()))))
    atomic_write_text(folder / "read.json", json.dumps(facts, ensure_ascii=False))


def read_raw(path: Path) -> Iterator[Document]:
    """Yield the documents of one file."""
    import pyarrow.parquet

    for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=256, use_threads=False):
        for row in batch.to_pylist():
            yield Document(**row)


def _cut(documents: Iterator[Document], file_bytes: int) -> Iterator[list[Document]]:
    held: list[Document] = []
    size = 0
    for document in documents:
        held.append(document)
        try:
            size += document.bytes
        except UnicodeEncodeError:
            where = f"{document.source}: {document.source_file}"
            raise DataError(f"{where} holds half a surrogate pair, which no UTF-8 can hold") from None
        if size >= file_bytes:
            yield held
            held, size = [], 0
    if held:
        yield held


def _write(path: Path, documents: list[Document]) -> None:
    import pyarrow
    import pyarrow.parquet

    columns = {name: pyarrow.array([getattr(one, name) for one in documents], pyarrow.string()) for name in FIELDS}
    with atomic_write(path) as file:
        pyarrow.parquet.write_table(pyarrow.table(columns), file, compression="zstd", row_group_size=1_000)
