"""Does a dataset hold what it promises? Read whole and compared with its checksums, its columns and its own rules."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from modeling_axk1.data.dataset import parquet_files, read_sums, schema, sum_problems
from modeling_axk1.data.duplicates import Buckets, repeated
from modeling_axk1.data.recipe import Recipe, read_recipe
from modeling_axk1.data.stats import Amount, read_stats
from modeling_axk1.progress import progress_bar

# Of problems of one kind in one file this many are named; the rest is counted.
_NAMED = 5
_RECORD = np.dtype([("digest", "<u8", (4,))])


def check(dataset: Path) -> list[str]:
    """Return what is wrong with a dataset folder, one line for each problem; none when it holds what it promises.

    Every file must have the hash that SHA256SUMS says; every Parquet file the columns of a dataset; every row the
    sha256 and id of its text, a licence that the recipe allows, and the licence's config and the language of its
    file's path; no text may be there twice, and stats.json must say what is there.
    Raises DataError when the folder is no dataset at all.
    """
    read_sums(dataset)  # first of all: it says so when this is no dataset
    recipe, stats = read_recipe(dataset / "recipe.toml"), read_stats(dataset)
    problems = [*sum_problems(dataset), *_unnamed(dataset)]
    kept = Amount()
    files = [(name, split) for split in stats.by_split for name in parquet_files(dataset, split)]
    with tempfile.TemporaryDirectory(prefix="axk1-") as folder, progress_bar("checking", total=len(files)) as advance:
        buckets = Buckets(Path(folder), _RECORD, stats.kept.documents)
        for name, _ in files:
            file = _File(dataset, name, recipe)
            problems += file.check(buckets)
            kept += file.kept
            advance(1, note=name)
        if "duplicates" in recipe.corpus_steps:
            twice = sum(int(repeated(records).sum()) for records in buckets)
            problems += [f"{twice:,} documents have the text of another"] if twice else []
    for counted, got, what in (
        (stats.kept.documents, kept.documents, "documents"),
        (stats.kept.bytes, kept.bytes, "bytes"),
    ):
        if counted != got:
            problems.append(f"stats.json counts {counted:,} {what}, the Parquet files hold {got:,}")
    return problems


def _unnamed(dataset: Path) -> Iterator[str]:
    """The card's patterns would load any file that lies in data/, so none may lie there that nobody vouches for."""
    named = read_sums(dataset)
    for path in sorted((dataset / "data").rglob("*.parquet")):
        if (name := path.relative_to(dataset).as_posix()) not in named:
            yield f"{name} is not in SHA256SUMS, and the card's patterns match it"


class _File:
    """One Parquet file: its problems, those of one kind counted from a certain number on, and how much it holds."""

    def __init__(self, dataset: Path, name: str, recipe: Recipe) -> None:
        self.path, self.name, self.recipe = dataset / name, name, recipe
        _, self.config, self.language, _ = Path(name).parts
        self.kept = Amount()
        self._found: Counter[str] = Counter()
        self._problems: list[str] = []

    def check(self, buckets: Buckets) -> list[str]:
        """Read the file row group by row group, add its digests to `buckets`, and return what is wrong."""
        import pyarrow.parquet

        try:
            file = pyarrow.parquet.ParquetFile(self.path)
            if not file.schema_arrow.equals(schema()):
                return [f"{self.name}: columns must be {', '.join(schema().names)}, got {file.schema_arrow.names}"]
            for number in range(file.num_row_groups):
                digests = [self._row(row) for row in file.read_row_group(number).to_pylist()]
                records = np.zeros(len(digests), _RECORD)
                records["digest"] = np.frombuffer(b"".join(digests), ">u8").reshape(-1, 4)
                buckets.add(records)
        except (OSError, pyarrow.ArrowException) as error:
            return [f"{self.name} cannot be read as Parquet: {str(error).splitlines()[0]}"]
        more = [f"{self.name}: {rule}: {n - _NAMED:,} more" for rule, n in self._found.items() if n > _NAMED]
        return self._problems + more

    def _row(self, row: dict[str, Any]) -> bytes:
        empty = [name for name, value in row.items() if value is None]
        text = (row["text"] or "").encode()
        digest = hashlib.sha256(text)
        self.kept += Amount(1, len(text))
        for rule, holds in (
            ("no column may be null", not empty),
            ("sha256 must be that of the text", row["sha256"] == digest.hexdigest()),
            ("id must be the first 16 digits of sha256", row["id"] == (row["sha256"] or "")[:16]),
            ("language must be that of the path", row["language"] == self.language),
            ("license must be allowed by the recipe", row["license"] in self.recipe.licenses),
            (
                "license must be that of the config",
                self.recipe.licenses.get(row["license"], self.config) == self.config,
            ),
        ):
            if not holds:
                self._found[rule] += 1
                if self._found[rule] <= _NAMED:
                    self._problems.append(f"{self.name}: {rule}: document {row['id']}")
        return digest.digest()
