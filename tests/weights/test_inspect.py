"""What a checkpoint holds, told from its headers."""

import pytest

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.coverage import layout_of
from modeling_axk1.weights.fetch import Part, fetch
from modeling_axk1.weights.inspect import inspect
from modeling_axk1.weights.names import expected_tensors, parameters
from tests.weights.checkpoints import RELEASE, TINY, bf16, edit_json, tiny_tensors, write_tiny


def test_a_sound_checkpoint(tmp_path):
    found = inspect(write_tiny(tmp_path / "checkpoint"))
    assert (found.parameters, found.active_parameters) == parameters(TINY)
    assert found.bytes == 2 * found.parameters
    assert (found.shards, found.tensors, found.dtypes) == (3, 3 + 13 + 2 * 16, {"BF16": 3 + 13 + 2 * 16})
    assert (found.layout, found.missing, found.extra) == ("fused", [], [])


def test_what_is_missing_and_extra_is_named(tmp_path):
    tensors = tiny_tensors() | {"model.layers.7.norm.weight": bf16((8,))}
    del tensors["model.norm.weight"]
    found = inspect(write_tiny(tmp_path / "checkpoint", tensors))
    assert (found.missing, found.extra) == (["model.norm.weight"], ["model.layers.7.norm.weight"])


def test_the_unused_norm_may_be_absent(tmp_path):
    tensors = tiny_tensors()
    del tensors["model.layers.0.post_mlp_layernorm.weight"]
    assert inspect(write_tiny(tmp_path / "checkpoint", tensors)).missing == []


def test_one_tensor_per_expert_is_recognised_and_complete(tmp_path):
    tensors = {name: bf16(spec.shape) for name, spec in expected_tensors(TINY, "per-expert").items()}
    found = inspect(write_tiny(tmp_path / "checkpoint", tensors))
    assert (found.layout, found.missing, found.extra) == ("per-expert", [], [])


def test_a_part_is_complete_in_itself_and_has_no_number_of_active_parameters(tmp_path):
    fetch(str(write_tiny(tmp_path / "checkpoint")), tmp_path / "part", Part(layers="1", experts="2-3"))
    found = inspect(tmp_path / "part")
    assert (found.part, found.active_parameters) == ("layers 1, experts 2-3", None)
    assert (found.missing, found.extra) == ([], [])


def test_layouts_by_name():
    assert layout_of(expected_tensors(RELEASE)) == "fused"
    assert layout_of(expected_tensors(RELEASE, "per-expert")) == "per-expert"
    assert layout_of(["model.layers.0.mlp.gate_proj.weight"]) == "unknown"
    assert layout_of(["a.mlp.experts.down_proj", "b.mlp.experts.0.down_proj.weight"]) == "unknown"


def test_another_model_is_described_without_guessing(tmp_path):
    folder = write_tiny(tmp_path / "checkpoint")
    edit_json(folder / "config.json", lambda config: config.update(model_type="llama"))
    found = inspect(folder)
    assert (found.active_parameters, found.missing, found.extra) == (None, None, None)
    assert found.tensors == 48


def test_an_unsound_checkpoint_is_not_described(tmp_path):
    folder = write_tiny(tmp_path / "checkpoint")
    (folder / "model-00002-of-00003.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"model-00002-of-00003.safetensors is truncated"):
        inspect(folder)
