"""Which part of a model a rank, a range of layers or a list of experts is, and that cut.json is believed in nothing."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights.cut import (
    CUT_FILE,
    Cut,
    Whole,
    cut_from_json,
    cut_tensor,
    cut_to_json,
    layer_of,
    parse_numbers,
    rank_cut,
    written_numbers,
)
from modeling_axk1.weights.names import expected_tensors
from tests.weights.checkpoints import RELEASE, TINY

KINDS = {name: ("BF16", spec.shape) for name, spec in expected_tensors(TINY).items()}
WHOLE = Whole.of(TINY, KINDS)
SINGLE_KINDS = {name: ("BF16", spec.shape) for name, spec in expected_tensors(TINY, "per-expert").items()}


def held(cut: Cut, kinds=KINDS) -> dict[str, np.ndarray]:
    """What a part holds of tensors that count their elements."""
    parts = {}
    for name, (dtype, shape) in kinds.items():
        if part := cut_tensor(cut, Whole.of(TINY, kinds), name, dtype, shape):
            raw = np.arange(np.prod(shape), dtype="<u2").tobytes()
            taken = b"".join(raw[at : at + length] for run in part[1] for at, length in run.pieces())
            parts[name] = np.frombuffer(taken, "<u2").reshape(part[0])
    return parts


def whole(name: str, kinds=KINDS) -> np.ndarray:
    shape = kinds[name][1]
    return np.arange(np.prod(shape), dtype="<u2").reshape(shape)


def layers_in(parts) -> set[int]:
    return {layer for layer in map(layer_of, parts) if layer is not None}


def test_a_model_is_counted_by_its_tensors():
    assert (WHOLE.layers, WHOLE.experts) == (3, 4)
    assert Whole.of(None, SINGLE_KINDS) == Whole({}, 3, 4)
    assert Whole.of(None, {"a": ("F32", ())}) == Whole({}, 0, 0)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("model.layers.7.x", 7),
        ("transformer.h.12.attn", 12),
        ("blocks.3.w", 3),
        ("lm_head.weight", None),
        ("h.w", None),
    ],
)
def test_a_layer_is_told_by_the_usual_names(name, layer):
    assert layer_of(name) == layer


@pytest.mark.parametrize(
    "kinds",
    [
        {"model.layers.999999999.w": ("F32", (1,))},
        {"model.layers.0.mlp.experts.999999999.w": ("F32", (1,))},
        {"model.layers.0.mlp.experts.down_proj": ("F32", (2**62, 0, 1))},
    ],
)
def test_a_name_cannot_ask_for_a_list_of_a_thousand_million(kinds):
    with pytest.raises(WeightsError, match="at most 4,096 layers and experts"):
        Whole.of(None, kinds)


def test_layers_bring_the_embedding_with_the_first_and_norm_and_head_with_the_last():
    first, middle, last = (held(Cut(layers=(layer,))) for layer in range(3))
    assert {name for name in first if layer_of(name) is None} == {"model.embed_tokens.weight"}
    assert {name for name in middle if layer_of(name) is None} == set()
    assert {name for name in last if layer_of(name) is None} == {"model.norm.weight", "lm_head.weight"}
    assert [layers_in(part) for part in (first, middle, last)] == [{0}, {1}, {2}]
    assert len(first) + len(middle) + len(last) == len(KINDS)


@given(st.integers(1, 61), st.sampled_from(["stage", "expert-rank"]))
def test_parts_are_consecutive_as_equal_as_they_can_be_and_all_there(ranks, division):
    release = Whole(RELEASE, 61, 192)
    cuts = [rank_cut(release, division, rank, ranks) for rank in range(ranks)]
    shares = [cut.layers if division == "stage" else cut.experts for cut in cuts]
    assert [number for share in shares for number in share] == list(range(61 if division == "stage" else 192))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("kinds", [KINDS, SINGLE_KINDS])
def test_an_expert_rank_holds_its_experts_and_everything_else(kinds):
    part = held(rank_cut(WHOLE, "expert-rank", 1, 2), kinds)
    fused = {name for name in kinds if name.endswith(("experts.gate_up_proj", "experts.down_proj"))}
    others = {name for name in kinds if ".experts.0." in name or ".experts.1." in name}
    assert part.keys() == kinds.keys() - others
    for name, tensor in part.items():
        np.testing.assert_array_equal(tensor, whole(name, kinds)[2:] if name in fused else whole(name, kinds))


def test_a_list_of_experts_may_have_gaps():
    name = "model.layers.1.mlp.experts.down_proj"
    np.testing.assert_array_equal(held(Cut(experts=(0, 1, 3)))[name], whole(name)[[0, 1, 3]])
    assert cut_tensor(Cut(experts=(0, 1, 3)), WHOLE, name, *KINDS[name])[1][1].start == 3 * 8 * 4 * 2


def test_a_tensor_rank_holds_heads_widths_of_mlps_and_rows_of_the_vocabulary():
    """By the shapes that the model code has: heads first in q_b and kv_b, gate rows before up rows."""
    for rank in range(2):
        part = held(rank_cut(WHOLE, "tensor-rank", rank, 2))
        layer = "model.layers.1."

        def both(name, part=part, layer=layer):
            return part[layer + name], whole(layer + name)

        mine, all_of_it = both("self_attn.q_b_proj.weight")
        np.testing.assert_array_equal(mine.reshape(1, 6, 6), all_of_it.reshape(2, 6, 6)[[rank]])
        mine, all_of_it = both("self_attn.kv_b_proj.weight")
        np.testing.assert_array_equal(mine.reshape(1, 8, 4), all_of_it.reshape(2, 8, 4)[[rank]])
        mine, all_of_it = both("self_attn.o_proj.weight")
        np.testing.assert_array_equal(mine.reshape(8, 1, 4), all_of_it.reshape(8, 2, 4)[:, [rank]])
        mine, all_of_it = both("mlp.experts.gate_up_proj")
        gate, up = np.split(all_of_it, 2, axis=1)
        half = slice(2 * rank, 2 * rank + 2)
        np.testing.assert_array_equal(mine, np.concatenate([gate[:, half], up[:, half]], axis=1))
        mine, all_of_it = both("mlp.experts.down_proj")
        np.testing.assert_array_equal(mine, all_of_it[:, :, half])
        mine, all_of_it = both("mlp.shared_experts.down_proj.weight")
        np.testing.assert_array_equal(mine, all_of_it[:, half])
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            np.testing.assert_array_equal(part[name], whole(name)[16 * rank : 16 * rank + 16])
        divided = {name for name, tensor in part.items() if tensor.shape != KINDS[name][1]}
        assert {name.removeprefix(layer) for name in part.keys() - divided if name.startswith(layer)} == {
            "input_layernorm.weight",
            "post_attention_layernorm.weight",
            "post_mlp_layernorm.weight",
            "self_attn.q_a_proj.weight",
            "self_attn.q_a_layernorm.weight",
            "self_attn.kv_a_proj_with_mqa.weight",
            "self_attn.kv_a_layernorm.weight",
            "mlp.gate.weight",
        }


@pytest.mark.parametrize(
    ("config", "division", "rank", "ranks", "message"),
    [
        (TINY, "stage", 3, 3, r"rank must be in \[0, 2\], got 3"),
        (TINY, "stage", -1, 3, r"rank must be in \[0, 2\], got -1"),
        (TINY, "stage", 0, 4, "at most as many parts as layers, 3, got 4"),
        (TINY, "expert-rank", 0, 5, "at most as many parts as routed experts, 4, got 5"),
        (TINY, "tensor-rank", 0, 4, "must divide num_attention_heads, 2, got 4"),
        (TINY | {"vocab_size": 33}, "tensor-rank", 0, 2, "must divide vocab_size, 33, got 2"),
        (TINY | {"vocab_size": "%s"}, "tensor-rank", 0, 2, "must divide vocab_size, '%s', got 2"),
        ({"model_type": "llama"}, "tensor-rank", 0, 2, "A.X K1's names only"),
        (TINY | {"quantization_config": {}}, "tensor-rank", 0, 2, "through their scales: dequantise first"),
    ],
)
def test_a_model_that_cannot_be_divided_so_is_wrong_use(config, division, rank, ranks, message):
    with pytest.raises(UsageError, match=message):
        rank_cut(Whole(config, 3, 4), division, rank, ranks)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("a.o_proj.weight", (8,)),
        ("a.experts.gate_up_proj", (4, 6, 8)),  # three gate rows do not divide by two
        ("a.experts.gate_up_proj", (4, 5, 8)),
        ("lm_head.weight", (33, 8)),
        ("lm_head.weight", ()),
    ],
)
def test_a_tensor_that_does_not_divide_is_named(name, shape):
    with pytest.raises(WeightsError, match=rf"{name} must divide by 2 ranks along axis \d, got"):
        cut_tensor(Cut(division="tensor-rank", rank=0, ranks=2), WHOLE, name, "BF16", shape)


@pytest.mark.parametrize("shape", [(), (2, 8)])
def test_experts_that_a_tensor_has_not_are_refused(shape):
    with pytest.raises(WeightsError, match="a cut"):
        cut_tensor(Cut(experts=(1, 2)), WHOLE, "a.experts.down_proj", "BF16", shape)


numbers = st.none() | st.sets(st.integers(0, 4095), max_size=20).map(lambda found: tuple(sorted(found)))


@given(
    numbers,
    numbers,
    st.sampled_from([None, "stage", "expert-rank", "tensor-rank"]),
    st.integers(1, 99_999).flatmap(lambda ranks: st.tuples(st.integers(0, ranks - 1), st.just(ranks))),
    st.dictionaries(st.text(min_size=1, max_size=8), st.lists(st.integers(0, 2**63 - 1), max_size=4).map(tuple)),
)
def test_a_cut_comes_back_from_its_file(layers, experts, division, rank, shapes):
    cut = Cut(layers, experts, division, *rank)
    assert cut_from_json(cut_to_json(cut, shapes)) == (cut, shapes)


GOOD = json.loads(cut_to_json(Cut(experts=(1, 2), division="expert-rank", rank=1, ranks=2), {"a": (4, 2)}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("version", None),
        ("division", "layer"),
        ("division", ["stage"]),
        ("rank", 2),
        ("rank", -1),
        ("rank", True),
        ("rank", 0.0),
        ("ranks", None),
        ("ranks", 10**400),
        ("experts", 3),
        ("experts", [2, 1]),
        ("experts", [1, 1]),
        ("experts", [4096]),
        ("experts", [True]),
        ("layers", ["0"]),
        ("layers", [-1]),
        ("layers", {"0": 1}),
        ("whole_shapes", None),
        ("whole_shapes", [[1]]),
        ("whole_shapes", {"a": 4}),
        ("whole_shapes", {"a": [-1]}),
        ("whole_shapes", {"a": [2**63]}),
        ("whole_shapes", {"a": [2] * 65}),
    ],
)
def test_a_cut_file_with_odd_values_is_refused(key, value):
    assert cut_from_json(json.dumps(GOOD).encode())
    with pytest.raises(WeightsError, match=f"{CUT_FILE} must say which part of a model this is"):
        cut_from_json(json.dumps(GOOD | {key: value}).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"version": 1, "version": 1}', b"\xff", b"[" * 100_000])
def test_a_cut_file_that_is_no_json_object_is_refused(raw):
    with pytest.raises(WeightsError, match=f"{CUT_FILE} must be a JSON object") as caught:
        cut_from_json(raw)
    assert "\n" not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_whatever_stands_there_it_is_a_cut_or_refused(value):
    for record in (value, *(GOOD | {key: value} for key in GOOD)):
        try:
            cut_from_json(json.dumps(record).encode())
        except WeightsError:
            continue
        assert isinstance(record, dict)


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (Cut(), "everything"),
        (Cut(layers=(0, 1, 2, 5)), "layers 0-2,5"),
        (Cut(experts=(7,), layers=(1,)), "layers 1, experts 7"),
        (rank_cut(Whole({}, 61, 192), "expert-rank", 1, 8), "expert-rank 1 of 8, experts 24-47"),
        (Cut(division="tensor-rank", rank=3, ranks=4), "tensor-rank 3 of 4"),
    ],
)
def test_a_cut_says_which_part_it_is(cut, said):
    assert str(cut) == said


@pytest.mark.parametrize(
    ("text", "found"), [("0-9,40", (*range(10), 40)), ("3", (3,)), (" 5 - 6 , 1,1", (1, 5, 6)), ("2-2", (2,))]
)
def test_numbers_are_read_as_people_write_them(text, found):
    assert parse_numbers(text, "experts", 41) == found


@given(st.sets(st.integers(0, 300), min_size=1))
def test_numbers_are_written_as_they_are_read(numbers):
    found = tuple(sorted(numbers))
    assert parse_numbers(written_numbers(found), "experts", 301) == found


@pytest.mark.parametrize("text", ["", ",", "a", "1-", "-1", "3-1", "1,,2", "0x1", "1.5", "9" * 400, "٣٤-٥٦x"])
def test_other_numbers_are_wrong_use(text):
    with pytest.raises(UsageError, match='experts must look like "0-9,40"'):
        parse_numbers(text, "experts", 41)


def test_a_number_out_of_range_is_wrong_use():
    with pytest.raises(UsageError, match=r"layers must be in \[0, 60\], got 61"):
        parse_numbers("0-61", "layers", 61)
    with pytest.raises(UsageError, match=r"got 999999999"):
        parse_numbers("0-999999999", "layers", 61)
