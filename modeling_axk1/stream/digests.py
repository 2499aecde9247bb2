"""Nothing is used before its bytes were held against a digest: that of its tensor, or of its whole shard.

The first read of any part of a tensor reads all of it through SHA-256, of the release's fused experts 11 GB or 6 GB;
where there are digests of files only, it reads the whole shard. What was found out is remembered for as long as the
file is the very same, so that the next start need not read again.
"""

import hashlib
import json
import mmap
import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.files import atomic_write_text
from modeling_axk1.model.reading_axk1 import ALIGNMENT, Reader
from modeling_axk1.weights.header import header_length, parse_header
from modeling_axk1.weights.listing import MANIFEST_FILE
from modeling_axk1.weights.manifest import TensorEntry, parse_manifest
from modeling_axk1.weights.store import Store, read_small
from modeling_axk1.weights.strict_json import parse_object

_CHUNK = 8 * 2**20
_DIGITS = 64


@dataclass(frozen=True)
class Expected:
    """What must be: tensors by name, else whole files by theirs; `source` says it."""

    source: str
    tensors: Mapping[str, TensorEntry] | None = None
    files: Mapping[str, str] | None = None


def expected_digests(store: Store, shards: list[str]) -> Expected:
    """Return the finest digests that there are: MANIFEST.json, SHA256SUMS, or those that a hub keeps itself.

    Raises UsageError where there are none.
    """
    if store.exists(MANIFEST_FILE):
        return Expected(MANIFEST_FILE, tensors=parse_manifest(read_small(store, MANIFEST_FILE), MANIFEST_FILE).tensors)
    if store.exists(SUMS_FILE):
        try:
            return Expected(SUMS_FILE, files=parse_sums(read_small(store, SUMS_FILE)))
        except ValueError as error:
            raise WeightsError(str(error)) from None
    kept_by_hub = {shard: store.identity(shard) for shard in shards}
    if all(len(digest) == _DIGITS and digest.isalnum() for digest in kept_by_hub.values()):
        return Expected("the hub", files=kept_by_hub)
    raise UsageError(f"check_digests needs {MANIFEST_FILE} or {SUMS_FILE}, and {store.name} has neither")


class Source(Reader, Protocol):
    """A reader that can say whether a file is still the one that was hashed."""

    def size(self, file: str) -> int:
        """Return the bytes of the file."""

    def identity(self, file: str, start: int, nbytes: int) -> list[int] | None:
        """Return what changes when these bytes may have; None where they may at any time."""

    def forget(self, file: str, start: int, nbytes: int) -> None:
        """Say that these bytes are not what they should be."""


class _Part(NamedTuple):
    """What has one digest: a tensor, or a whole file, which has no name."""

    start: int
    end: int
    name: str
    digest: str


