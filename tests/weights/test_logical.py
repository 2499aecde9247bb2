"""A checkpoint as weights: both layouts and all encodings come to the same names, shapes and bytes."""

import json

import numpy as np
import pytest

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.checkpoint import open_checkpoint
from modeling_axk1.weights.convert import Conversion, convert
from modeling_axk1.weights.encodings import encoding_named
from modeling_axk1.weights.logical import fused_tensors, single_experts, weights_of
from modeling_axk1.weights.names import expected_tensors
from modeling_axk1.weights.shard_writer import read_run
from modeling_axk1.weights.write import RawTensor, write_checkpoint
from tests.weights.checkpoints import TINY, bf16, write_tiny

E, F, D = 4, 3, 8
EXPERTS = "model.layers.1.mlp.experts"


def contents(folder):
    """Every weight of a checkpoint: its shape, form and bytes."""
    checkpoint = open_checkpoint(folder)
    return {
        name: (
            weight.shape,
            weight.form,
            [bytes(read_run(checkpoint.store, p.file, p.run)) for p in weight.parts.values()],
        )
        for name, weight in weights_of(checkpoint).items()
    }


def written(folder, tensors, config=None):
    folder.mkdir()
    write_checkpoint(tensors, folder, 10_000)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return open_checkpoint(folder)


def zeros(dtype, shape):
    return RawTensor(dtype, shape, np.zeros(shape, {"F8_E4M3": "u1", "F32": "<f4", "BF16": "<u2", "I32": "<i4"}[dtype]))


def one_expert(number):
    return {
        f"{EXPERTS}.{number}.gate_proj.weight": (F, D),
        f"{EXPERTS}.{number}.up_proj.weight": (F, D),
        f"{EXPERTS}.{number}.down_proj.weight": (D, F),
    }


SINGLES = {name: shape for number in range(E) for name, shape in one_expert(number).items()}
FUSED = {f"{EXPERTS}.gate_up_proj": (E, 2 * F, D), f"{EXPERTS}.down_proj": (E, D, F)}


def test_both_layouts_hold_the_same_weights(tmp_path):
    fused = write_tiny(tmp_path / "fused")
    convert(fused, tmp_path / "single", Conversion(layout="per-expert"))
    assert contents(fused) == contents(tmp_path / "single")
    assert contents(fused).keys() == expected_tensors(TINY, "per-expert").keys()


def test_an_experts_matrix_is_these_rows_of_its_fused_tensor(tmp_path):
    gate_up, down = np.arange(E * 2 * F * D, dtype="<u2"), np.arange(E * D * F, dtype="<u2")
    tensors = {f"{EXPERTS}.gate_up_proj": gate_up, f"{EXPERTS}.down_proj": down}
    raw = {name: RawTensor("BF16", FUSED[name], data.reshape(FUSED[name])) for name, data in tensors.items()}
    written(tmp_path / "fused", raw)
    found = contents(tmp_path / "fused")
    gate_up, down = gate_up.reshape(E, 2 * F, D), down.reshape(E, D, F)
    for expert in range(E):
        assert found[f"{EXPERTS}.{expert}.gate_proj.weight"] == ((F, D), "BF16", [gate_up[expert, :F].tobytes()])
        assert found[f"{EXPERTS}.{expert}.up_proj.weight"] == ((F, D), "BF16", [gate_up[expert, F:].tobytes()])
        assert found[f"{EXPERTS}.{expert}.down_proj.weight"] == ((D, F), "BF16", [down[expert].tobytes()])


def test_fusing_and_taking_apart_are_inverses():
    assert fused_tensors(SINGLES) == FUSED
    apart = {
        single: (rows, shape[2])
        for name, shape in FUSED.items()
        for single, (_, rows) in single_experts(name, shape).items()
    }
    assert apart == SINGLES


def test_the_rows_of_the_experts_tile_the_fused_tensor():
    for name, shape in FUSED.items():
        rows = sorted(single_experts(name, shape).values())
        assert [first for first, _ in rows] == [sum(count for _, count in rows[:i]) for i in range(len(rows))]
        assert sum(count for _, count in rows) == shape[0] * shape[1]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("model.layers.0.mlp.down_proj", (2, 4, 4)),  # of no experts
        (f"{EXPERTS}.down_proj", (4, 4)),  # no axis of experts
        (f"{EXPERTS}.gate_up_proj", (2, 3, 4)),  # gate and up cannot have as many rows
        (f"{EXPERTS}.0.down_proj.weight", (4, 4)),
    ],
)
def test_what_is_no_fused_tensor_is_a_weight_by_itself(name, shape):
    assert single_experts(name, shape) == {}


