"""The bytes of a file, whether git holds them or the blob store."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO, cast

from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import File, Repository
from modeling_axk1.hub.server.store import BlobStore


@contextmanager
def opened(repository: Repository, blobs: BlobStore, file: File) -> Iterator[BinaryIO]:
    """Open a file to be read; refuses (500) one whose blob is missing or damaged."""
    if file.pointer is None:
        yield BytesIO(repository.content(file))
        return
    blob = blobs.open(file.pointer.oid, file.size)
    if blob is None:
        raise Refusal(500, f"the blob of {file.path!r} ({file.pointer.oid}) is missing or damaged on this hub")
    with blob:
        yield cast(BinaryIO, blob)


def beginning(repository: Repository, blobs: BlobStore, file: File, most: int) -> bytes:
    """Return the first `most` bytes of a file, or all when it is shorter."""
    with opened(repository, blobs, file) as reader:
        return reader.read(most)


def digest_of(file: File) -> str:
    """Return the digest by which the hub names a file's bytes: SHA-256 of a large one, else the git blob's SHA-1."""
    return file.pointer.oid if file.pointer else file.oid
