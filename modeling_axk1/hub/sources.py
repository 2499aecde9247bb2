"""Where the files of one repository come from: a folder, another hub, a bundle. Whoever sends or proves asks only this.

A file's digest is wanted before it is sent, and its bytes are read once: while they are sent they are hashed, and
must give the digest that was announced.
"""

import fnmatch
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import HubError
from modeling_axk1.weights.facts import Facts, Wanted, identity
from modeling_axk1.weights.state import State, default_state

CHUNK_BYTES = 1 << 20
LARGEST_TEXT = 64 << 20  # SHA256SUMS of half a million files, or a signature of as many

# Left on this machine: caches, unfinished files, and .gitattributes, which a hub keeps itself.
NOT_PUBLISHED = (".DS_Store", ".git", ".gitattributes", ".cache", "__pycache__", ".*.part")


class Source(Protocol):
    """The files of a repository at rest; methods may be called by threads, and raise HubError naming the file."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def files(self) -> Mapping[str, int]:
        """{path: bytes}, sorted by path."""

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` on; raises HubError when it changes meanwhile."""

    def digest(self, path: str) -> str:
        """Return the SHA-256 of a file: by reading it once, or by the word of a hub that checked it."""

    def proven(self, path: str, digest: str) -> None:
        """Take over the SHA-256 that somebody else found while reading the file to its end."""


class FolderSource:
    """A folder on this machine. What was read stays known while the file is the very same, in later runs too."""

    def __init__(self, folder: Path, *, may_be_empty: bool = False) -> None:
        """List what is published of `folder`; raises HubError when that is nothing."""
        if not folder.is_dir():
            raise HubError(f"{folder} is not a folder; check the path")
        self.folder = folder
        self.name = str(folder)
        self.files: dict[str, int] = {}
        for file in sorted(folder.rglob("*")):
            relative = file.relative_to(folder)
            ignored = any(fnmatch.fnmatchcase(part, pattern) for part in relative.parts for pattern in NOT_PUBLISHED)
            if file.is_file() and not ignored:
                self.files[relative.as_posix()] = file.stat().st_size
        if not self.files and not may_be_empty:
            raise HubError(f"{folder} is empty; `axk1 hub export` fills one")
        self._state = State(default_state(folder), folder)
        self._read: dict[str, list[int]] = {}  # what each file was when it was last read to its end
        self._lock = threading.Lock()

    def lend(self, path: str) -> Path:
        """Return where a file lies, for a library that reads files itself; `proven` hears what it found."""
        file = self.folder / path
        self._read[path] = identity(file.stat())
        return file

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` on."""
        try:
            with (self.folder / path).open("rb", buffering=0) as file:
                before = identity(os.fstat(file.fileno()))
                file.seek(start)
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
                if identity(os.fstat(file.fileno())) != before or before[1] != self.files[path]:
                    raise HubError(f"{path} changed while it was read")
                self._read[path] = before
        except OSError as error:
            raise HubError(f"{path} cannot be read: {error.strerror}") from None

    def digest(self, path: str) -> str:
        """Return the SHA-256 of a file, read unless it is known and the file is the very same."""
        wanted = Wanted(sha256=True)
        try:
            now = identity((self.folder / path).stat())
        except OSError as error:
            raise HubError(f"{path} cannot be read: {error.strerror}") from None
        with self._lock:
            known = self._state.facts(path, now, wanted)
        if known is None:
            found = hash_chunks(self.read(path))
            self.proven(path, found)
            return found
        return str(known.sha256)

    def proven(self, path: str, digest: str) -> None:
        """Take over the SHA-256 that was found while the file was read."""
        with self._lock:
            self._state.add(path, self._read[path], Facts(sha256=digest))

    def remember(self) -> None:
        """Write down what took long to find out, so that a later run need not read it again."""
        self._state.close(done=False)


def hash_chunks(chunks: Iterator[bytes]) -> str:
    """Return the SHA-256 of all `chunks` in a row."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def git_id(chunks: Iterator[bytes], size: int) -> str:
    """Return the id of a git blob of `size` bytes; nothing here relies on SHA-1 against an attacker."""
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def read_text(source: Source, path: str) -> bytes:
    """Return a whole small file; raises HubError for one of more than 64 MiB or that is missing."""
    if path not in source.files:
        raise HubError(
            f"{source.name} has no {path}: nothing says what its files must be; `axk1 weights manifest` records it"
        )
    if source.files[path] > LARGEST_TEXT:
        raise HubError(f"{path} of {source.name} must be at most {LARGEST_TEXT:,} bytes, got {source.files[path]:,}")
    return b"".join(source.read(path))


def claimed_digests(source: Source) -> dict[str, str]:
    """Return what SHA256SUMS says of the other files, {} where there is none; raises HubError for a damaged one."""
    if SUMS_FILE not in source.files:
        return {}
    try:
        return parse_sums(read_text(source, SUMS_FILE))
    except ValueError as error:
        raise HubError(f"{source.name}: {error}") from None
