"""Files out of chunks: what a shard lists becomes ordinary blobs, each proven by its hashes before it appears."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Protocol

from modeling_axk1.hub.server.commits import LARGEST_BLOB
from modeling_axk1.hub.server.names import check_size
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import Repository
from modeling_axk1.hub.server.store import BlobStore
from modeling_axk1.hub.server.xet.hashes import Node, file_hash, stretch_hash
from modeling_axk1.hub.server.xet.shard import ShardFile, Stretch
from modeling_axk1.hub.server.xet.store import Chunks, XorbStore

_STEP_BYTES = 32 * 1024 * 1024


class Admission(Protocol):
    """Decides what may come. Entered before the first byte is written, left when all are; entering may refuse."""

    def take_bytes(self, repository: Repository, size: int) -> AbstractContextManager[object]:
        """Let a xorb of `size` bytes come."""

    def take_file(self, repository: Repository, oid: str, size: int) -> AbstractContextManager[object]:
        """Let the file with SHA-256 `oid` be made."""


class FileMaker:
    """Makes the files of shards for one repository."""

    def __init__(self, repository: Repository, blobs: BlobStore, admission: Admission) -> None:
        self._repository = repository
        self._blobs = blobs
        self._admission = admission
        self._xorbs = XorbStore(repository.path, blobs)

    def check(self, files: Iterable[ShardFile]) -> None:
        """Refuse files that are not made of chunks that are here, before anything is written."""
        # Stretches of one xorb follow each other.
        known = lru_cache(maxsize=4)(self._xorbs.chunks)
        for file in files:
            check_size(file.size(), LARGEST_BLOB)
            nodes = (node for it in file.stretches() for node in _nodes_of(it, known(it.xorb)))
            if file_hash(nodes) != file.hash:
                raise Refusal(400, f"the file with SHA-256 {file.sha256} must have the hash of its chunks")

    def make(self, files: Iterable[ShardFile]) -> Iterator[int]:
        """Store each file as a blob, and yield now and then how many bytes are done; when it ends, all are durable."""
        done = told = 0
        for file in files:
            with self._admission.take_file(self._repository, file.sha256, file.size()):
                with self._blobs.receive(file.sha256, file.size()) as blob:
                    for stretch in file.stretches():
                        for data in self._xorbs.read(stretch.xorb, stretch.start, stretch.end):
                            blob.write(data)
                            done += len(data)
                            if done - told >= _STEP_BYTES:
                                yield (told := done)
                self._xorbs.place(file.sha256, ((it.xorb, it.start, it.end) for it in file.stretches()))
                self._repository.large_files.add_uploaded(file.sha256)


def _nodes_of(stretch: Stretch, chunks: Chunks) -> list[Node]:
    if not 0 <= stretch.start < stretch.end <= len(chunks.hashes):
        raise Refusal(
            400,
            f"a stretch must lie within the {len(chunks.hashes)} chunks of its xorb, got {stretch.start} "
            f"to {stretch.end}",
        )
    hashes = [bytes.fromhex(value) for value in chunks.hashes[stretch.start : stretch.end]]
    lengths = chunks.lengths[stretch.start : stretch.end]
    if sum(lengths) != stretch.length or stretch_hash(hashes) != stretch.verification:
        raise Refusal(400, f"a stretch must have the length and the hash of its chunks in {stretch.xorb}")
    return list(zip(hashes, lengths, strict=True))
