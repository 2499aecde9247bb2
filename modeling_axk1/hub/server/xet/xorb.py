"""Xorbs: up to 64 MiB of chunks one after the other, each behind a header of 8 bytes and compressed by itself.

    version 0 (1 byte)   length as stored (3, little-endian)   compression (1)   length (3)

Compression is none, an LZ4 frame, or an LZ4 frame of regrouped bytes: those at 0, 4, 8, ... first, then those at 1, 5,
9, ... and so on, which suits numbers of four bytes. A footer may follow; it says nothing that the chunks do not say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.xet.hashes import Node, chunk_hash

LARGEST_XORB = 64 * 1024 * 1024
LARGEST_CHUNK = 128 * 1024
MOST_CHUNKS = 8192
# A footer has 40 bytes for each chunk, and some more.
LARGEST_BODY = LARGEST_XORB + 48 * MOST_CHUNKS

_HEADER_BYTES = 8
_FOOTER = b"XETBLOB"


@dataclass(frozen=True)
class StoredChunk:
    """A chunk of a xorb: what it is, and where its header lies in the serialized xorb."""

    node: Node
    start: int


def read_xorb(file: BinaryIO) -> list[StoredChunk]:
    """Return the chunks of the serialized xorb that `file` is at the beginning of; refuses what is none (400).

    No more than one chunk is in memory, whatever the headers claim.
    """
    chunks: list[StoredChunk] = []
    position = 0
    while header := file.read(_HEADER_BYTES):
        if header.startswith(_FOOTER):
            break
        if len(chunks) == MOST_CHUNKS:
            raise Refusal(400, f"a xorb must not have more than {MOST_CHUNKS} chunks")
        data = _read_body(header, file)
        chunks.append(StoredChunk((chunk_hash(data), len(data)), position))
        position = file.tell()
        if position > LARGEST_XORB:
            raise Refusal(400, f"a xorb must not exceed {LARGEST_XORB} bytes")
    if not chunks:
        raise Refusal(400, "a xorb must have a chunk, got none")
    return chunks


def read_chunk(file: BinaryIO) -> bytes:
    """Return the bytes of the chunk whose header `file` is at."""
    return _read_body(file.read(_HEADER_BYTES), file)


def _read_body(header: bytes, file: BinaryIO) -> bytes:
    if len(header) < _HEADER_BYTES:
        raise Refusal(400, "a xorb ends within a chunk's header")
    version, scheme = header[0], header[4]
    stored, length = int.from_bytes(header[1:4], "little"), int.from_bytes(header[5:8], "little")
    if version != 0 or scheme not in _READERS:
        raise Refusal(400, f"a chunk must have version 0 and compression 0, 1 or 2, got {version} and {scheme}")
    if not (0 < length <= LARGEST_CHUNK and 0 < stored <= LARGEST_CHUNK):
        raise Refusal(400, f"a chunk must have 1 to {LARGEST_CHUNK} bytes, got {length} in {stored}")
    body = file.read(stored)
    if len(body) < stored:
        raise Refusal(400, "a xorb ends within a chunk")
    data = _READERS[scheme](body, length)
    if len(data) != length:
        raise Refusal(400, f"a chunk of {length} bytes must not have {len(data)}")
    return data


def _plain(body: bytes, length: int) -> bytes:
    return body


def _lz4(body: bytes, length: int) -> bytes:
    from pyarrow import ArrowException, Codec

    try:
        # The codec would not say that a frame holds less: what is left of the buffer then is no chunk, by its hash.
        return bytes(Codec("lz4").decompress(body, decompressed_size=length, asbytes=True))
    except (OSError, ArrowException) as error:
        raise Refusal(400, f"a chunk must be one LZ4 frame of {length} bytes: {error}") from None


def _grouped_lz4(body: bytes, length: int) -> bytes:
    grouped = _lz4(body, length)
    data = bytearray(length)
    start = 0
    for place in range(4):
        end = start + len(range(place, length, 4))
        data[place::4] = grouped[start:end]
        start = end
    return bytes(data)


_READERS: dict[int, Callable[[bytes, int], bytes]] = {0: _plain, 1: _lz4, 2: _grouped_lz4}
