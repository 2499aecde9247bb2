import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from modeling_axk1.hub.server.names import check_sha256
from modeling_axk1.hub.server.refusal import Refusal


class IncomingBlob:
    """Bytes on their way in, hashed as they come; never more of them than were announced."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._announced = size
        self._digest = hashlib.sha256()
        self.size = 0

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
    equal bytes. What a killed server left in `incoming` is removed at the next start.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / "incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)

    def path(self, oid: str) -> Path:
        """Return where the blob `oid` lies, or would lie."""
        check_sha256(oid)
        return self.root / oid[:2] / oid[2:4] / oid

    def size(self, oid: str) -> int | None:
        """Return the size in bytes of the blob `oid`, None when it is not here."""
        try:
            return self.path(oid).stat().st_size
        except FileNotFoundError:
            return None

    @contextmanager
    def receive(self, oid: str, size: int) -> Iterator[IncomingBlob]:
        """Take in the blob `oid` of `size` bytes; it appears when the block ends and the bytes are the right ones."""
        target = self.path(oid)
        with tempfile.NamedTemporaryFile(dir=self._incoming, delete=False) as file:
            part = Path(file.name)
            try:
                blob = IncomingBlob(file, size)  # type: ignore[arg-type]  # a wrapper with the same methods
                yield blob
                if blob.size != size or blob.oid() != oid:
                    raise Refusal(
                        400,
                        f"an upload must be the {size} bytes with SHA-256 {oid}, got {blob.size} with {blob.oid()}",
                    )
                file.flush()
                os.fsync(file.fileno())
                target.parent.mkdir(parents=True, exist_ok=True)
                part.replace(target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
