"""Read shards that are elsewhere through a folder of sparse files, whose holes are filled as they are read."""

import os
from collections.abc import Iterable
from pathlib import Path

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.model.reading_axk1 import ALIGNMENT, ShardReader, in_parallel
from modeling_axk1.stream.kept import Kept
from modeling_axk1.weights.facts import identity
from modeling_axk1.weights.header import header_length
from modeling_axk1.weights.store import Store

# What `bring` fetches at a time, and how many at once: 32 MiB of memory together.
_CHUNK, _AT_ONCE = 8 * 2**20, 4


class _Growing(ShardReader):
    """Reads sparse files, whose times change while they are filled."""

    def _check(self, file: str, status: os.stat_result, seen: tuple[int, int]) -> None:
        if status.st_size != seen[0]:
            raise WeightsError(f"{file} was changed by somebody else")


class FolderReader(ShardReader):
    """Reads the shards of a folder here, and says of each what changes when it does."""

    def size(self, file: str) -> int:
        """Return the bytes of the file."""
        return self.status(file).st_size

    def identity(self, file: str, start: int, nbytes: int) -> list[int]:
        """Return what changes when the file does."""
        return identity(self.status(file))

    def forget(self, file: str, start: int, nbytes: int) -> None:
        """Do nothing: the file is as it is."""

    def prove_unmoved(self, files: Iterable[Path]) -> None:
        """Raise WeightsError where another file has taken the name of one that is read."""
        for file in files:
            if identity(self.status(str(file))) != identity(file.stat()):
                raise WeightsError(f"{file.name} was replaced while the model was loaded")


class WebReader:
    """Reads the shards of `store`: from its folder where they are kept there, else from the web, to be kept.

    See `model.reading_axk1.Reader` for what its methods do, and `Kept` for `kept`.
    """

    def __init__(self, store: Store, kept: Kept, direct: bool = True) -> None:
        """Stand between the two."""
        self.store, self.kept = store, kept
        self._disk = _Growing(direct)
        self._data_starts: dict[str, int] = {}

    def read(self, file: str, start: int, nbytes: int, buffer: memoryview) -> None:
        """Read as `Reader.read` says; raises WeightsError when the web does not give what is missing."""
        name = Path(file).name
        if start + nbytes <= self._data_start(file):
            self._disk.read(file, start, nbytes, buffer)
            return
        with self.kept.claim(name, start, start + nbytes) as is_kept:
            if is_kept:
                self._disk.read(file, start, nbytes, buffer)
            else:
                lead = start % ALIGNMENT
                part = buffer[lead : lead + nbytes]
                self.store.read_into(name, start, part)
                self.kept.keep(name, start, part)

    def bring(self, file: str, start: int, nbytes: int) -> None:
        """Fetch what is missing of these bytes, and keep it while this process runs; raises OSError where it cannot."""
        if nbytes <= _CHUNK:
            self._bring(file, start, start + nbytes)
            return

        def bring(first: int) -> None:
            self._bring(file, first, min(first + _CHUNK, start + nbytes))

        in_parallel(bring, range(start, start + nbytes, _CHUNK), _AT_ONCE)

    def size(self, file: str) -> int:
        """Return the bytes of the file."""
        return self._disk.status(file).st_size

    def identity(self, file: str, start: int, nbytes: int) -> list[int] | None:
        """Return what changes when the file is another; None unless all of these bytes are kept."""
        status = self._disk.status(file)
        return [status.st_size, status.st_ino] if self.kept.holds(Path(file).name, start, start + nbytes) else None

    def forget(self, file: str, start: int, nbytes: int) -> None:
        """Fetch these bytes anew when they are next wanted: they are not what they should be."""
        with self.kept.claim(Path(file).name, start, start + nbytes):
            self.kept.forget(Path(file).name, start, start + nbytes)

    def _bring(self, file: str, start: int, end: int) -> None:
        name = Path(file).name
        with self.kept.claim(name, start, end) as is_kept:
            if not is_kept:
                data = memoryview(bytearray(end - start))
                self.store.read_into(name, start, data)
                if not self.kept.keep(name, start, data):
                    if self.kept.stopped is None:
                        raise UsageError("cache_size must be larger: what the model holds all the time does not fit")
                    raise OSError(f"what the model holds must be kept in {self.kept.folder}: {self.kept.stopped}")
            self.kept.stay(name, start, end)

    def _data_start(self, file: str) -> int:
        """Return where a shard's data begin; what lies before was written when its file was made."""
        if file not in self._data_starts:
            with Path(file).open("rb") as shard:
                size = os.fstat(shard.fileno()).st_size
                self._data_starts[file] = 8 + header_length(shard.read(8), size, Path(file).name)
        return self._data_starts[file]
