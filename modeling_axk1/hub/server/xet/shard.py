"""Shards: which stretches of which xorbs make a file. A client sends one when all of its xorbs are here.

After a header of 48 bytes come records of 48 bytes: for each file a header, its stretches, a hash for each of them, and
its SHA-256; then all bits set as the end of the files. What follows describes the xorbs, which this hub reads itself.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.xet.hashes import to_text

_RECORD_BYTES = 48
_TAG = b"HFRepoMetaData\0" + bytes.fromhex("556967456a7b815783a5bdd95ccdd14aa9")
_VERSION = 2
_END = b"\xff" * 32

_WITH_STRETCH_HASHES = 1 << 31
_WITH_SHA256 = 1 << 30


@dataclass(frozen=True)
class Stretch:
    """Chunks `start` to `end` (not included) of a xorb, `length` bytes; `verification` proves that they are known."""

    xorb: str
    start: int
    end: int
    length: int
    verification: bytes


@dataclass(frozen=True)
class ShardFile:
    """A file: its hash in the xet protocol, its SHA-256, and the records of the stretches that it is made of."""

    hash: bytes
    sha256: str
    _terms: memoryview
    _proofs: memoryview

    def stretches(self) -> Iterator[Stretch]:
        """Yield the stretches in order."""
        terms, proofs = struct.iter_unpack("<32sIIII", self._terms), struct.iter_unpack("<32s16x", self._proofs)
        for (xorb, _, length, start, end), (proof,) in zip(terms, proofs, strict=True):
            yield Stretch(to_text(xorb), start, end, length, proof)

    def size(self) -> int:
        """Return the bytes of the file, as the shard claims."""
        return sum(length for _, _, length, _, _ in struct.iter_unpack("<32sIIII", self._terms))


def read_shard(data: bytes) -> Iterator[ShardFile]:
    """Yield the files of a shard; refuses what is no shard, or leaves out what this hub asks for (400)."""
    tag, version = data[:32], data[32:40]
    if tag != _TAG or version != struct.pack("<Q", _VERSION):
        raise Refusal(400, f"a shard must begin with its tag and version {_VERSION}, got {data[:40].hex()}")
    view, position = memoryview(data), _RECORD_BYTES

    def take(records: int) -> memoryview:
        nonlocal position
        start, position = position, position + records * _RECORD_BYTES
        if position > len(view):
            raise Refusal(400, "a shard ends before its files do")
        return view[start:position]

    while (header := take(1))[:32] != _END:
        value, flags, count = struct.unpack_from("<32sII", header)
        if not (flags & _WITH_STRETCH_HASHES and flags & _WITH_SHA256):
            raise Refusal(400, "a shard must give the SHA-256 of each file, and a hash of each stretch")
        terms, proofs = take(count), take(count)
        yield ShardFile(value, to_text(bytes(take(1)[:32])), terms, proofs)
