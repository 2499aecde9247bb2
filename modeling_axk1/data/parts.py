"""Parts: one file of raw documents after the steps. Parts are made in any order, by any process, and stay.

    WORK/steps/<source>-<key>/00000/     appears whole
      kept.parquet       the documents kept; one row group for each licence, language and source
      rows.npy           a row for each of them, in the same order; see ROW
      signatures.npy     what near-duplicates are told by, where the recipe looks for them
      dropped.parquet    the documents dropped, with step and reason
      part.json          how much was read and dropped, and the groups of kept.parquet

The key is a hash of everything that decides what a part holds, so a part that is there can be trusted.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from modeling_axk1.data.document import Document, Dropped, Step, run_steps
from modeling_axk1.data.near_duplicates import NUMBERS, Signature, signature
from modeling_axk1.data.raw import read_raw
from modeling_axk1.data.read import FIELDS, MAX_DOCUMENT_BYTES
from modeling_axk1.data.recipe import Recipe
from modeling_axk1.files import atomic_folder

# SHA-256 as four numbers, most significant first; UTF-8 bytes of the text; which of the raw documents it was.
ROW = np.dtype([("digest", "<u8", (4,)), ("bytes", "<u4"), ("place", "<u4")])


@dataclass(frozen=True)
class Group:
    """Documents of one part under one licence, in one language and from one source: rows [start, stop)."""

    license: str
    language: str
    source: str
    start: int
    stop: int


@dataclass(frozen=True)
class Part:
    """One part after the steps: its folder, and what part.json says. `dropped` is {step: {reason: (n, bytes)}}."""

    folder: Path
    read: int
    read_bytes: int
    dropped: dict[str, dict[str, tuple[int, int]]]
    groups: list[Group]

    @property
    def rows(self) -> int:
        """Number of documents kept."""
        return self.groups[-1].stop if self.groups else 0

    def load_rows(self) -> np.ndarray:
        """Return the rows of its documents, an array of ROW."""
        loaded: np.ndarray = np.load(self.folder / "rows.npy")
        return loaded


def read_part(folder: Path) -> Part:
    """Read a part's part.json."""
    facts = json.loads((folder / "part.json").read_text(encoding="utf-8"))
    groups = [Group(**group) for group in facts.pop("groups")]
    return Part(folder=folder, groups=groups, **facts)


def dropped_of(part: Part, fates: np.ndarray, reasons: Mapping[int, tuple[str, str]]) -> Iterator[Dropped]:
    """Yield the documents of a part that were dropped, by its steps or afterwards, in the order of the raw documents.

    `reasons` says of which fates documents were dropped, by which step and why.
    """
    import pyarrow.parquet

    dropped: list[tuple[int, Dropped]] = []
    with pyarrow.parquet.ParquetFile(part.folder / "dropped.parquet") as file:
        for row in file.read(use_threads=False).to_pylist():
            dropped.append((row["place"], Dropped(_document(row), row["step"], row["reason"])))
    rows = part.load_rows()
    with pyarrow.parquet.ParquetFile(part.folder / "kept.parquet") as file:
        for number, group in enumerate(part.groups):
            if not np.isin(fates[group.start : group.stop], list(reasons)).any():
                continue
            table = file.read_row_group(number, use_threads=False).to_pylist()
            for place, row in enumerate(table, group.start):
                if fates[place] in reasons:
                    dropped.append((int(rows["place"][place]), Dropped(_document(row), *reasons[fates[place]])))
    for _, one in sorted(dropped, key=lambda pair: pair[0]):
        yield one


