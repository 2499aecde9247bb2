"""What reading a file from end to end tells: its digest, its tensors' digests, and which values are no numbers."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.header import Header, TensorInfo
from modeling_axk1.weights.values import NonFinite

CHUNK_BYTES = 1 << 20  # fits a core's own cache: what is read is still there when it is hashed and looked at
_WHOLE = 16  # a multiple of every element's width in bytes


@dataclass(frozen=True)
class Wanted:
    """What to find out; each costs time of its own, two digests twice that of one."""

    sha256: bool = False
    tensors: bool = False
    values: bool = False


@dataclass(frozen=True)
class Facts:
    """What was found out; None is what was not asked."""

    sha256: str | None = None
    tensors: dict[str, str] | None = None  # of every tensor the SHA-256 of its bytes
    nonfinite: dict[str, tuple[int, int]] | None = None  # of tensors with NaN or infinity: how many, the first's place

    def answer(self, wanted: Wanted) -> bool:
        """Whether everything wanted is here."""
        return not (
            (wanted.sha256 and self.sha256 is None)
            or (wanted.tensors and self.tensors is None)
            or (wanted.values and self.nonfinite is None)
        )


def identity(status: os.stat_result) -> list[int]:
    """Return numbers of which at least one changes whenever a file is written to, replaced or given another time."""
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def read_facts(
    path: Path,
    header: Header | None,
    wanted: Wanted,
    *,
    chunk_bytes: int = CHUNK_BYTES,
    advance: Callable[[int], None] = lambda amount: None,
    helper: Callable[[], Executor | None] = lambda: None,
) -> Facts:
    """Read the file at `path` once and return what is wanted of it.

    Args:
        path: the file.
        header: its header, which says where tensors lie; None for a file that has none.
        wanted: what to find out.
        chunk_bytes: how much is read at a time, into one of two buffers.
        advance: told the bytes of each chunk when it is done; what it raises ends the reading.
        helper: asked at each chunk for who may compute the file's digest while this thread reads on and looks at the
            tensors; None for nobody.

    Raises WeightsError when the file changes meanwhile, or OSError.

    """
    digest = hashlib.sha256() if wanted.sha256 else None
    tensors = _TensorReader(header, wanted) if header else None
    buffers = deque(memoryview(bytearray(chunk_bytes)) for _ in range(2))
    pending: Future[None] | None = None
    with path.open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        if header and before.st_size != header.file_size:
            raise WeightsError(f"{path.name} changed while it was read")
        position = 0
        for end in _cuts(header, before.st_size, chunk_bytes):
            chunk = buffers[0][: end - position]
            buffers.rotate()
            _fill(file, chunk, path.name)
            if pending:
                pending.result()
                pending = None
            if digest and (idle := helper()):
                pending = idle.submit(digest.update, chunk)
            elif digest:
                digest.update(chunk)
            if tensors:
                tensors.feed(chunk)
            advance(len(chunk))
            position = end
        if pending:
            pending.result()
        if identity(os.fstat(file.fileno())) != identity(before):
            raise WeightsError(f"{path.name} changed while it was read")
    return Facts(
        sha256=digest.hexdigest() if digest else None,
        tensors=(tensors.digests if tensors else {}) if wanted.tensors else None,
        nonfinite=(tensors.nonfinite if tensors else {}) if wanted.values else None,
    )


def _cuts(header: Header | None, size: int, chunk_bytes: int) -> Iterator[int]:
    """Yield where each chunk ends; a cut through a tensor never goes through one of its values."""
    starts = [tensor.start for tensor in header.tensors.values()] if header else []
    end = 0
    while end < size:
        end = min(end + chunk_bytes, size)
        before = bisect_right(starts, end)
        if before and end < size:
            end -= (end - starts[before - 1]) % _WHOLE
        yield end


def _fill(file: BinaryIO, chunk: memoryview, name: str) -> None:
    while chunk:
        count = file.readinto(chunk)  # type: ignore[attr-defined]  # an unbuffered file has it
        if not count:
            raise WeightsError(f"{name} became shorter while it was read")
        chunk = chunk[count:]


class _TensorReader:
    """Is fed a shard from its first byte to its last, and knows which tensor each byte belongs to."""

    def __init__(self, header: Header, wanted: Wanted) -> None:
        self.digests: dict[str, str] = {}
        self.nonfinite: dict[str, tuple[int, int]] = {}
        self._wanted = wanted
        self._left = deque(header.tensors.items())
        self._position = 0
        self._begin()

    def feed(self, chunk: memoryview) -> None:
        start, end = self._position, self._position + len(chunk)
        self._position = end
        while self._left:
            name, tensor = self._left[0]
            last = tensor.start + tensor.nbytes
            part = chunk[max(tensor.start - start, 0) : max(min(last, end) - start, 0)]
            if self._wanted.tensors:
                self._digest.update(part)
            if self._wanted.values and part:
                self._values.feed(part)
            if last > end:
                return
            self._finish(name, tensor)

    def _begin(self) -> None:
        if self._left:
            self._digest = hashlib.sha256()
            self._values = NonFinite(self._left[0][1].dtype)

    def _finish(self, name: str, tensor: TensorInfo) -> None:
        if self._wanted.tensors:
            self.digests[name] = self._digest.hexdigest()
        if self._values.count:
            self.nonfinite[name] = (self._values.count, self._values.first)
        self._left.popleft()
        self._begin()
