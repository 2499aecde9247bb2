"""A checkpoint of holes has the names, headers and sizes of the true one, and takes no room."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.encodings import encoding_named, quantised_config, stored_bytes
from modeling_axk1.weights.inspect import inspect
from modeling_axk1.weights.names import expected_tensors
from modeling_axk1.weights.sparse import _spread, write_sparse_checkpoint
from modeling_axk1.weights.verify import verify
from tests.weights.checkpoints import RELEASE, TINY, names_in


def test_the_release_in_260_shards(tmp_path):
    report = write_sparse_checkpoint(tmp_path, RELEASE)
    found = inspect(tmp_path)
    assert (report.tensors, report.parameters, report.nbytes) == (976, 518_983_059_456, 1_037_966_118_912)
    assert (found.tensors, found.parameters, found.bytes) == (976, 518_983_059_456, 1_037_966_118_912)
    assert (found.shards, found.layout, found.missing, found.extra) == (260, "fused", [], [])
    assert verify(tmp_path, values=False).problems == []
    on_disk = sum(path.stat().st_blocks * 512 for path in tmp_path.iterdir())
    assert on_disk < 10_000_000


def test_a_giant_has_a_shard_of_its_own_and_the_others_are_spread_evenly(tmp_path):
    report = write_sparse_checkpoint(tmp_path, RELEASE)
    giants = [shard for shard in report.shards if shard.nbytes > 5_000_000_000]
    assert len(giants) == 120
    assert all(len(shard.tensors) == 1 for shard in giants)
    shared = [shard.nbytes for shard in report.shards if len(shard.tensors) > 1]
    assert max(shared) < 3 * min(shared)


def test_the_release_in_four_bits(tmp_path):
    config = quantised_config(RELEASE, encoding_named("int4"))
    report = write_sparse_checkpoint(tmp_path, config, shards=75)
    assert (report.parameters, report.nbytes) == (518_983_059_456, stored_bytes(RELEASE, encoding_named("int4")))
    found = inspect(tmp_path)
    assert (found.parameters, found.bytes, found.missing, found.extra) == (report.parameters, report.nbytes, [], [])


def test_it_reads_as_zeros_by_the_stock_library(tmp_path):
    write_sparse_checkpoint(tmp_path, TINY, shards=5, layout="per-expert")
    read = {}
    for path in sorted(tmp_path.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            read |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert {name: tuple(tensor.shape) for name, tensor in read.items()} == {
        name: spec.shape for name, spec in expected_tensors(TINY, "per-expert").items()
    }
    assert not any(tensor.any() for tensor in read.values())
    assert verify(tmp_path).problems == []


def test_one_shard_needs_no_index(tmp_path):
    write_sparse_checkpoint(tmp_path, TINY, shards=1)
    assert names_in(tmp_path) == ["config.json", "model.safetensors"]
    assert json.loads((tmp_path / "config.json").read_text()) == TINY


def test_a_checkpoint_is_never_overwritten(tmp_path):
    write_sparse_checkpoint(tmp_path, TINY, shards=3)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with pytest.raises(WeightsError, match="must not hold a checkpoint yet"):
        write_sparse_checkpoint(tmp_path, TINY, shards=2)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


@pytest.mark.parametrize("shards", [0, -1, 49])
def test_there_cannot_be_more_shards_than_tensors(tmp_path, shards):
    with pytest.raises(WeightsError, match=r"shards must be in \[1, 48\], the number of tensors"):
        write_sparse_checkpoint(tmp_path, TINY, shards=shards)


@given(sizes=st.lists(st.integers(1, 1000) | st.integers(1, 10**12), min_size=1, max_size=60), data=st.data())
def test_every_tensor_lies_in_one_shard_and_no_shard_is_empty(sizes, data):
    named = {str(number): size for number, size in enumerate(sizes)}
    shards = data.draw(st.integers(1, len(sizes)))
    groups = _spread(named, shards)
    assert len(groups) == shards
    assert all(groups)
    assert sorted(name for group in groups for name in group) == sorted(named)
