import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from modeling_axk1.files import fsync_folder
from modeling_axk1.hub.server.names import check_sha256
from modeling_axk1.hub.server.refusal import Refusal

# Parts of an upload that nobody goes on with.
OLDEST_UPLOAD_SECONDS = 7 * 24 * 3600


class IncomingBlob:
    """Bytes on their way in, hashed as they come; never more of them than were announced."""

    def __init__(self, file: BinaryIO, size: int, digest: "hashlib._Hash | None" = None, here: int = 0) -> None:
        """Take in up to `size` bytes, of which the first `here` are in `file` already and in `digest`."""
        self._file = file
        self._announced = size
        self._digest = digest or hashlib.sha256()
        self.size = here

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self.size += len(data)
        if self.size > self._announced:
            raise Refusal(400, f"{self._announced} bytes were announced, more came")
        self._digest.update(data)
        self._file.write(data)

    def oid(self) -> str:
        """Return the SHA-256 of the bytes so far."""
        return self._digest.hexdigest()


class BlobStore:
    """Large files by their SHA-256, each whole or not there: temporary file, fsync, one rename.

    Two uploads of one blob may run at the same time; each writes a file of its own, and the last rename wins over
    equal bytes. What a killed server left in `incoming` is removed by `sweep`; uploads in parts wait in `uploads`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uploads = root / "uploads"
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self.uploads.mkdir(exist_ok=True)

    def path(self, oid: str) -> Path:
        """Return where the blob `oid` lies, or would lie."""
        check_sha256(oid)
        return self.root / oid[:2] / oid[2:4] / oid

    def size(self, oid: str) -> int | None:
        """Return the size in bytes of the blob `oid`, None when it is not here: a link to somewhere is no blob."""
        try:
            found = self.path(oid).lstat()
        except FileNotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def refresh(self, oid: str) -> int | None:
        """Return the size of the blob `oid`, None when it is not here, and make it young.

        Whoever is told that a blob is here, and may point a commit to it, is told by this: garbage collection leaves
        young blobs alone, and waits for one that is being made young.
        """
        path = self.path(oid)
        try:
            with locked_folder(path.parent, fcntl.LOCK_SH):
                os.utime(path)
                return path.stat().st_size
        except FileNotFoundError:
            return None

    def sweep(self) -> None:
        """Remove what dead processes were taking in, and uploads in parts that nobody has gone on with for a week."""
        for leftover in self._incoming.iterdir():
            with leftover.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # somebody is writing it
                leftover.unlink(missing_ok=True)
        for upload in self.uploads.iterdir():
            latest = max(path.stat().st_mtime for path in (upload, *upload.iterdir()))
            if latest < time.time() - OLDEST_UPLOAD_SECONDS:
                shutil.rmtree(upload, ignore_errors=True)

    def open(self, oid: str, size: int) -> FileIO | None:
        """Open the blob `oid` to be read, None when it is not here or has not `size` bytes."""
        if self.size(oid) is None:
            return None
        try:
            file = FileIO(self.path(oid))
        except FileNotFoundError:
            return None
        if os.fstat(file.fileno()).st_size != size:
            file.close()
            return None
        return file

    @contextmanager
    def receive(self, oid: str, size: int) -> Iterator[IncomingBlob]:
        """Take in the blob `oid` of `size` bytes; it appears when the block ends and the bytes are the right ones."""
        with self.temporary(lambda: self.path(oid)) as file:
            blob = IncomingBlob(file, size)
            yield blob
            if blob.size != size or blob.oid() != oid:
                raise Refusal(
                    400,
                    f"an upload must be the {size} bytes with SHA-256 {oid}, got {blob.size} with {blob.oid()}",
                )

    @contextmanager
    def temporary(self, target: Callable[[], Path]) -> Iterator[BinaryIO]:
        """Open a file that gets its name from `target` when the block ends well, and is on the disk then."""
        with self._own_file() as (file, part):
            try:
                yield file
                file.flush()
                place(part, file.fileno(), target())
            except BaseException:
                part.unlink(missing_ok=True)
                raise

    @contextmanager
    def _own_file(self) -> Iterator[tuple[BinaryIO, Path]]:
        while True:
            with tempfile.NamedTemporaryFile(dir=self._incoming, delete=False) as file:
                # Held for as long as this process lives: `sweep` of another one leaves such a file alone.
                fcntl.flock(file, fcntl.LOCK_SH)
                if (part := Path(file.name)).exists():
                    yield file.file, part  # type: ignore[misc]  # the stub does not say that it's binary
                    return
                # Swept between these two lines: take another name.


def place(part: Path, handle: int, target: Path) -> None:
    """Give the finished file `part`, open as `handle`, the name `target`; it is on the disk then."""
    os.fsync(handle)
    _make_folder(target.parent)
    with locked_folder(target.parent, fcntl.LOCK_SH) as folder:
        part.replace(target)
        os.fsync(folder)


@contextmanager
def locked_folder(folder: Path, kind: int) -> Iterator[int]:
    """Hold a flock of a folder of blobs: shared by those who add or use some, exclusive for who removes some."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, kind)
        yield handle
    finally:
        os.close(handle)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they are found after a power cut too."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        fsync_folder(folder.parent)
