"""A dataset folder: Parquet files per config and split, and SHA256SUMS over everything in it.

    DATASET/
      README.md                                    the card; its YAML tells `datasets` the configs and splits
      LICENSE, LICENSES/                           which licence holds for what, and their texts
      recipe.toml                                  what the dataset can be made again from
      stats.json                                   the measured numbers behind the card
      data/<config>/<split>-00000-of-00001.parquet
      SHA256SUMS                                   `sha256sum --check` reads it

Reading checks SHA256SUMS first: text that is not what was published is refused.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.data.document import Document
from modeling_axk1.errors import DataError
from modeling_axk1.files import sha256_file

SPLITS = ("train", "validation")


def parquet_name(config: str, split: str) -> str:
    """Return the path within a dataset folder of the file that holds a config's split."""
    return f"data/{config}/{split}-00000-of-00001.parquet"


def write_parquet(path: Path, documents: Sequence[Document]) -> None:
    """Write documents as one zstd Parquet file; equal documents give equal bytes (with the same pyarrow)."""
    import pyarrow
    import pyarrow.parquet

    text = pyarrow.string()
    schema = pyarrow.schema(
        [
            ("id", text),
            ("text", text),
            ("language", text),
            ("source", text),
            ("source_version", text),
            ("source_file", text),
            ("license", text),
            ("sha256", text),
            ("steps", pyarrow.list_(text)),
        ]
    )
    rows = [{name: getattr(document, name) for name in schema.names} for document in documents]
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path, compression="zstd", write_page_index=True)


def check_sums(dataset: Path) -> None:
    """Raise DataError unless every file that SHA256SUMS names is there and is what it was.

    Files it does not name (a download leaves its own) are none of its business: they are never read.
    """
    for name, digest in _read_sums(dataset).items():
        path = dataset / name
        if not path.is_file():
            raise DataError(f"{dataset}: {name} is missing; build or download the dataset again")
        got = sha256_file(path)
        if got != digest:
            raise DataError(f"{path}: sha256 must be {digest}, got {got}; build or download the dataset again")


def read_documents(dataset: Path, split: str) -> Iterator[Document]:
    """Yield the documents of a split ("train" or "validation"), all configs in the order of their names.

    Raises DataError for an unknown split, a folder that is no dataset, or files that differ from SHA256SUMS.
    """
    import pyarrow.parquet

    if split not in SPLITS:
        raise DataError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    check_sums(dataset)
    for name in _read_sums(dataset):
        if name.startswith("data/") and Path(name).name.startswith(f"{split}-"):
            try:
                for batch in pyarrow.parquet.ParquetFile(dataset / name).iter_batches():
                    yield from map(_document, batch.to_pylist())
            except (pyarrow.ArrowException, KeyError) as error:
                raise DataError(f"{dataset / name} does not hold documents: {error}") from None


def read_texts(dataset: Path, split: str) -> Iterator[str]:
    """Yield the texts of a split; see `read_documents`."""
    for document in read_documents(dataset, split):
        yield document.text


def _read_sums(dataset: Path) -> dict[str, str]:
    path = dataset / SUMS_FILE
    if not path.is_file():
        raise DataError(f"{dataset} is not a dataset folder: it has no {SUMS_FILE}")
    try:
        return parse_sums(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{dataset}: {error}") from None


def _document(row: dict[str, Any]) -> Document:
    return Document(
        text=row["text"],
        language=row["language"],
        source=row["source"],
        source_version=row["source_version"],
        source_file=row["source_file"],
        license=row["license"],
        steps=tuple(row["steps"]),
    )
