# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""Where tensors lie in the shards, and reading their bytes: by several threads, past the page cache.

This file travels to the hub beside modeling_axk1.py and imports nothing of this package.
"""

import atexit
import errno
import json
import mmap
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")

# Direct reads begin, end and land on multiples of this; every disk's sectors and every memory page divide it.
ALIGNMENT = 4096
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "I8": torch.int8,
}


class Extent(NamedTuple):
    """Where a tensor's bytes lie: it is a stored tensor, or whole rows of one."""

    file: str
    start: int
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor."""
        return self.dtype.itemsize * torch.Size(self.shape).numel()

    def part(self, index: int) -> "Extent":
        """Return entry `index` of the first dimension."""
        one = Extent(self.file, self.start, self.dtype, self.shape[1:])
        return one._replace(start=self.start + index * one.nbytes)

    def rows(self, start: int, stop: int) -> "Extent":
        """Return entries [start, stop) of the first dimension."""
        stop = min(stop, self.shape[0])
        return self.part(start)._replace(shape=(stop - start, *self.shape[1:]))


Piece = Mapping[str, Extent]


class Reader(Protocol):
    """Where bytes come from. Called by several threads."""

    def read(self, file: str, start: int, nbytes: int, buffer: memoryview) -> None:
        """Read `nbytes` of `file` from `start` on into `buffer`, so that they begin at its byte `start % ALIGNMENT`.

        `buffer` begins at a multiple of ALIGNMENT and ends at one, and all of it may be written. Raises OSError or
        ValueError if not all bytes come.
        """

    def bring(self, file: str, start: int, nbytes: int) -> None:
        """See to it that these bytes lie in the file, where others read them and may map them into memory.

        Raises as `read` does, also if the file changed after it was first read.
        """


class ShardReader:
    """Reads shards on this machine's disks, past the page cache where the file system allows that.

    What is read goes into a slot and is kept there; in the page cache it would take the same memory a second time.
    `direct=False` reads through the page cache. A shard that changes after it was first opened is an error: its header
    was read before, and tensors may lie elsewhere now. One that is replaced (by a rename) is not: the old one is read
    on.
    """

    def __init__(self, direct: bool = True) -> None:
        self.direct = direct and hasattr(os, "O_DIRECT")
        self._opened: dict[str, tuple[int, int | None, tuple[int, int]]] = {}
        self._lock = threading.Lock()

    def read(self, file: str, start: int, nbytes: int, buffer: memoryview) -> None:
        """Read as `Reader.read` says."""
        buffered, direct, seen = self._descriptors(file)
        lead, done = start % ALIGNMENT, 0
        if direct is not None:
            done = max(0, self._read(file, direct, start - lead, buffer) - lead)
        while done < nbytes:  # also the rest of a direct read that came short, as its end need not be a multiple
            count = self._read(file, buffered, start + done, buffer[lead + done : lead + nbytes])
            if not count:
                raise ValueError(f"{Path(file).name} ends at byte {start + done:,}, before the tensors it promised")
            done += count
        self._check(file, self.status(file), seen)  # after reading: a change meanwhile is a change too

    def bring(self, file: str, start: int, nbytes: int) -> None:
        """Do as `Reader.bring` says: all bytes lie in the file, if it is still what it was."""
        self._check(file, self.status(file), self._descriptors(file)[2])

    def status(self, file: str) -> os.stat_result:
        """Return what the system says of the file that is read as `file`, whatever has that name now."""
        return os.fstat(self._descriptors(file)[0])

    def _check(self, file: str, status: os.stat_result, seen: tuple[int, int]) -> None:
        if (status.st_size, status.st_mtime_ns) != seen:
            raise ValueError(f"{Path(file).name} was changed while the model was running")

    def _read(self, file: str, descriptor: int, start: int, buffer: memoryview) -> int:
        """Return how many bytes came; 0 at the end, and where a file system refuses what it is asked directly."""
        try:
            if not hasattr(os, "preadv"):  # Windows
                with self._lock:
                    os.lseek(descriptor, start, os.SEEK_SET)
                    raw = os.read(descriptor, len(buffer))
                buffer[: len(raw)] = raw
                return len(raw)
            return os.preadv(descriptor, [buffer], start)
        except OSError as error:
            if error.errno == errno.EINVAL and descriptor != self._descriptors(file)[0]:
                return 0
            raise OSError(error.errno, f"{error.strerror} at byte {start:,}", file) from None

    def _descriptors(self, file: str) -> tuple[int, int | None, tuple[int, int]]:
        with self._lock:
            if file not in self._opened:
                buffered, direct = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0)), None
                if self.direct:
                    try:
                        direct = os.open(file, os.O_RDONLY | os.O_DIRECT)
                    except OSError:  # a file system without direct reads, such as tmpfs
                        direct = None
                status = os.fstat(buffered)
                self._opened[file] = buffered, direct, (status.st_size, status.st_mtime_ns)
            return self._opened[file]

    def __del__(self) -> None:
        if os is None:  # at the program's end, which closes all
            return
        for buffered, direct, _ in getattr(self, "_opened", {}).values():
            os.close(buffered)
            if direct is not None:
                os.close(direct)


def read_extent(reader: Reader, extent: Extent) -> Tensor:
    """Return the tensor at `extent`, in memory of its own."""
    lead = extent.start % ALIGNMENT
    memory = AlignedMemory(aligned(lead + extent.nbytes), pinned=False)
    reader.read(extent.file, extent.start, extent.nbytes, memory.view)
    raw = memory.bytes[lead : lead + extent.nbytes]
    return (raw.clone() if lead % extent.dtype.itemsize else raw).view(extent.dtype).view(extent.shape)


def extents_in(file: str, reader: Reader | None = None) -> dict[str, Extent]:
    """Return where each tensor of a safetensors file lies. The header must have been validated, as `safe_open` does.

    It is read by who reads the tensors later, so that both are of one file though another may take its name meanwhile.
    """
    reader = reader or ShardReader(direct=False)
    length = int.from_bytes(bytes(read_extent(reader, Extent(file, 0, torch.uint8, (8,))).tolist()), "little")
    header = json.loads(bytes(read_extent(reader, Extent(file, 8, torch.uint8, (length,))).tolist()))
    return {
        name: Extent(file, 8 + length + entry["data_offsets"][0], _DTYPES[entry["dtype"]], tuple(entry["shape"]))
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] in _DTYPES
    }


class AlignedMemory:
    """Memory that direct reads may land in, from the system; it takes none until it is written."""

    def __init__(self, nbytes: int, pinned: bool) -> None:
        if pinned:  # so that a GPU's copy engine can read it
            room = torch.empty(nbytes + ALIGNMENT, dtype=torch.uint8, pin_memory=True)
            skip = -room.data_ptr() % ALIGNMENT
            self.bytes = room[skip : skip + nbytes]
            self.view = memoryview(self.bytes.numpy()).cast("B")
        else:
            # Private where there is a choice: of shared memory the kernel makes no huge pages.
            private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
            area = mmap.mmap(-1, nbytes, **({"flags": private} if private else {}))
            if hasattr(mmap, "MADV_HUGEPAGE"):
                with suppress(OSError):  # of a kernel without them
                    area.madvise(mmap.MADV_HUGEPAGE)
            self.view = memoryview(area)
            self.bytes = torch.frombuffer(area, dtype=torch.uint8)


def aligned(nbytes: int) -> int:
    """Return the multiple of ALIGNMENT that `nbytes` fit in."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


