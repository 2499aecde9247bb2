"""Large files that come in pieces, so that a broken connection or a killed hub costs the last piece only.

Two ways, because there are two kinds of clients: numbered parts in any order (huggingface_hub's `multipart`), and one
stream that goes on where it stopped (tus, which stock git-lfs speaks when `lfs.tustransfers` is set).
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from io import BufferedRandom
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from modeling_axk1.hub.server.names import check_sha256
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.store import BlobStore, IncomingBlob, place

# A lost part costs so much at most; and all addresses of a file's parts fit into one answer.
SMALLEST_PART = 64 * 1024 * 1024
_MOST_PARTS = 1000
_CHUNK = 1024 * 1024


def part_size(size: int) -> int:
    """Return the bytes in each part of a file of `size` bytes, but the last."""
    return max(SMALLEST_PART, -(-size // _MOST_PARTS))


def upload_name(owner: str, oid: str, size: int) -> str:
    """Return the name of an upload: the folder in which its pieces wait."""
    return hashlib.sha256(f"{owner}\n{oid}\n{size}".encode()).hexdigest()


class Upload:
    """The blob `oid` of `size` bytes on its way into the repository `owner` (any text that names it).

    The same three facts name the same upload in every process and after a restart. Two repositories never share one.
    """

    def __init__(self, blobs: BlobStore, owner: str, oid: str, size: int) -> None:
        self._blobs = blobs
        self._oid = check_sha256(oid)
        self._size = size
        self._folder = blobs.uploads / upload_name(owner, oid, size)
        self._stream = self._folder / "stream"

    # In parts

    def parts(self) -> int:
        """Return how many parts there are, at least 1."""
        return max(1, -(-self._size // part_size(self._size)))

    async def take_part(self, number: int, body: AsyncIterator[bytes]) -> str:
        """Take in part `number` (from 1) and return its SHA-256; it replaces an earlier one of that number."""
        if not 1 <= number <= self.parts():
            raise Refusal(400, f"a part's number must be in [1, {self.parts()}], got {number}")
        each = part_size(self._size)
        expected = min(each, self._size - (number - 1) * each)
        others = list(self._folder.glob(f"{number}.*"))
        with self._blobs.temporary(lambda: self._part(number, part.oid())) as file:
            part = IncomingBlob(file, expected)
            async for chunk in body:
                await run_in_threadpool(part.write, chunk)
            if part.size != expected:
                raise Refusal(400, f"part {number} must have {expected} bytes, got {part.size}")
        for other in others:
            if other != self._part(number, part.oid()):
                other.unlink(missing_ok=True)
        return part.oid()

    def complete(self, digests: list[str]) -> None:
        """Make the blob of its parts, given their SHA-256 in order, and forget them."""
        if len(digests) != self.parts():
            raise Refusal(400, f"this file has {self.parts()} parts, got {len(digests)}")
        with self._blobs.receive(self._oid, self._size) as blob:
            for number, digest in enumerate(digests, 1):
                part = self._part(number, check_sha256(digest))
                if not part.exists():
                    raise Refusal(400, f"part {number} with SHA-256 {digest} was not uploaded")
                with part.open("rb") as file:
                    while chunk := file.read(_CHUNK):
                        blob.write(chunk)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _part(self, number: int, digest: str) -> Path:
        return self._folder / f"{number}.{digest}"

    # In one stream

    def offset(self) -> int:
        """Return how many bytes of the stream are here; finishes one that was killed just before its end."""
        try:
            size = self._stream.stat().st_size
        except FileNotFoundError:
            return 0
        if size == self._size:
            with self._open_stream() as file:
                self._finish(file, _digest_of(file))
        return size

    async def append(self, offset: int, body: AsyncIterator[bytes]) -> bool:
        """Take in bytes from `offset` on, which must be where the stream ends; tell whether the blob is whole now.

        What came before the client went away stays.
        """
        with await run_in_threadpool(self._open_stream) as file:
            here = file.seek(0, os.SEEK_END)
            if offset != here:
                raise Refusal(409, f"this upload goes on at byte {here}, not {offset}")
            digest = await run_in_threadpool(_digest_of, file)
            blob = IncomingBlob(file, self._size, digest, here)
            async for chunk in body:
                await run_in_threadpool(blob.write, chunk)
            if blob.size == self._size:
                await run_in_threadpool(self._finish, file, digest)
            return blob.size == self._size

    def _open_stream(self) -> BufferedRandom:
        self._folder.mkdir(exist_ok=True)
        self._stream.touch()
        file = self._stream.open("r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), self._stream.stat()):
                raise FileNotFoundError
        except (BlockingIOError, FileNotFoundError):
            file.close()
            raise Refusal(409, "another client is sending this file; try again later") from None
        return file

    def _finish(self, file: BufferedRandom, digest: "hashlib._Hash") -> None:
        if digest.hexdigest() != self._oid:
            self._stream.unlink()
            raise Refusal(400, f"an upload must be the bytes with SHA-256 {self._oid}, got {digest.hexdigest()}")
        file.flush()
        place(self._stream, file.fileno(), self._blobs.path(self._oid))
        shutil.rmtree(self._folder, ignore_errors=True)


def _digest_of(file: BufferedRandom) -> "hashlib._Hash":
    file.seek(0)
    return hashlib.file_digest(file, "sha256")
