"""A part of a checkpoint comes over ranges of its files: those bytes, of whatever layout, and no others."""

import numpy as np
import pytest
from safetensors import safe_open

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights.checkpoint import open_checkpoint
from modeling_axk1.weights.convert import Conversion, convert
from modeling_axk1.weights.cut import cut_from_json
from modeling_axk1.weights.fetch import Part, bytes_to_read, fetch, plan_fetch
from modeling_axk1.weights.header import TensorInfo
from modeling_axk1.weights.place import open_place
from modeling_axk1.weights.sparse import write_sparse_checkpoint
from modeling_axk1.weights.store import Folder
from tests.weights.checkpoints import RELEASE, names_in, tiny_tensors, wide_checkpoint, write_tiny
from tests.weights.range_server import range_server

LAYER = "model.layers.1."
EXPERTS = LAYER + "mlp.experts."


@pytest.fixture
def served(tmp_path):
    """A tiny checkpoint on a web server."""
    write_tiny(tmp_path / "source")
    (tmp_path / "source" / "tokenizer.json").write_text("{}")
    with range_server(tmp_path / "source") as server:
        yield server


def words(folder) -> dict[str, np.ndarray]:
    """Every tensor of a checkpoint as its 16-bit words."""
    checkpoint = open_checkpoint(folder)
    tensors = {}
    for shard, name, info in checkpoint.tensors():
        raw = bytearray(info.nbytes)
        checkpoint.store.read_into(shard, info.start, raw)
        tensors[name] = np.frombuffer(raw, "<u2").reshape(info.shape)
    return tensors


def test_all_of_it_without_saying_what(served, tmp_path):
    fetch(served.address, tmp_path / "out")
    assert words(tmp_path / "out").keys() == tiny_tensors().keys()
    assert names_in(tmp_path / "out") == ["config.json", "cut.json", "model.safetensors", "tokenizer.json"]


def test_layers_bring_what_is_before_and_after_them(served, tmp_path):
    whole = words(tmp_path / "source")
    fetch(served.address, tmp_path / "first", Part(layers="0"))
    fetch(served.address, tmp_path / "last", Part(layers="1-2"))
    first, last = words(tmp_path / "first"), words(tmp_path / "last")
    assert first.keys() | last.keys() == whole.keys()
    assert first.keys().isdisjoint(last)
    assert "model.embed_tokens.weight" in first
    assert {"model.norm.weight", "lm_head.weight"} <= last.keys()
    for name, tensor in (first | last).items():
        np.testing.assert_array_equal(tensor, whole[name])


def test_experts_by_their_numbers_from_a_fused_tensor(served, tmp_path):
    whole = words(tmp_path / "source")
    fetch(served.address, tmp_path / "out", Part(experts="0,2-3", layers="1"))
    part = words(tmp_path / "out")
    assert all(name.startswith(LAYER) for name in part)
    for name, tensor in part.items():
        np.testing.assert_array_equal(tensor, whole[name][[0, 2, 3]] if name.startswith(EXPERTS) else whole[name])


def test_experts_by_their_numbers_stored_one_by_one(tmp_path):
    convert(write_tiny(tmp_path / "fused"), tmp_path / "source", Conversion(layout="per-expert"))
    with range_server(tmp_path / "source") as server:
        fetch(server.address, tmp_path / "out", Part(experts="3"))
    experts = {name.split(".")[5] for name in words(tmp_path / "out") if ".experts." in name}
    assert experts == {"3"}


@pytest.mark.parametrize("by", ["expert-rank", "tensor-rank"])
def test_a_rank_over_the_web_is_that_rank_of_the_folder(served, tmp_path, by):
    part = Part(by=by, rank=1, parts=2)
    fetch(served.address, tmp_path / "web", part)
    fetch(Folder(tmp_path / "source"), tmp_path / "folder", part)
    web, folder = words(tmp_path / "web"), words(tmp_path / "folder")
    assert web.keys() == folder.keys()
    for name in web:
        np.testing.assert_array_equal(web[name], folder[name])
    cut, _ = cut_from_json((tmp_path / "web" / "cut.json").read_bytes())
    assert (cut.division, cut.rank, cut.ranks) == (by, 1, 2)


