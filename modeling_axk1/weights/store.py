"""Where the files of a checkpoint lie: a folder here; store_http has its sibling for places on the web.

File names come from an index that nobody vouches for, so every name is proven to lie inside first.
"""

from __future__ import annotations  # Buffer exists at run time from Python 3.12 on only

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from modeling_axk1.errors import WeightsError
from modeling_axk1.files import leads_out
from modeling_axk1.weights.header import MAX_HEADER_BYTES, Header, read_header
from modeling_axk1.weights.strict_json import check_name

if TYPE_CHECKING:
    from typing_extensions import Buffer


def check_file_name(file: str, place: str) -> None:
    """Refuse a name that cannot be shown on one line or leads out of `place`; raises WeightsError."""
    check_name(file, place)
    if leads_out(file) or "\\" in file:
        raise WeightsError(f"a file name must stay inside the folder, got {file}")


class Store(Protocol):
    """A place with a checkpoint's files. Every method raises WeightsError or OSError, and may be called by threads."""

    @property
    def name(self) -> str:
        """What people call the place: a path, an address, a repository at a revision."""

    @property
    def readers(self) -> int:
        """How many threads read from the place at once with profit."""

    @property
    def bytes_read(self) -> int | None:
        """Bytes fetched over a network so far; None where nothing is fetched."""

    def names(self) -> list[str] | None:
        """Return the files' names, sorted; None where a place cannot be listed."""

    def exists(self, file: str) -> bool:
        """Whether there is a file of this name."""

    def size(self, file: str) -> int:
        """Return the bytes of a file."""

    def header(self, file: str) -> Header:
        """Read and validate the header of a shard; raises FileNotFoundError where there is no such file."""

    def read_into(self, file: str, start: int, buffer: Buffer) -> None:
        """Fill `buffer` with the file's bytes from `start` on; raises WeightsError when they end before."""

    def expect(self, file: str, start: int, nbytes: int) -> None:
        """Say that these bytes will be read soon; a place may bring them nearer meanwhile, or not."""

    def identity(self, file: str) -> str:
        """Return what changes when the file does, without reading its bytes (size and time, or a digest)."""


class Folder:
    """The files of a folder on this machine.

    Symbolic links may point into the folder, and from a snapshot of the hub's cache into that cache's blobs.
    """

    readers = 1  # headers lie in the page cache or one seek away: threads would only wait for each other
    bytes_read = None

    def __init__(self, path: Path) -> None:
        """Stand for `path`; raises WeightsError when that is no folder."""
        if not path.is_dir():
            raise WeightsError(f"a checkpoint must be a folder, got {path}")
        self.folder = path
        self._open = threading.local()  # the file that a thread read last, as the next read is mostly of the same

    @property
    def name(self) -> str:
        """The path."""
        return str(self.folder)

    def path(self, file: str) -> Path:
        """Return the path of `file`; raises WeightsError when it would lead outside."""
        check_file_name(file, self.folder.name)
        path = self.folder / file
        target = Path(os.path.realpath(path))  # Path.resolve would raise RuntimeError for a link to itself
        home = self.folder.resolve()
        roots = [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]
        if not any(target.is_relative_to(root) for root in roots):
            raise WeightsError(f"{file} must stay inside the folder, and is a link that leads out of it")
        return path

    def names(self) -> list[str]:
        """Return the names of the files in the folder itself, sorted."""
        return sorted(path.name for path in self.folder.iterdir() if not path.is_dir())

    def exists(self, file: str) -> bool:
        """Whether there is a file of this name."""
        return self.path(file).exists()

    def size(self, file: str) -> int:
        """Return the bytes of a file."""
        return self.path(file).stat().st_size

    def header(self, file: str) -> Header:
        """Read and validate the header of a shard."""
        return read_header(self.path(file))

    def identity(self, file: str) -> str:
        """Return size and time of the last change."""
        status = self.path(file).stat()
        return f"{status.st_size} {status.st_mtime_ns}"

    def read_into(self, file: str, start: int, buffer: Buffer) -> None:
        """Fill `buffer` with the file's bytes from `start` on."""
        handle = self.handle(file)
        rest = memoryview(buffer).cast("B")
        while rest:
            count = os.preadv(handle, [rest], start)
            if not count:
                raise WeightsError(f"{file} became shorter while it was read")
            start, rest = start + count, rest[count:]

    def expect(self, file: str, start: int, nbytes: int) -> None:
        """Let the system read ahead: of several threads that take turns in a file it would not guess what comes."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.handle(file), start, nbytes, os.POSIX_FADV_WILLNEED)

    def handle(self, file: str) -> int:
        """Return a descriptor of the file to read from, valid until this thread asks for another file's."""
        if getattr(self._open, "file", None) != file:
            path = self.path(file)
            if not path.is_file():  # a pipe or a device would not end
                raise WeightsError(f"{file} must be a regular file")
            self._open.reader = path.open("rb", buffering=0)  # closes the one before
            self._open.file = file
        return int(self._open.reader.fileno())


def read_small(store: Store, file: str) -> bytes:
    """Return the bytes of a JSON or text file; raises WeightsError when it is too big to be one."""
    if not store.exists(file):
        raise WeightsError(f"{file} is missing")
    size = store.size(file)
    if size > MAX_HEADER_BYTES:
        raise WeightsError(f"{file} must be at most {MAX_HEADER_BYTES:,} bytes")
    raw = bytearray(size)
    store.read_into(file, 0, raw)
    return bytes(raw)