@dataclass
class MakeParts:
    """Runs a recipe's steps over raw files. The steps are made once in each process.

    `evaluation` is the index of texts that must not be in, where the recipe has such a step.
    """

    recipe: Recipe
    evaluation: Path | None

    @cached_property
    def steps(self) -> list[Step]:
        """The recipe's steps, made anew in each process: some hold a model or an index."""
        return self.recipe.make_steps(self.evaluation)

    def make(self, raw: Path, folder: Path) -> int:
        """Read the file `raw`, write the part `folder` unless it is there, and return the bytes that were read."""
        if folder.exists():
            return read_part(folder).read_bytes
        kept: list[_Kept] = []
        dropped: list[tuple[int, Dropped]] = []
        read_bytes = 0
        signed = "near_duplicates" in self.recipe.corpus_steps
        for place, document in enumerate(read_raw(raw)):
            read_bytes += document.bytes
            outcome = self._outcome(document)
            if isinstance(outcome, Dropped):
                dropped.append((place, outcome))
            else:
                # Here, where its units are still at hand.
                kept.append(_Kept(outcome, place, self._counts(), signature(outcome.text) if signed else None))
        kept.sort(key=_Kept.group)
        with atomic_folder(folder) as part:
            groups = _write_kept(part, kept)
            _write_dropped(part, dropped)
            if signed:
                _write_signatures(part, kept)
            facts = {
                "read": len(kept) + len(dropped),
                "read_bytes": read_bytes,
                "dropped": _amounts(dropped),
                "groups": [asdict(group) for group in groups],
            }
            (part / "part.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
        return read_bytes

    def _outcome(self, document: Document) -> Document | Dropped:
        if document.bytes > MAX_DOCUMENT_BYTES:
            return Dropped(document, "read", f"longer than {MAX_DOCUMENT_BYTES:,} bytes")
        for step in self.steps:
            step.counts.clear()
        return run_steps(self.steps, document)

    def _counts(self) -> str:
        """Return what the steps counted in the document at hand as JSON, or "" for nothing."""
        counts = {step.name: dict(sorted(step.counts.items())) for step in self.steps if step.counts}
        return json.dumps(counts, ensure_ascii=False) if counts else ""


@dataclass(frozen=True, slots=True)
class _Kept:
    document: Document
    place: int
    counts: str
    signature: Signature | None

    def group(self) -> tuple[str, str, str]:
        return self.document.license, self.document.language, self.document.source


def _write_kept(part: Path, kept: list[_Kept]) -> list[Group]:
    import pyarrow
    import pyarrow.parquet

    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    schema = pyarrow.schema([*((name, text) for name in FIELDS), ("sha256", text), ("steps", texts), ("counts", text)])
    rows = np.zeros(len(kept), ROW)
    groups: list[Group] = []
    start = 0
    with pyarrow.parquet.ParquetWriter(part / "kept.parquet", schema, compression="zstd") as writer:
        for key, grouped in groupby(kept, _Kept.group):
            members = list(grouped)
            columns: dict[str, list[Any]] = {name: [getattr(one.document, name) for one in members] for name in FIELDS}
            encoded = [one.document.text.encode() for one in members]
            digests = [hashlib.sha256(data) for data in encoded]
            columns["sha256"] = [digest.hexdigest() for digest in digests]
            columns["steps"] = [one.document.steps for one in members]
            columns["counts"] = [one.counts for one in members]
            writer.write_table(pyarrow.table(columns, schema=schema), row_group_size=len(members))
            stop = start + len(members)
            packed = b"".join(digest.digest() for digest in digests)
            rows["digest"][start:stop] = np.frombuffer(packed, ">u8").reshape(-1, 4)
            rows["bytes"][start:stop] = [len(data) for data in encoded]
            rows["place"][start:stop] = [one.place for one in members]
            groups.append(Group(*key, start, stop))
            start = stop
    np.save(part / "rows.npy", rows)
    return groups


def _write_signatures(part: Path, kept: list[_Kept]) -> None:
    rows = [one.signature for one in kept if one.signature is not None]
    np.save(part / "signatures.npy", np.array(rows, np.uint32).reshape(-1, NUMBERS))


def _document(row: dict[str, Any]) -> Document:
    return Document(**{key: row[key] for key in FIELDS}, steps=tuple(row["steps"]))


def _write_dropped(part: Path, dropped: list[tuple[int, Dropped]]) -> None:
    import pyarrow
    import pyarrow.parquet

    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    fields = [*((name, text) for name in FIELDS), ("steps", texts), ("step", text), ("reason", text)]
    schema = pyarrow.schema([*fields, ("place", pyarrow.uint32())])
    columns: dict[str, list[Any]] = {name: [getattr(one.document, name) for _, one in dropped] for name in FIELDS}
    columns["steps"] = [one.document.steps for _, one in dropped]
    columns["step"] = [one.step for _, one in dropped]
    columns["reason"] = [one.reason for _, one in dropped]
    columns["place"] = [place for place, _ in dropped]
    table = pyarrow.table(columns, schema=schema)
    pyarrow.parquet.write_table(table, part / "dropped.parquet", compression="zstd", row_group_size=1_000)


def _amounts(dropped: list[tuple[int, Dropped]]) -> dict[str, dict[str, tuple[int, int]]]:
    amounts: defaultdict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for _, one in dropped:
        documents, size = amounts[one.step].get(one.reason, (0, 0))
        amounts[one.step][one.reason] = documents + 1, size + one.document.bytes
    return amounts