def test_no_more_is_read_than_the_part_needs(tmp_path):
    wide_checkpoint(tmp_path / "source")
    with range_server(tmp_path / "source") as server:
        store = open_place(server.address)
        plan, _ = plan_fetch(store, Part(experts="1"))
        before = store.bytes_read
        fetch(store, tmp_path / "out", Part(experts="1"))
        small_files = sum((tmp_path / "source" / name).stat().st_size for name in plan.copied)
        headers = before  # fetch looks at index and headers once more
        assert store.bytes_read - before <= plan.nbytes + small_files + headers
        assert bytes_to_read(plan) == plan.nbytes


def test_columns_of_a_matrix_come_with_what_lies_between_and_the_plan_says_so(served):
    plan, _ = plan_fetch(served.address, Part(by="tensor-rank", rank=0, parts=2))
    assert bytes_to_read(plan) > plan.nbytes


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"layers": "3"}, r"layers must be in \[0, 2\], got 3"),
        ({"layers": "2-1"}, 'layers must look like "0-9,40"'),
        ({"experts": "x"}, 'experts must look like "0-9,40"'),
        ({"by": "stage", "rank": 0}, "a rank needs all three"),
        ({"by": "stage", "rank": 3, "parts": 3}, r"rank must be in \[0, 2\], got 3"),
        ({"by": "stage", "rank": 0, "parts": 3, "layers": "0"}, "a stage is a range of layers already"),
        ({"by": "expert-rank", "rank": 0, "parts": 2, "experts": "0"}, "either a rank or a list of experts"),
        ({"by": "expert-rank", "rank": 0, "parts": 5}, "at most as many parts as routed experts, 4, got 5"),
        ({"by": "tensor-rank", "rank": 0, "parts": 3}, "tensor ranks must divide num_attention_heads, 2, got 3"),
    ],
)
def test_a_part_that_does_not_exist_is_refused(served, tmp_path, part, message):
    with pytest.raises(UsageError, match=message):
        fetch(served.address, tmp_path / "out", Part(**part))
    assert not (tmp_path / "out").exists()


def test_a_file_that_changes_meanwhile_is_not_mixed_with_the_old_one(served, tmp_path):
    plan, store = plan_fetch(served.address, Part(layers="1"))
    shard = tmp_path / "source" / "model-00002-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes() + b"x")
    from modeling_axk1.weights.execute import execute

    with pytest.raises(WeightsError, match="changed while it was read"):
        execute(plan, [store], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_killed_at_50_random_moments_it_ends_the_same(interrupted, tmp_path):
    wide_checkpoint(tmp_path / "source")
    with range_server(tmp_path / "source") as server:
        arguments = {"source": server.address, "part": {"by": "expert-rank", "rank": 1, "parts": 2}}
        interrupted.kill_50_times("fetch", arguments, tmp_path / "work")


@pytest.mark.slow
def test_a_rank_s_share_of_a_layer_of_the_whole_release(tmp_path):
    """The true names and shapes, 1.04 TB of holes behind a web server; 6 of 192 experts of one layer arrive."""
    write_sparse_checkpoint(tmp_path / "source", RELEASE | {"dtype": "bfloat16"})
    part = Part(by="expert-rank", rank=3, parts=32, layers="5")
    with range_server(tmp_path / "source") as server:
        store = open_place(server.address)
        fetch(store, tmp_path / "out", part)
        assert store.bytes_read < 1.01 * bytes_to_read(plan_fetch(store, part)[0])
    found = {name: info for _, name, info in open_checkpoint(tmp_path / "out").tensors()}
    fused = found["model.layers.5.mlp.experts.gate_up_proj"]
    assert isinstance(fused, TensorInfo)
    assert (fused.dtype, fused.shape) == ("BF16", (6, 4096, 7168))
    assert len(found) == 16
    with safe_open(tmp_path / "out" / "model.safetensors", framework="np") as stock:
        assert set(stock.keys()) == found.keys()
