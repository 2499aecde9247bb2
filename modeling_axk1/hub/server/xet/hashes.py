"""The hashes of the xet protocol: of a chunk, of the chunks that make a xorb or a file, of a stretch of chunks.

All of them are BLAKE3 with a key, so that no hash of one thing can pass for another's.
"""

import struct
from collections.abc import Iterable

from blake3 import blake3

_CHUNK_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
_NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
_STRETCH_KEY = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
_FILE_KEY = bytes(32)

# A node of the tree has three children or more, and ends after the first whose hash is divisible by this.
_BRANCHING = 4
_MOST_CHILDREN = 2 * _BRANCHING + 1

Node = tuple[bytes, int]


def chunk_hash(data: bytes | memoryview) -> bytes:
    """Return the hash of a chunk's bytes."""
    return blake3(data, key=_CHUNK_KEY).digest()


def xorb_hash(chunks: Iterable[Node]) -> bytes:
    """Return the hash of a xorb: the root of a tree over its chunks' (hash, length).

    Only the open node of each level is in memory: a file of a terabyte has sixteen million chunks.
    """
    levels: list[_Level] = []

    def add(node: Node, height: int) -> None:
        if height == len(levels):
            levels.append(_Level())
        if (whole := levels[height].add(node)) is not None:
            add(whole, height + 1)

    for chunk in chunks:
        add(chunk, 0)
    for height, level in enumerate(levels):  # grows while it goes
        if level.seen == 1:
            return level.open[0][0]
        if level.open:
            add(_merged(level.open), height + 1)
    return bytes(32)


def file_hash(chunks: Iterable[Node]) -> bytes:
    """Return the hash of a file, from its chunks' (hash, length)."""
    return blake3(xorb_hash(chunks), key=_FILE_KEY).digest()


def stretch_hash(hashes: Iterable[bytes]) -> bytes:
    """Return the hash by which a shard shows that it knows the chunks of a stretch."""
    return blake3(b"".join(hashes), key=_STRETCH_KEY).digest()


def to_text(value: bytes) -> str:
    """Return a hash as paths and JSON write it: four little-endian 64-bit numbers in hex.

    Example:
        >>> to_text(bytes(range(32)))
        '07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918'

    """
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", value))


class _Level:
    """The nodes of one height: how many there were, and those whose parent is not whole yet."""

    def __init__(self) -> None:
        self.seen = 0
        self.open: list[Node] = []

    def add(self, node: Node) -> Node | None:
        """Take in a node; return the parent that it completes."""
        self.seen += 1
        self.open.append(node)
        ends = len(self.open) >= 3 and int.from_bytes(node[0][24:], "little") % _BRANCHING == 0
        if not ends and len(self.open) < _MOST_CHILDREN:
            return None
        parent, self.open = _merged(self.open), []
        return parent


def _merged(nodes: list[Node]) -> Node:
    lines = "".join(f"{to_text(value)} : {length}\n" for value, length in nodes)
    return blake3(lines.encode(), key=_NODE_KEY).digest(), sum(length for _, length in nodes)