class Reading:
    """Threads that read chunks into slots: the wanted ones in their order, then the expected ones.

    Threads live while there is something to read, and not longer than the program.
    """

    def __init__(self, reader: Reader, threads: int = 4) -> None:
        self.reader, self.threads = reader, threads
        self._workers: set[threading.Thread] = set()
        self._wanted: deque[tuple[object, Callable[[], None]]] = deque()
        self._expected: deque[tuple[object, Callable[[], None]]] = deque()
        self._lock = threading.Lock()
        atexit.register(_end, weakref.ref(self))

    def add(self, owner: object, chunks: Sequence[Callable[[], None]], wanted: bool) -> None:
        """Queue the reads of a piece."""
        with self._lock:
            (self._wanted if wanted else self._expected).extend((owner, chunk) for chunk in chunks)
            start = min(self.threads - len(self._workers), len(self._wanted) + len(self._expected))
            workers = [threading.Thread(target=self._work, name="axk1-reading", daemon=True) for _ in range(start)]
            self._workers.update(workers)
        for worker in workers:
            worker.start()

    def hurry(self, owner: object) -> None:
        """Move what is still queued for a piece from the expected ones to the wanted ones."""
        with self._lock:
            mine = [item for item in self._expected if item[0] is owner]
            if mine:
                self._expected = deque(item for item in self._expected if item[0] is not owner)
                self._wanted.extend(mine)

    def drop(self, owner: object) -> int:
        """Take back what is still queued for a piece, and return how many reads that were."""
        with self._lock:
            before = len(self._wanted) + len(self._expected)
            self._wanted = deque(item for item in self._wanted if item[0] is not owner)
            self._expected = deque(item for item in self._expected if item[0] is not owner)
            return before - len(self._wanted) - len(self._expected)

    def end(self, patience: float = 1.0) -> None:
        """Read nothing more, and wait so many seconds for what is being read."""
        with self._lock:
            self._wanted.clear()
            self._expected.clear()
            workers = list(self._workers)
        deadline = time.monotonic() + patience
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._lock:
                queue = self._wanted or self._expected
                if not queue:
                    self._workers.discard(threading.current_thread())
                    return
                _, chunk = queue.popleft()
            chunk()


def _end(reading: "weakref.ref[Reading]") -> None:
    """At the program's end: a thread that is still in torch when torch is taken down takes the program down with it."""
    if (ours := reading()) is not None:
        ours.end()


def in_parallel(work: Callable[[Item], object], items: Iterable[Item], threads: int) -> None:
    """Call `work` with each of `items` by a few threads; raises the first error once what was begun has ended.

    Unlike a pool of concurrent.futures, whose threads a process waits for even when it is told to end: one of them may
    be waiting for a server that does not answer.
    """
    left, lock = iter(items), threading.Lock()
    errors: list[BaseException] = []
    stopped = threading.Event()

    def run() -> None:
        while not stopped.is_set():
            with lock:
                item = next(left, left)
            if item is left:
                return
            try:
                work(item)  # type: ignore[arg-type]
            except BaseException as error:  # it is raised by whoever waits
                errors.append(error)
                stopped.set()

    workers = [threading.Thread(target=run, name="axk1-fetching", daemon=True) for _ in range(threads)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        stopped.set()
    if errors:
        raise errors[0]


__all__ = [
    "ALIGNMENT",
    "AlignedMemory",
    "Extent",
    "Piece",
    "Reader",
    "Reading",
    "ShardReader",
    "aligned",
    "extents_in",
    "in_parallel",
    "read_extent",
]
