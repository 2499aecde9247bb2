"""A dataset folder: Parquet files per config, language and split, and SHA256SUMS over everything in it.

    DATASET/
      README.md                                    the card; its YAML tells `datasets` the configs and splits
      LICENSE, LICENSES/                           which licence holds for what, and their texts
      recipe.toml                                  what the dataset can be made again from
      stats.json                                   the measured numbers behind the card
      data/<config>/<language>/<split>-00000-of-00001.parquet
      SHA256SUMS                                   `sha256sum --check` reads it

Reading checks SHA256SUMS first: text that is not what was published is refused.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.data.document import Document
from modeling_axk1.errors import DataError
from modeling_axk1.files import sha256_file

SPLITS = ("train", "validation")


SCHEMA_NAMES = ["id", "text", "language", "source", "source_version", "source_file", "license", "sha256", "steps"]


def parquet_name(config: str, language: str, split: str, number: int = 0, count: int = 1) -> str:
    """Return the path within a dataset folder of one of the `count` files with a config's split in a language."""
    return f"data/{config}/{language}/{split}-{number:05}-of-{count:05}.parquet"


def schema() -> Any:
    """Return the columns of every Parquet file of a dataset."""
    import pyarrow

    text = pyarrow.string()
    return pyarrow.schema([(name, pyarrow.list_(text) if name == "steps" else text) for name in SCHEMA_NAMES])


def parquet_writer(file: BinaryIO) -> Any:
    """Return a writer of one Parquet file; equal tables give equal bytes (with the same pyarrow)."""
    import pyarrow.parquet

    # Columns with few values; a dictionary of texts or of hashes would only be tried and given up.
    repeated = ["language", "source", "source_version", "license", "steps.list.element"]
    return pyarrow.parquet.ParquetWriter(
        file, schema(), compression="zstd", compression_level=3, use_dictionary=repeated, write_page_index=True
    )


def sum_problems(dataset: Path) -> Iterator[str]:
    """Yield what is wrong with the files that SHA256SUMS names; DataError when there is none, or a broken one.

    Files it does not name (a download leaves its own) are none of its business: they are never read.
    """
    for name, digest in read_sums(dataset).items():
        path = dataset / name
        if not path.is_file():
            yield f"{dataset}: {name} is missing"
        elif (got := sha256_file(path)) != digest:
            yield f"{path}: sha256 must be {digest}, got {got}"


def check_sums(dataset: Path) -> None:
    """Raise DataError unless every file that SHA256SUMS names is there and is what it was."""
    for problem in sum_problems(dataset):
        raise DataError(f"{problem}; build or download the dataset again")


def parquet_files(dataset: Path, split: str) -> list[str]:
    """Return the paths within the dataset folder of the files that hold a split, as SHA256SUMS names them."""
    if split not in SPLITS:
        raise DataError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    names = read_sums(dataset)
    return [name for name in names if name.startswith("data/") and Path(name).name.startswith(f"{split}-")]


def read_documents(dataset: Path, split: str) -> Iterator[Document]:
    """Yield the documents of a split ("train" or "validation"), all configs in the order of their names.

    Raises DataError for an unknown split, a folder that is no dataset, or files that differ from SHA256SUMS.
    """
    names = parquet_files(dataset, split)
    check_sums(dataset)
    for name in names:
        yield from documents_of(dataset, name)


def documents_of(dataset: Path, name: str) -> Iterator[Document]:
    """Yield the documents of one Parquet file; raises DataError when it holds none. Its hash is the caller's affair."""
    import pyarrow.parquet

    try:
        for batch in pyarrow.parquet.ParquetFile(dataset / name).iter_batches(batch_size=256):
            yield from map(_document, batch.to_pylist())
    except (OSError, pyarrow.ArrowException, KeyError) as error:
        raise DataError(f"{dataset / name} does not hold documents: {error}; build or download it again") from None


def read_texts(dataset: Path, split: str) -> Iterator[str]:
    """Yield the texts of a split; see `read_documents`."""
    for document in read_documents(dataset, split):
        yield document.text


def read_sums(dataset: Path) -> dict[str, str]:
    """Return {path: SHA-256} of a dataset's SHA256SUMS; raises DataError when it has none, or a broken one."""
    path = dataset / SUMS_FILE
    if not path.is_file():
        raise DataError(f"{dataset} is not a dataset folder: it has no {SUMS_FILE}; `axk1 data build` makes one")
    try:
        return parse_sums(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{dataset}: {error}") from None


def data_sha256(dataset: Path) -> str:
    """Return a fingerprint of a dataset's data: of its files' names and hashes, whatever card stands beside them."""
    lines = (f"{digest}  {name}\n" for name, digest in sorted(read_sums(dataset).items()) if name.startswith("data/"))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


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