class CheckedReader:
    """Reads through `source` what has the digest that is expected; `memory` is the file that remembers what had it.

    See `model.reading_axk1.Reader` for its methods, which raise WeightsError for what has another.
    """

    def __init__(self, source: Source, expected: Expected, memory: Path | None) -> None:
        """Take up what is remembered."""
        self.source, self.expected = source, expected
        self._memory = _Memory(memory)
        self._parts: dict[str, list[_Part]] = {}
        self._sound: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self._locks: defaultdict[tuple[str, int], threading.Lock] = defaultdict(threading.Lock)

    def read(self, file: str, start: int, nbytes: int, buffer: memoryview) -> None:
        """Read as `Reader.read` says."""
        self._check(file, start, start + nbytes)
        self.source.read(file, start, nbytes, buffer)

    def bring(self, file: str, start: int, nbytes: int) -> None:
        """Do as `Reader.bring` says."""
        if nbytes:
            self._check(file, start, start + nbytes)
        self.source.bring(file, start, nbytes)

    def _check(self, file: str, start: int, end: int) -> None:
        """See that all that lies in [start, end) is sound; raises WeightsError naming what is not."""
        with self._lock:
            if file not in self._parts:
                self._parts[file] = list(self._parts_of(file))
        parts = self._parts[file]
        if (
            not parts or end <= parts[0].start
        ):  # the header, which was held against the digests' names, types and shapes
            return
        for part in parts[max(0, bisect_right(parts, start, key=lambda part: part.start) - 1) :]:
            if part.start >= end:
                break
            with self._lock:
                one_at_a_time = self._locks[file, part.start]
            with one_at_a_time:
                if (file, part.start) not in self._sound:
                    self._prove(file, part)
                    self._sound.add((file, part.start))

    def _prove(self, file: str, part: _Part) -> None:
        shard, nbytes = Path(file).name, part.end - part.start
        # Asked before anything is fetched: what is fetched now was not there when it was hashed.
        got = self._memory.digest(shard, part.name, self.source.identity(file, part.start, nbytes))
        if got is None:
            self.source.bring(file, part.start, nbytes)
            identity = self.source.identity(file, part.start, nbytes)
            sha256 = hashlib.sha256()
            for data in self._chunks(file, part.start, part.end):
                sha256.update(data)
            got = sha256.hexdigest()
            if identity is not None and identity == self.source.identity(file, part.start, nbytes):
                self._memory.remember(shard, part.name, identity, got)
        if got != part.digest:
            self._memory.remember(shard, part.name, None, got)
            self.source.forget(file, part.start, nbytes)
            what = f"{part.name} in {shard}" if part.name else shard
            raise WeightsError(f"{what} must have SHA-256 {part.digest}, as {self.expected.source} says, got {got}")

    def _parts_of(self, file: str) -> Iterator[_Part]:
        """Yield what has a digest, in the order of the file."""
        shard, source, size = Path(file).name, self.expected.source, self.source.size(file)
        if self.expected.tensors is None:
            if shard not in (self.expected.files or {}):
                raise WeightsError(f"{shard} is not in {source}")
            yield _Part(0, size, "", (self.expected.files or {})[shard])
            return
        length = header_length(b"".join(self._chunks(file, 0, min(8, size))), size, shard)
        header = parse_header(b"".join(self._chunks(file, 8, 8 + length)), size, shard)
        for name, tensor in header.tensors.items():
            entry = self.expected.tensors.get(name)
            if entry is None:
                raise WeightsError(f"{name} in {shard} is not in {source}")
            if (entry.dtype, entry.shape) != (tensor.dtype, tensor.shape):
                raise WeightsError(
                    f"{name} in {shard} must be {entry.dtype} of shape {list(entry.shape)} by {source}, "
                    f"got {tensor.dtype} of shape {list(tensor.shape)}"
                )
            yield _Part(tensor.start, tensor.start + tensor.nbytes, name, entry.sha256)

    def _chunks(self, file: str, start: int, end: int) -> Iterator[memoryview]:
        """Yield the bytes of [start, end), each chunk valid until the next is asked for."""
        room = memoryview(mmap.mmap(-1, _CHUNK + ALIGNMENT))
        while start < end:
            lead, nbytes = start % ALIGNMENT, min(_CHUNK, end - start)
            self.source.read(file, start, nbytes, room[: -(-(lead + nbytes) // ALIGNMENT) * ALIGNMENT])
            yield room[lead : lead + nbytes]
            start += nbytes


class _Memory:
    """Digests that were computed, in the file `path`: {shard: {tensor: [identity, SHA-256]}}.

    What cannot be read or written there is computed anew.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, tuple[list[int], str]]] = {}
        with suppress(OSError, WeightsError, AttributeError, TypeError, ValueError):
            if path is not None:
                for shard, digests in parse_object(path.read_bytes(), path.name).items():
                    self._known[shard] = {name: (list(then), str(got)) for name, (then, got) in digests.items()}

    def digest(self, shard: str, name: str, identity: list[int] | None) -> str | None:
        """Return a tensor's digest, if its file is the one that was hashed."""
        then, got = self._known.get(shard, {}).get(name, (None, ""))
        return got if identity is not None and then == identity else None

    def remember(self, shard: str, name: str, identity: list[int] | None, digest: str) -> None:
        """Note a digest; of no identity, forget it."""
        with self._lock:
            digests = self._known.setdefault(shard, {})
            digests.pop(name, None)
            if identity is not None:
                digests[name] = identity, digest
            if self.path is not None:
                with suppress(OSError):
                    atomic_write_text(self.path, json.dumps(self._known))
