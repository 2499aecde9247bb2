"""One long file in several: NAME, or NAME.001, NAME.002 ... for sticks whose file system takes no file beyond 4 GiB."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from modeling_axk1.errors import HubError, UsageError
from modeling_axk1.files import fsync_folder, part_name

SMALLEST_VOLUME = 1 << 16
_CHUNK_BYTES = 1 << 20
_NUMBER = re.compile(r"\.([0-9]{3,6})")


class Volumes:
    """The bytes of all volumes in a row; raises HubError when there are none, or one in their middle is missing."""

    def __init__(self, path: Path) -> None:
        """Find the volumes; `path` is NAME or NAME.001."""
        if path.suffix == ".001":
            path = path.with_suffix("")
        self.name = path.name
        numbered = _numbered(path)
        if path.is_file():
            self.parts = [path]
        elif numbered:
            missing = [number for number in range(1, max(numbered) + 1) if number not in numbered]
            if missing:
                raise HubError(f"volume {path.name}.{missing[0]:03d} is missing; put it beside the others")
            self.parts = [numbered[number] for number in sorted(numbered)]
        else:
            raise HubError(
                f"there is no bundle {path}, nor its first volume {path.name}.001; `axk1 hub bundle` makes one"
            )
        self._sizes = [part.stat().st_size for part in self.parts]
        self.size = sum(self._sizes)

    def read(self, start: int, nbytes: int) -> Iterator[bytes]:
        """Yield `nbytes` bytes from `start` on; raises HubError naming the volume that cannot be read."""
        position = 0
        for part, size in zip(self.parts, self._sizes, strict=True):
            if nbytes and position <= start < position + size:
                try:
                    with part.open("rb", buffering=0) as file:
                        file.seek(start - position)
                        while nbytes and (chunk := file.read(min(_CHUNK_BYTES, nbytes, position + size - start))):
                            yield chunk
                            start, nbytes = start + len(chunk), nbytes - len(chunk)
                except OSError as error:
                    raise HubError(f"{part.name} cannot be read: {error.strerror}") from None
            position += size
        if nbytes:
            raise HubError(f"{self.name} ends {nbytes:,} bytes too early: was it copied whole?")


class VolumeWriter:
    """Writes one long file, cut into volumes of `volume_bytes` (None: not cut), whole or not at all.

    The volumes take their names when the block succeeds, the first one last. Raises UsageError when something is there
    already.

    Example:
        with VolumeWriter(Path("release.tar"), 4_000_000_000) as file:
            file.write(b"...")

    """

    def __init__(self, path: Path, volume_bytes: int | None) -> None:
        """Write nothing yet; see the class."""
        if volume_bytes is not None and volume_bytes < SMALLEST_VOLUME:
            raise UsageError(f"a volume must have at least {SMALLEST_VOLUME:,} bytes, got {volume_bytes:,}")
        there = [path] if path.exists() else list(_numbered(path).values())
        if there:
            raise UsageError(f"{there[0]} is there already; remove it, or write under another name")
        self._path, self._limit = path, volume_bytes
        self._done: list[Path] = []
        self._file: BinaryIO | None = None
        self._room = 0

    def __enter__(self) -> "VolumeWriter":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, data: bytes) -> None:
        """Append `data`, beginning new volumes where one is full."""
        view = memoryview(data)
        while view:
            if self._file is None or (self._limit and not self._room):
                self._next()
            assert self._file is not None
            piece = view[: self._room] if self._limit else view
            self._file.write(piece)
            self._room -= len(piece)
            view = view[len(piece) :]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._close()
        if kind is not None:
            for target in self._done:
                part_name(target).unlink(missing_ok=True)
            return
        for target in reversed(self._done):
            part_name(target).replace(target)
        fsync_folder(self._path.parent)

    @property
    def written(self) -> list[Path]:
        """The volumes so far."""
        return list(self._done)

    def _next(self) -> None:
        self._close()
        number = len(self._done) + 1
        target = self._path.with_name(f"{self._path.name}.{number:03d}") if self._limit else self._path
        self._done.append(target)
        self._file = part_name(target).open("wb")
        self._room = self._limit or 0

    def _close(self) -> None:
        if self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def _numbered(path: Path) -> dict[int, Path]:
    found = {}
    for part in path.parent.glob("*") if path.parent.is_dir() else ():
        match = _NUMBER.fullmatch(part.name.removeprefix(path.name)) if part.name.startswith(path.name) else None
        if match and part.is_file():
            found[int(match[1])] = part
    return found