def test_more_experts_than_any_model_has_are_refused():
    """A tensor of no bytes can claim a billion of them, each with a name of its own."""
    with pytest.raises(WeightsError, match="must hold at most 1,024 experts, got 1,000,000,000"):
        single_experts(f"{EXPERTS}.down_proj", (10**9, 0, 4))


def test_other_tensors_are_not_fused():
    assert fused_tensors({"model.norm.weight": (8,), "a.0.gate_proj.weight": (2, 2)}) == {}


def test_numbers_with_a_gap_are_refused():
    with pytest.raises(WeightsError, match=r"must be numbered from 0 without gaps to be fused, up to 5"):
        fused_tensors(SINGLES | one_expert(5))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (f"{EXPERTS}.2.down_proj.weight", (D, F + 1)),
        (f"{EXPERTS}.2.up_proj.weight", (F + 1, D)),
        (f"{EXPERTS}.2.down_proj.weight", None),
    ],
)
def test_experts_that_are_not_alike_are_refused(name, shape):
    experts = {other: found for other, found in (SINGLES | {name: shape}).items() if found}
    with pytest.raises(WeightsError, match="gate_proj, up_proj and down_proj of one shape to be fused"):
        fused_tensors(experts)


def test_experts_that_are_no_matrices_are_refused():
    with pytest.raises(WeightsError, match="of one shape to be fused"):
        fused_tensors(dict.fromkeys(one_expert(0), (D,)))


def test_a_layer_both_fused_and_one_by_one_is_refused(tmp_path):
    tensors = {f"{EXPERTS}.gate_up_proj": bf16((E, 2 * F, D)), f"{EXPERTS}.0.up_proj.weight": bf16((F, D))}
    with pytest.raises(WeightsError, match="is stored fused and also one by one"):
        weights_of(written(tmp_path / "mixed", tensors))


def quantised(encoding, shape=(128, 256)):
    """One quantised weight with its parts, of zeros, and the config that says so."""
    form = encoding_named(encoding)
    parts = form.parts("model.layers.0.mlp.up_proj.weight", shape)
    tensors = {name: zeros(*kind) for name, kind in parts.items() if kind[0] != "I64"}
    for name, data in form.constant_parts("model.layers.0.mlp.up_proj.weight", shape).items():
        tensors[name] = RawTensor("I64", (2,), data)
    return tensors, {**TINY, "quantization_config": form.quantization_config([])}


@pytest.mark.parametrize(("encoding", "parts"), [("fp8", 2), ("int8", 3), ("int4", 3)])
def test_a_quantised_weight_is_one_weight_with_its_parts(tmp_path, encoding, parts):
    checkpoint = written(tmp_path / "a", *quantised(encoding))
    ((name, weight),) = weights_of(checkpoint).items()
    assert (name, weight.shape) == ("model.layers.0.mlp.up_proj.weight", (128, 256))
    assert weight.form == encoding_named(encoding)
    assert len(weight.parts) == parts


def test_without_a_quantization_config_its_parts_are_tensors_like_others(tmp_path):
    tensors, _ = quantised("int4")
    assert weights_of(written(tmp_path / "a", tensors, TINY)).keys() == tensors.keys()


@pytest.mark.parametrize(
    ("encoding", "part"),
    [
        ("fp8", "up_proj.weight_scale_inv"),
        ("fp8", "up_proj.weight"),
        ("int4", "up_proj.weight_packed"),
        ("int4", "up_proj.weight_scale"),
        ("int8", "up_proj.weight_shape"),
    ],
)
def test_a_missing_part_of_a_quantised_weight_is_named(tmp_path, encoding, part):
    tensors, config = quantised(encoding)
    del tensors[f"model.layers.0.mlp.{part}"]
    with pytest.raises(WeightsError, match=rf"^model\.layers\.0\.mlp\.{part} (is missing|must be there)"):
        weights_of(written(tmp_path / "a", tensors, config))


def test_a_part_of_another_shape_or_dtype_is_named_with_both(tmp_path):
    tensors, config = quantised("fp8")
    tensors["model.layers.0.mlp.up_proj.weight_scale_inv"] = zeros("BF16", (1, 3))
    with pytest.raises(WeightsError, match=r"weight_scale_inv must be F32 \[1, 2\], got BF16 \[1, 3\]"):
        weights_of(written(tmp_path / "a", tensors, config))
