"""A writer of xorbs and shards, as its own reading of the specification: what the hub reads is not read by itself."""

import struct

from blake3 import blake3
from pyarrow import Codec

from modeling_axk1.hub.server.xet.hashes import chunk_hash, file_hash, stretch_hash, to_text, xorb_hash

PLAIN, LZ4, GROUPED = 0, 1, 2

_TAG = b"HFRepoMetaData\0" + bytes([85, 105, 103, 69, 106, 123, 129, 87, 131, 165, 189, 217, 92, 205, 209, 74, 169])
_NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
END = b"\xff" * 32 + bytes(16)


def packed(data: bytes, scheme: int = PLAIN, *, length: int | None = None, version: int = 0) -> bytes:
    """A chunk as it lies in a xorb; `length` is what its header claims."""
    body = b"".join(data[start::4] for start in range(4)) if scheme == GROUPED else data
    if scheme in (LZ4, GROUPED):
        body = Codec("lz4").compress(body, asbytes=True)
    claimed = len(data) if length is None else length
    return bytes([version]) + len(body).to_bytes(3, "little") + bytes([scheme]) + claimed.to_bytes(3, "little") + body


def nodes(chunks: list[bytes]) -> list[tuple[bytes, int]]:
    return [(chunk_hash(chunk), len(chunk)) for chunk in chunks]


def name_of(chunks: list[bytes]) -> str:
    return to_text(xorb_hash(nodes(chunks)))


def raw_hash(text: str) -> bytes:
    """The bytes of a hash that is written as text."""
    return struct.pack("<4Q", *(int(text[start : start + 16], 16) for start in range(0, 64, 16)))


def file_block(
    sha256: str,
    terms: list[tuple[str, int, int, list[bytes]]],
    *,
    flags: int = 3 << 30,
    length: int | None = None,
    verification: bytes | None = None,
    hash: bytes | None = None,
) -> bytes:
    """One file of a shard; a term is (xorb, first chunk, end, the chunks). The rest replaces what would be right."""
    chunks = [chunk for *_, term in terms for chunk in term]
    block = struct.pack("<32sII8x", file_hash(nodes(chunks)) if hash is None else hash, flags, len(terms))
    for xorb, start, end, term in terms:
        size = sum(map(len, term)) if length is None else length
        block += struct.pack("<32sIIII", raw_hash(xorb), 0, size, start, end)
    for *_, term in terms:
        proof = stretch_hash(value for value, _ in nodes(term)) if verification is None else verification
        block += proof + bytes(16)
    return block + raw_hash(sha256) + bytes(16)


def shard(*files: bytes) -> bytes:
    return _TAG + struct.pack("<QQ", 2, 0) + b"".join(files) + END + END


def root_of(level: list[tuple[bytes, int]]) -> bytes:
    """The hash of a xorb as the specification computes it: whole levels, one after the other."""
    while len(level) > 1:
        above, rest = [], level
        while rest:
            cut = next((at + 1 for at in range(2, min(9, len(rest))) if rest[at][0][24] % 4 == 0), min(9, len(rest)))
            lines = "".join(f"{to_text(value)} : {length}\n" for value, length in rest[:cut])
            above.append((blake3(lines.encode(), key=_NODE_KEY).digest(), sum(length for _, length in rest[:cut])))
            rest = rest[cut:]
        level = above
    return level[0][0]
