"""Xorbs and shards: what a client writes is what the hub reads, and nothing else is read at all."""

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.xet.hashes import chunk_hash, file_hash, stretch_hash, to_text, xorb_hash
from modeling_axk1.hub.server.xet.shard import read_shard
from modeling_axk1.hub.server.xet.xorb import LARGEST_CHUNK, read_chunk, read_xorb
from tests.hub.server.xet_writer import GROUPED, LZ4, PLAIN, file_block, name_of, nodes, packed, root_of, shard

RECORDED = Path(__file__).parent / "recorded"

chunks = st.lists(st.tuples(st.binary(min_size=1, max_size=200), st.sampled_from([PLAIN, LZ4, GROUPED])), min_size=1)
digests = st.binary(min_size=32, max_size=32)


@given(chunks, st.booleans())
def test_a_xorb_is_read_as_it_was_written(chunks, footer):
    serialized = b"".join(packed(data, scheme) for data, scheme in chunks)
    file = io.BytesIO(serialized + (b"XETBLOB\x01 and so on" if footer else b""))
    found = read_xorb(file)
    assert [chunk.node for chunk in found] == nodes([data for data, _ in chunks])
    for chunk, (data, _) in zip(found, chunks, strict=True):
        file.seek(chunk.start)
        assert read_chunk(file) == data


@given(chunks, st.integers(1))
def test_a_xorb_that_ends_early_is_none(chunks, cut):
    serialized = b"".join(packed(data, scheme) for data, scheme in chunks)
    last = len(packed(*chunks[-1]))
    with pytest.raises(Refusal):
        read_xorb(io.BytesIO(serialized[: len(serialized) - 1 - cut % (last - 1)]))


@given(st.binary(max_size=300))
def test_what_is_no_xorb_is_refused_or_has_chunks(data):
    try:
        found = read_xorb(io.BytesIO(data))
    except Refusal:
        return
    assert found


def test_a_chunk_as_large_as_may_be():
    data = bytes(range(256)) * (LARGEST_CHUNK // 256)
    for scheme in (PLAIN, LZ4, GROUPED):
        assert read_chunk(io.BytesIO(packed(data, scheme))) == data


@given(st.lists(st.tuples(digests, st.lists(st.binary(min_size=1, max_size=9), min_size=1)), max_size=5))
def test_a_shard_is_read_as_it_was_written(files):
    xorbs = [(digest.hex(), name_of(parts), parts) for digest, parts in files]
    found = list(
        read_shard(shard(*(file_block(sha, [(name, 0, len(parts), parts)] * 2) for sha, name, parts in xorbs)))
    )
    assert len(found) == len(files)
    for file, (sha, name, parts) in zip(found, xorbs, strict=True):
        assert (file.sha256, file.hash) == (sha, file_hash(nodes(parts * 2)))
        assert file.size() == 2 * sum(map(len, parts))
        assert {(it.xorb, it.start, it.end) for it in file.stretches()} == {(name, 0, len(parts))}


@given(st.integers(0, 48 * 5 + 47))
def test_a_shard_that_ends_early_is_none(length):
    whole = shard(file_block("ab" * 32, [(name_of([b"x"]), 0, 1, [b"x"])]))
    assert list(read_shard(whole[: 48 * 6]))
    with pytest.raises(Refusal):
        list(read_shard(whole[:length]))


class TestRecorded:
    """What hf_xet 1.8.0 sent for three files: noise, text, and numbers of four bytes."""

    XORB = "490a44a091a3f56d71ae82e3a7b930acad8cd8bbb70007a6d376f423d4a9447e"
    SHA256 = (
        "77141ace04a7e05a5f58cd2ff5a6fdf0a2366e18f1f7727b157edbe93a8834e0",
        "8e5b2e91eaa460f759fbbe235803625378de465ebdf4009e9173b6676417e0e8",
        "0d4b606c1a24ee7828ffb1171a4d0259f3345a85cb7354a6ba32791c9da9b5cb",
    )

    def test_its_xorb(self):
        serialized = (RECORDED / "hf_xet_1_8_xorb.bin").read_bytes()
        found = read_xorb(io.BytesIO(serialized))
        assert to_text(xorb_hash(chunk.node for chunk in found)) == self.XORB
        assert {serialized[chunk.start + 4] for chunk in found} == {PLAIN, LZ4, GROUPED}

    def test_its_shard(self):
        file = io.BytesIO((RECORDED / "hf_xet_1_8_xorb.bin").read_bytes())
        found = read_xorb(file)
        made = set()
        for entry in read_shard((RECORDED / "hf_xet_1_8_shard.bin").read_bytes()):
            data, used = b"", []
            for stretch in entry.stretches():
                assert stretch.xorb == self.XORB
                part = found[stretch.start : stretch.end]
                used += part
                assert stretch_hash(chunk.node[0] for chunk in part) == stretch.verification
                for chunk in part:
                    file.seek(chunk.start)
                    data += read_chunk(file)
            assert file_hash(chunk.node for chunk in used) == entry.hash
            assert hashlib.sha256(data).hexdigest() == entry.sha256
            made.add(entry.sha256)
        assert made == set(self.SHA256)


@given(st.lists(digests, min_size=1, max_size=300))
def test_the_hash_of_a_xorb_is_the_root_of_its_tree(hashes):
    chunks = [(value, length) for length, value in enumerate(hashes, start=1)]
    assert xorb_hash(iter(chunks)) == root_of(chunks)


def test_the_hash_of_no_chunks():
    assert xorb_hash([]) == bytes(32)


def test_a_hash_covers_lengths_and_order():
    few = nodes([bytes([value]) * (value + 1) for value in range(40)])
    assert xorb_hash(few) != xorb_hash(few[::-1])
    assert xorb_hash(few) != xorb_hash([(value, length + 1) for value, length in few])
    assert xorb_hash(few[:1]) == few[0][0] == chunk_hash(b"\0")
