"""The bundle: a tar of which every byte is determined by what lies in it.

Its first member, bundle.json, lists all others with size and SHA-256; they follow in that order, each under the one
header that this file writes for its name and size (pax format, mode 644, no owner, time 0), and 1,024 zero bytes end
it. A reader computes all that and compares. So links, devices, other paths, sizes that lie, bytes between members or
after them cannot be there at all, and a flipped byte anywhere is found; stock tar unpacks the file all the same.
"""

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modeling_axk1.errors import HubError, WeightsError
from modeling_axk1.hub.release_set import LARGEST_RELEASE_FILE, RELEASE_FILE, ReleaseSet, parse_release
from modeling_axk1.hub.sources import hash_chunks
from modeling_axk1.hub.volumes import Volumes
from modeling_axk1.weights.store import check_file_name
from modeling_axk1.weights.strict_json import parse_object

INDEX_FILE = "bundle.json"
FORMAT = "axk1-bundle-1"
LARGEST_INDEX = 64 << 20
END = bytes(1024)

_BLOCK = 512
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """A member of the tar: its bytes and their SHA-256."""

    size: int
    sha256: str


def header(name: str, size: int) -> bytes:
    """Return what stands before the bytes of a member."""
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o644, 0
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size: int) -> bytes:
    """Return what stands after the bytes of a member."""
    return bytes(-size % _BLOCK)


def index_text(entries: Mapping[str, Entry]) -> bytes:
    """Return the bytes of bundle.json, one line for each member; equal entries give equal bytes."""
    lines = ",\n".join(
        json.dumps([path, entry.size, entry.sha256], ensure_ascii=False) for path, entry in entries.items()
    )
    return f'{{"format": "{FORMAT}", "files": [\n{lines}\n]}}\n'.encode()


class Bundle:
    """A bundle on this machine. Opening it reads bundle.json and release.json; raises HubError for what is none."""

    def __init__(self, path: Path) -> None:
        """Open the tar, or its volumes; see the class."""
        self.volumes = Volumes(path)
        self.name = self.volumes.name
        first = b"".join(self.volumes.read(0, min(_BLOCK, self.volumes.size)))
        size = _size_of_index(first, self.name)
        raw = b"".join(self.volumes.read(_BLOCK, size))
        self.entries = _parse_index(raw, self.name)
        self._offsets: dict[str, int] = {}
        position = _BLOCK + size + len(padding(size))
        for name, entry in self.entries.items():
            self._offsets[name] = position
            position += len(header(name, entry.size)) + entry.size + len(padding(entry.size))
        if position + len(END) != self.volumes.size:
            raise HubError(
                f"{self.name} must have {position + len(END):,} bytes by its {INDEX_FILE}, got {self.volumes.size:,}: "
                "a volume is missing, or was not copied whole; copy it again"
            )
        self._check_zero(_BLOCK + size, len(padding(size)), INDEX_FILE)
        self._check_zero(position, len(END), "its end")
        if RELEASE_FILE not in self.entries or self.entries[RELEASE_FILE].size > LARGEST_RELEASE_FILE:
            raise HubError(f"{self.name} holds no {RELEASE_FILE}; copy it again")
        text = b"".join(self.read(RELEASE_FILE))
        if hash_chunks(iter([text])) != self.entries[RELEASE_FILE].sha256:
            raise HubError(f"{self.name}: {RELEASE_FILE} is damaged: it is not what {INDEX_FILE} says; copy it again")
        self.release: ReleaseSet = parse_release(text)
        folders = tuple(f"{member.folder}/" for member in self.release.repositories)
        for name in self.entries:
            if name != RELEASE_FILE and not name.startswith(folders):
                raise HubError(f"{self.name}: {name} lies in no repository of the release")

    def source(self, folder: str) -> "BundleSource":
        """Return the repository that lies in `folder`."""
        return BundleSource(self, folder)

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a member from `start` on, after comparing all that surrounds them."""
        entry, position = self.entries[name], self._offsets[name]
        expected = header(name, entry.size)
        if b"".join(self.volumes.read(position, len(expected))) != expected:
            raise HubError(
                f"{self.name}: the tar header of {name} is damaged, or not of `axk1 hub bundle`; copy it again"
            )
        position += len(expected)
        self._check_zero(position + entry.size, len(padding(entry.size)), name)
        yield from self.volumes.read(position + start, entry.size - start)

    def _check_zero(self, position: int, nbytes: int, name: str) -> None:
        if any(b"".join(self.volumes.read(position, nbytes))):
            raise HubError(f"{self.name}: the zero bytes after {name} are damaged; copy it again")


class BundleSource:
    """One repository of a bundle, as a source: read where it lies, never unpacked."""

    def __init__(self, bundle: Bundle, folder: str) -> None:
        """List the members below `folder`."""
        self._bundle, self._folder = bundle, f"{folder}/"
        self.name = f"{bundle.name}:{folder}"
        self.files = {
            name.removeprefix(self._folder): entry.size
            for name, entry in bundle.entries.items()
            if name.startswith(self._folder)
        }
        self._digests: dict[str, str] = {}

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` on."""
        return self._bundle.read(self._folder + path, start)

    def digest(self, path: str) -> str:
        """Return the SHA-256 of a file, which is read once."""
        if path not in self._digests:
            self.proven(path, hash_chunks(self.read(path)))
        return self._digests[path]

    def proven(self, path: str, digest: str) -> None:
        """Hold what was found while reading against bundle.json; raises HubError."""
        expected = self._bundle.entries[self._folder + path].sha256
        if digest != expected:
            raise HubError(f"{self.name}: {path} must have SHA-256 {expected}, as {INDEX_FILE} says, got {digest}")
        self._digests[path] = digest


def _size_of_index(block: bytes, name: str) -> int:
    octal = block[124:135]
    size = int(octal, 8) if re.fullmatch(b"[0-7]{11}", octal) else 0
    if not 0 < size <= LARGEST_INDEX or block != header(INDEX_FILE, size):
        raise HubError(f"{name} is no bundle: it must begin with {INDEX_FILE} as `axk1 hub bundle` writes it")
    return size


def _parse_index(raw: bytes, name: str) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    what = f"{INDEX_FILE} of {name}"
    try:
        value = parse_object(raw, what)
        files = value.get("files")
        if value.get("format") != FORMAT or not isinstance(files, list):
            raise HubError(f"{what}: format must be {FORMAT!r}, got {value.get('format')!r:.60}")
        for item in files:
            path, size, digest = item if isinstance(item, list) and len(item) == 3 else (None, None, None)
            if not isinstance(path, str) or type(size) is not int or size < 0 or not isinstance(digest, str):
                raise HubError(f"{what}: a file must be [path, bytes, SHA-256]")
            check_file_name(path, what)
            if not _SHA256.fullmatch(digest) or path in entries:
                raise HubError(f"{what}: {path} must be there once, with 64 hex digits")
            entries[path] = Entry(size, digest)
    except WeightsError as error:
        raise HubError(str(error)) from None
    if index_text(entries) != raw:
        raise HubError(f"{what} is damaged: it must be written as `axk1 hub bundle` writes it")
    return entries
