"""From parts and fates to the Parquet files of a dataset: planned first, then written by any process in any order.

A shard holds documents of one config, language and split, in the order of the recipe's sources. What is in it, and so
its bytes, depends on the parts and their fates alone. Beside each shard in the work folder lies what was counted:

    WORK/shards/<key>/data/<config>/<language>/train-00000-of-00002.parquet
    WORK/shards/<key>/data/<config>/<language>/train-00000-of-00002.json
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modeling_axk1.data.choice import TRAIN, VALIDATION, Choice
from modeling_axk1.data.dataset import SCHEMA_NAMES, SPLITS, parquet_name, parquet_writer
from modeling_axk1.data.parts import Part
from modeling_axk1.files import atomic_write, atomic_write_text, sha256_file

_FATE = {"train": TRAIN, "validation": VALIDATION}


@dataclass(frozen=True)
class Piece:
    """Rows [start, stop) of a part's group; those whose fate is the shard's split are in the shard."""

    part: int
    group: int
    start: int
    stop: int


@dataclass(frozen=True)
class Shard:
    """One file of the dataset to be."""

    name: str
    split: str
    pieces: list[Piece]


@dataclass(frozen=True)
class Counted:
    """What was counted in a shard, or in several: {(license, language, source, split): (documents, bytes)}, ...

    `changed` is by step, `found` by step and what was found, `lengths` by language and the power of two that a
    document's bytes reach.
    """

    sha256: str
    size: int
    amounts: list[tuple[str, str, str, int, int]]
    changed: dict[str, int]
    found: dict[str, dict[str, int]]
    lengths: dict[int, int]


def plan_shards(parts: Sequence[Part], choice: Choice, licenses: Mapping[str, str], shard_bytes: int) -> list[Shard]:
    """Return the shards of a dataset, in the order of their names."""
    pieces: defaultdict[tuple[str, str, str], defaultdict[int, list[Piece]]] = defaultdict(lambda: defaultdict(list))
    filled: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for number, part in enumerate(parts):
        sizes, fates = part.load_rows()["bytes"], choice.of(number)
        for place, group in enumerate(part.groups):
            for split in SPLITS:
                rows = group.start + np.flatnonzero(fates[group.start : group.stop] == _FATE[split])
                if not len(rows):
                    continue
                key = (licenses[group.license], group.language, split)
                ends = filled[key] + np.cumsum(sizes[rows], dtype=np.int64)
                shards, firsts = np.unique((ends - sizes[rows]) // shard_bytes, return_index=True)
                stops = [*rows[firsts[1:]].tolist(), int(rows[-1]) + 1]
                for shard, start, stop in zip(shards.tolist(), rows[firsts].tolist(), stops, strict=True):
                    pieces[key][shard].append(Piece(number, place, start, stop))
                filled[key] = int(ends[-1])
    return [
        Shard(parquet_name(*key, number, len(of_key)), key[2], of_key[shard])
        for key, of_key in sorted(pieces.items())
        for number, shard in enumerate(sorted(of_key))
    ]


@dataclass(frozen=True)
class WriteShards:
    """Writes shards of these parts below `folder`. Called with a shard, it yields its number of documents."""

    folder: Path
    parts: Sequence[Part]
    choice: Choice
    row_group_bytes: int

    def __call__(self, shard: Shard) -> Iterator[int]:
        """Write one shard, unless it is there already."""
        path = self.folder / shard.name
        if not path.exists():
            amounts: defaultdict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
            counted = Counted("", 0, [], defaultdict(int), defaultdict(lambda: defaultdict(int)), defaultdict(int))
            with atomic_write(path) as file:
                with parquet_writer(file) as writer:
                    for tables in self._row_groups(shard, amounts, counted):
                        writer.write_table(tables, row_group_size=len(tables))
                file.flush()
                facts = vars(counted) | {
                    "sha256": sha256_file(Path(file.name)),
                    "size": file.tell(),
                    "amounts": [(*key, *value) for key, value in sorted(amounts.items())],
                }
                atomic_write_text(counted_file(path), json.dumps(facts, ensure_ascii=False))
        yield 1

    def _row_groups(
        self, shard: Shard, amounts: defaultdict[tuple[str, str, str], list[int]], counted: Counted
    ) -> Iterator[Any]:
        import pyarrow

        held: list[Any] = []
        held_bytes = 0
        for piece in shard.pieces:
            part = self.parts[piece.part]
            group = part.groups[piece.group]
            wanted = self.choice.of(piece.part)[piece.start : piece.stop] == _FATE[shard.split]
            sizes = part.load_rows()["bytes"][piece.start : piece.stop][wanted]
            table = _read_rows(part, piece, wanted)
            _count(table, sizes, counted)
            amount = amounts[group.license, group.language, group.source]
            amount[0] += len(sizes)
            amount[1] += int(sizes.sum(dtype=np.int64))
            held.append(table.append_column("id", _ids(table)).select(SCHEMA_NAMES))
            held_bytes += int(sizes.sum(dtype=np.int64))
            if held_bytes >= self.row_group_bytes:
                yield pyarrow.concat_tables(held)
                held, held_bytes = [], 0
        if held:
            yield pyarrow.concat_tables(held)


def counted_file(shard: Path) -> Path:
    """Return the path of what was counted in a shard."""
    return shard.with_suffix(".json")


def read_counted(shard: Path) -> Counted:
    """Return what was counted in a shard when it was written."""
    return Counted(**json.loads(counted_file(shard).read_text(encoding="utf-8")))


def _read_rows(part: Part, piece: Piece, wanted: np.ndarray) -> Any:
    import pyarrow
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(part.folder / "kept.parquet") as file:
        table = file.read_row_group(piece.group, use_threads=False)
    start = piece.start - part.groups[piece.group].start
    return table.slice(start, len(wanted)).filter(pyarrow.array(wanted))


def _ids(table: Any) -> Any:
    import pyarrow.compute

    return pyarrow.compute.utf8_slice_codeunits(table["sha256"], 0, 16)


def _count(table: Any, sizes: np.ndarray, counted: Counted) -> None:
    import pyarrow.compute

    steps = pyarrow.compute.list_flatten(table["steps"])
    for one in pyarrow.compute.value_counts(steps).to_pylist():
        counted.changed[one["values"]] += one["counts"]
    for found in table["counts"].to_pylist():
        for step, counts in json.loads(found).items() if found else ():
            for what, number in counts.items():
                counted.found[step][what] += number
    exponents, numbers = np.unique(np.frexp(sizes.astype(np.float64))[1] - 1, return_counts=True)
    for exponent, number in zip(exponents.tolist(), numbers.tolist(), strict=True):
        counted.lengths[exponent] += number
