"""Our steps as phases, for data_build.py: see data_build_datatrove.py, which holds what stands against them."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow

from modeling_axk1.data.dataset import parquet_writer, schema
from modeling_axk1.data.decontaminate import build_index
from modeling_axk1.data.document import Document, Step
from modeling_axk1.data.duplicates import Buckets, repeated
from modeling_axk1.data.near_duplicates import first_of_each_group, signature
from modeling_axk1.data.steps import STEPS

PARAMETERS = {"length": {"min_bytes": 200, "max_line_bytes": 100_000}}
_RECORD = np.dtype([("digest", "<u8", (4,)), ("row", "<u8")])

Run = Callable[[], object]
Phase = Callable[[list[Document], int, Path, str], Run]


def make_index(evaluation: list[Document], folder: Path, language: str) -> None:
    """Write the index of evaluation texts that the step `decontaminate` reads."""
    build_index(evaluation, folder / "index" / f"{language}.npy")


def per_document(step: str) -> list[Phase]:
    """Return the one phase of a step that looks at one document at a time."""

    def phase(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        decide = _step(step, language, folder.parent).decide
        return lambda: [decide(document) for document in documents]

    return [phase]


@cache
def _step(name: str, language: str, folder: Path) -> Step:
    make, _ = STEPS[name]
    if name == "decontaminate":
        return make(str(folder / "index" / f"{language}.npy"))
    return make(**PARAMETERS.get(name, {}))


def exact_duplicates() -> list[Phase]:
    """Return hashing, and finding equal hashes, which one process does."""

    def sign(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        folder.mkdir(parents=True, exist_ok=True)

        def run() -> None:
            digests = b"".join(hashlib.sha256(document.text.encode()).digest() for document in documents)
            np.save(folder / f"digests-{half}.npy", np.frombuffer(digests, ">u8").reshape(-1, 4))

        return run

    def find(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        def run() -> None:
            digests = np.concatenate([np.load(folder / f"digests-{number}.npy") for number in (0, 1)])
            records = np.zeros(len(digests), _RECORD)
            records["digest"], records["row"] = digests, np.arange(len(digests))
            buckets = Buckets(folder / "buckets", _RECORD, len(records))
            buckets.add(records)
            for some in buckets:
                some["row"][repeated(some)]

        return run

    return [sign, find]


def near_duplicates() -> list[Phase]:
    """Return making signatures, and finding groups, which one process does."""

    def sign(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        folder.mkdir(parents=True, exist_ok=True)
        return lambda: np.save(folder / f"signatures-{half}.npy", np.stack([signature(one.text) for one in documents]))

    def find(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        def run() -> None:
            signatures = [np.load(folder / f"signatures-{number}.npy") for number in (0, 1)]
            first_of_each_group(np.concatenate(signatures), folder)

        return run

    return [sign, find]


def parquet() -> list[Phase]:
    """Return the one phase of writing shards."""

    def write(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        folder.mkdir(parents=True, exist_ok=True)

        def run() -> None:
            columns = {name: [getattr(one, name) for one in documents] for name in schema().names}
            with (folder / f"{half}.parquet").open("wb") as file, parquet_writer(file) as writer:
                writer.write_table(pyarrow.table(columns, schema=schema()))

        return run

    return [write]
