"""Proof that a finished dataset is apart from texts to evaluate on: every document is looked up, run by run.

A build drops what shares a run (steps/decontaminate.py); here the files are read as they were published, whoever made
them, and nothing but their text counts.
"""

import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from modeling_axk1.data.dataset import SPLITS, check_sums, documents_of, parquet_files, read_documents
from modeling_axk1.data.decontaminate import CHARACTERS, WORDS, build_index, contaminated, open_index
from modeling_axk1.data.document import Document
from modeling_axk1.data.inputs import recipe_inputs
from modeling_axk1.data.recipe import Recipe, read_recipe
from modeling_axk1.data.stats import Compared
from modeling_axk1.data.workers import Workers
from modeling_axk1.files import sha256_file
from modeling_axk1.progress import Advance, progress_bar

_LITTLE = 4_000_000


@dataclass(frozen=True)
class Shared:
    """A document of a dataset that shares runs with the evaluation texts, and how many different ones."""

    file: str
    id: str
    source: str
    source_file: str
    runs: int

    def __str__(self) -> str:
        where = f"document {self.id} ({self.source}, {self.source_file})"
        return f"{self.file}: {where} shares {self.runs:,} runs with the evaluation texts"


def compare(
    dataset: Path, evaluation: Path, workers: int = 1, cache: Path | None = None
) -> tuple[Compared, list[Shared]]:
    """Compare a dataset with a recipe's texts, or with a dataset built of it; return the numbers and what is shared.

    A recipe's packages are taken from `cache`, or brought there. Raises DataError when a folder is not what it must
    be, when files differ from SHA256SUMS, and when the evaluation texts are too short to have a run.
    """
    recipe = read_recipe(evaluation)
    check_sums(dataset)
    sizes = {name: (dataset / name).stat().st_size for split in SPLITS for name in parquet_files(dataset, split)}
    with tempfile.TemporaryDirectory(prefix="axk1-") as folder:
        index = Path(folder) / "index.npy"
        with progress_bar("reading evaluation texts", total=None) as advance:
            texts = _Counted(_texts(recipe, cache), advance)
            runs = build_index(texts, index)
        shared: list[Shared] = []
        # Processes are not worth their start for little text; the largest file first, or it would be waited for.
        processes = workers if sum(sizes.values()) > _LITTLE else 1
        files = deque(sorted(sizes, key=lambda name: -sizes[name]))
        with progress_bar("comparing", total=sum(sizes.values()), in_bytes=True) as advance, Workers(processes) as some:
            for name, one in some.run(_Compare(dataset, index), files):
                if one is None:
                    advance(sizes[name], note=name)
                else:
                    shared.append(one)
    digest = sha256_file(recipe.folder / recipe.file)
    # Files are finished in any order.
    shared.sort(key=lambda one: (one.file, one.id))
    return Compared(recipe.name, digest, texts.read, runs, WORDS, CHARACTERS, len(shared)), shared


@dataclass
class _Counted:
    """Counts documents as they pass."""

    documents: Iterator[Document]
    advance: Advance
    read: int = 0

    def __iter__(self) -> Iterator[Document]:
        for document in self.documents:
            self.read += 1
            self.advance(1)
            yield document


@dataclass(frozen=True)
class _Compare:
    """Yields what of a file is shared, and None at its end."""

    dataset: Path
    index: Path

    def __call__(self, name: str) -> Iterator[Shared | None]:
        for one, runs in contaminated(documents_of(self.dataset, name), open_index(self.index)):
            yield Shared(name, one.sha256[:16], one.source, one.source_file, runs)
        yield None


def _texts(recipe: Recipe, cache: Path | None) -> Iterator[Document]:
    """The evaluation texts: out of the Parquet files where the recipe lies in a dataset, else out of its inputs."""
    if (recipe.folder / "data").is_dir():
        return chain.from_iterable(read_documents(recipe.folder, split) for split in SPLITS)
    return chain.from_iterable(source.documents(Counter()) for source in recipe_inputs(recipe, cache))
