"""Bytes of tensors from shards, and several threads at it."""

import struct
import threading

import pytest
import torch
from safetensors.torch import save_file

from modeling_axk1.model.reading_axk1 import Extent, ShardReader, extents_in, in_parallel, read_extent


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """A shard whose tensors begin at no multiple of anything."""
    torch.manual_seed(0)
    tensors = {f"t{n}": torch.randn(3, 5 * n + 1) for n in range(8)} | {"half": torch.randn(7, 3).bfloat16()}
    path = tmp_path_factory.mktemp("shard") / "model.safetensors"
    save_file(tensors, path)
    return str(path), tensors


class TestShardReader:
    @pytest.mark.parametrize("direct", [True, False])
    def test_every_tensor_is_read_where_the_header_places_it(self, shard, direct):
        path, tensors = shard
        for name, extent in extents_in(path).items():
            assert torch.equal(read_extent(ShardReader(direct), extent), tensors[name])

    def test_parts_and_rows_of_a_tensor(self, shard):
        path, tensors = shard
        extent = extents_in(path)["half"]
        assert torch.equal(read_extent(ShardReader(), extent.part(2)), tensors["half"][2])
        assert torch.equal(read_extent(ShardReader(), extent.rows(5, 99)), tensors["half"][5:])

    def test_behind_a_header_of_odd_length_a_tensor_is_moved_to_where_it_may_lie(self, tmp_path):
        header = b'{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} '
        path = tmp_path / "odd.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<2f", 1.5, -2.0))
        assert (8 + len(header)) % 4
        assert read_extent(ShardReader(), extents_in(str(path))["t"]).tolist() == [1.5, -2.0]

    def test_a_shard_that_ends_early_is_named(self, tmp_path):
        path = tmp_path / "short.safetensors"
        path.write_bytes(b"x" * 100)
        with pytest.raises(ValueError, match=r"short\.safetensors ends at byte 100"):
            read_extent(ShardReader(), Extent(str(path), 50, torch.uint8, (100,)))


class TestInParallel:
    def test_all_is_done_once(self):
        done = []
        in_parallel(done.append, range(100), 4)
        assert sorted(done) == list(range(100))
        in_parallel(done.append, [], 4)
        assert len(done) == 100

    def test_several_at_a_time(self):
        together = threading.Barrier(3, timeout=10)
        in_parallel(lambda item: together.wait(), range(6), 3)

    def test_an_error_ends_it(self):
        done = []

        def work(item: int) -> None:
            if item == 3:
                raise OSError("three")
            done.append(item)

        with pytest.raises(OSError, match="three"):
            in_parallel(work, range(1000), 1)
        assert done == [0, 1, 2]
