"""A shard as it grows: steps carried out at their places in the file, by several threads."""

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.notes import Errors
from modeling_axk1.weights.plan import PlannedShard
from modeling_axk1.weights.runs import Run
from modeling_axk1.weights.steps import Copy, Fill, Place, Step
from modeling_axk1.weights.store import Folder, Store

# Pieces at least this long are read one by one, shorter ones together with what lies between them.
_PIECE_BYTES = 8 * 2**10

# What copy_file_range says where it cannot do it: other file systems, old kernels, odd files.
_NOT_IN_KERNEL = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


_WRITE = 2  # SYNC_FILE_RANGE_WRITE


class ShardWriter:
    """A shard that grows under its temporary name; every thread writes through a file of its own."""

    def __init__(self, path: Path, shard: PlannedShard, sources: Sequence[Store], *, fresh: bool) -> None:
        self.path, self.shard, self._sources = path, shard, sources
        self._local = threading.local()
        self._opened: list[BinaryIO] = []
        self._lock = threading.Lock()
        if fresh:
            with path.open("wb") as file:
                file.write(shard.header)
                file.truncate(shard.file_size)

    def expect(self, chunk: Step) -> None:
        """Let the sources know what will be read soon."""
        for place in chunk.places:
            self._sources[place.source].expect(place.file, place.run.start, place.run.end - place.run.start)

    def carry_out(self, chunk: Step) -> Errors | None:
        """Bring the bytes of a step to where they belong; return how far a recoded weight is off."""
        starts = self.shard.starts
        if isinstance(chunk, Copy):
            self._copy(chunk.place, chunk.run.shifted(starts[chunk.tensor]))
        elif isinstance(chunk, Fill):
            self._write(Run(starts[chunk.tensor], len(chunk.data)), chunk.data)
        else:
            from modeling_axk1.weights.recode import recode

            read = {part: read_run(self._sources[place.source], place.file, place.run) for part, place in chunk.source}
            written, error = recode(chunk, read)
            for part, tensor, run in chunk.target:
                self._write(run.shifted(starts[tensor]), written[part])
            return {chunk.weight: error}
        return None

    def _copy(self, place: Place, run: Run) -> None:
        source = self._sources[place.source]
        in_one_piece = run.count == place.run.count == 1 and isinstance(source, Folder)
        if in_one_piece and self._copied_in_kernel(source, place, run.start):
            return
        self._write(run, read_run(source, place.file, place.run))

    def _copied_in_kernel(self, source: Any, place: Place, start: int) -> bool:
        if not hasattr(os, "copy_file_range"):
            return False
        offset, rest = place.run.start, place.run.nbytes
        try:
            while rest:
                count = os.copy_file_range(source.handle(place.file), self._file().fileno(), rest, offset, start)
                if not count:
                    raise WeightsError(f"{place.file} became shorter while it was read")
                offset, start, rest = offset + count, start + count, rest - count
        except OSError as error:
            if error.errno in _NOT_IN_KERNEL:
                return False
            raise
        return True

    def _write(self, run: Run, data: bytes | bytearray | memoryview) -> None:
        view, file, done = memoryview(data), self._file(), 0
        for start, length in run.pieces():
            file.seek(start)
            while length:
                count = file.write(view[done : done + length])
                done, length = done + count, length - count

    def _file(self) -> BinaryIO:
        if not hasattr(self._local, "file"):
            self._local.file = self.path.open("r+b", buffering=0)
            with self._lock:
                self._opened.append(self._local.file)
        return self._local.file

    def flush(self) -> None:
        """Let the disk begin with what was written, and do not wait for it; only Linux can be asked to."""
        if begin := _sync_file_range():
            begin(self._file().fileno(), 0, 0, _WRITE)

    def sync(self) -> None:
        """Wait until all that was written is on the disk, by whichever thread."""
        os.fsync(self._file().fileno())

    def close(self) -> None:
        """Close the files of all threads."""
        for file in self._opened:
            file.close()


@cache
def _sync_file_range() -> Callable[..., int] | None:
    """Return the C library's sync_file_range(2), which `os` does not have; None where there is none."""
    try:
        function = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError, TypeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


def read_run(source: Store, file: str, run: Run) -> memoryview:
    """Return the bytes of a run, its pieces joined."""
    if run.count == 1 or (run.length >= _PIECE_BYTES and isinstance(source, Folder)):
        joined = memoryview(bytearray(run.nbytes))
        for number, (start, length) in enumerate(run.pieces()):
            source.read_into(file, start, joined[number * length : (number + 1) * length])
        return joined
    import numpy as np

    spanned = bytearray(run.end - run.start)
    source.read_into(file, run.start, spanned)
    bytes_ = np.frombuffer(spanned, np.uint8)
    pieces = np.lib.stride_tricks.as_strided(bytes_, (run.count, run.length), (run.stride, 1), writeable=False)
    return memoryview(np.ascontiguousarray(pieces).data).cast("B")
