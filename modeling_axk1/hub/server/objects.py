"""What git objects say, remembered: an object never changes, so what was read once need not be read again."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dulwich.objects import Blob, Commit, Tag, Tree
from dulwich.repo import Repo

from modeling_axk1.hub.server import lfs
from modeling_axk1.hub.server.cache import Cache

# Of each server process. A listing of 10,000 files costs about 4 MB.
_REMEMBERED = 128 * 1024 * 1024
# What clients read of every repository is small: configuration, tokenizer settings, cards.
_LARGEST_CONTENT = 1024 * 1024
# Python objects around a fact: keys, tuples, dictionary slots.
_OVERHEAD = 400

_cache = Cache(_REMEMBERED)
_only_remembered = ContextVar("_only_remembered", default=False)


class NotRememberedError(Exception):
    """What was asked for is not in memory, and the disk was not to be read."""


@contextmanager
def only_remembered() -> Iterator[None]:
    """Raise NotRememberedError in the block instead of reading an object: in the event loop nothing may wait."""
    token = _only_remembered.set(True)
    try:
        yield
    finally:
        _only_remembered.reset(token)


@dataclass(frozen=True, slots=True)
class CommitFacts:
    """A commit; `date` is in seconds since 1970."""

    tree: bytes
    parent: bytes | None
    message: str
    date: int


@dataclass(frozen=True, slots=True)
class BlobFacts:
    """A file; `size` is its own size in bytes (not the pointer's)."""

    size: int
    pointer: lfs.Pointer | None


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One name in a folder."""

    name: str
    oid: bytes
    is_folder: bool


class Objects:
    """The objects of the repository at `path`. Every method raises KeyError for an object that is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # A repository deleted and made again under its name is another one, and must not answer with the old one's.
        made = os.stat(path / "HEAD")  # noqa: PTH116  # a quarter of the time, for every request
        self._identity = (str(path), made.st_ino, made.st_mtime_ns)
        self._repo: Repo | None = None

    @classmethod
    @contextmanager
    def of(cls, path: Path) -> Iterator["Objects"]:
        """Give the objects of a repository; it is opened only when one is asked for that is not remembered."""
        objects = cls(path)
        try:
            yield objects
        finally:
            if objects._repo is not None:
                objects._repo.close()

    def commit(self, oid: bytes) -> CommitFacts:
        """Return what a commit says."""
        return self.remember(
            ("commit", oid), lambda: _commit_facts(self._read(oid, Commit)), lambda it: len(it.message)
        )

    def tree(self, oid: bytes) -> dict[bytes, TreeEntry]:
        """Return what a folder holds, by name; other repositories that it names (submodules) are left out."""
        return self.remember(("tree", oid), lambda: _tree_facts(self._read(oid, Tree)), lambda it: _OVERHEAD * len(it))

    def blob(self, oid: bytes) -> BlobFacts:
        """Return what a file is."""
        return self.remember(("blob", oid), lambda: _blob_facts(self._read(oid, Blob)), lambda it: 0)

    def content(self, oid: bytes) -> bytes:
        """Return the bytes of a file."""
        if self.blob(oid).size > _LARGEST_CONTENT:
            return bytes(self._read(oid, Blob).data)
        return self.remember(("content", oid), lambda: bytes(self._read(oid, Blob).data), len)

    def peel(self, oid: bytes) -> bytes | None:
        """Return the commit that an object is or that a tag names; None when it is or names something else."""
        return self.remember(("peel", oid), lambda: self._peel(oid), lambda it: 0)

    def commit_starting(self, prefix: bytes) -> bytes | None:
        """Return the id of the one commit that starts with `prefix`; None when there is none or more than one."""
        found = {oid for oid in self._opened().object_store.iter_prefix(prefix) if isinstance(self._read(oid), Commit)}
        return bytes(found.pop()) if len(found) == 1 else None

    def remember(self, key: tuple[object, ...], make: Callable[[], Any], cost: Callable[[Any], int]) -> Any:
        """Return what `make` once made for a key that settles it for good; `cost` estimates its bytes."""
        return _cache.get((self._identity, *key), make, lambda value: _OVERHEAD + cost(value))

    def _opened(self) -> Repo:
        if _only_remembered.get():
            raise NotRememberedError
        if self._repo is None:
            self._repo = Repo(self._path)
        return self._repo

    def _read(self, oid: bytes, kind: type[Any] | None = None) -> Any:
        item = self._opened()[oid]
        if kind is not None and not isinstance(item, kind):
            raise KeyError(oid)
        return item

    def _peel(self, oid: bytes) -> bytes | None:
        item = self._read(oid)
        while isinstance(item, Tag):
            item = self._read(item.object[1])
        return bytes(item.id) if isinstance(item, Commit) else None


def _commit_facts(commit: Commit) -> CommitFacts:
    parent = commit.parents[0] if commit.parents else None
    return CommitFacts(commit.tree, parent, commit.message.decode("utf-8", "replace"), commit.commit_time)


def _tree_facts(tree: Tree) -> dict[bytes, TreeEntry]:
    return {
        name: TreeEntry(name.decode("utf-8", "replace"), oid, stat.S_ISDIR(mode))
        for name, mode, oid in tree.iteritems()
        if stat.S_IFMT(mode) != 0o160000
    }


def _blob_facts(blob: Blob) -> BlobFacts:
    pointer = lfs.read_pointer(blob.data)
    return BlobFacts(pointer.size if pointer else len(blob.data), pointer)
