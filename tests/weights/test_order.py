"""The order of tensors, and which of them stay together."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.errors import UsageError
from modeling_axk1.weights.cut import Whole, layer_of, rank_cut
from modeling_axk1.weights.encodings import encoding_named, quantised_config, stored_tensors
from modeling_axk1.weights.names import expected_tensors
from modeling_axk1.weights.order import BYS, ORDERS, Sharding, base_of, in_order, together
from tests.weights.checkpoints import TINY

QUANTISED = quantised_config(TINY | {"hidden_size": 32, "moe_intermediate_size": 32}, encoding_named("int4", 32))
LLAMA = dict.fromkeys(
    (
        "lm_head.weight",
        "model.norm.weight",
        *(f"model.layers.{layer}.{part}.weight" for layer in range(12) for part in ("mlp.up_proj", "input_norm")),
        "model.embed_tokens.weight",
    ),
    ("BF16", (4, 4)),
)


def kinds(config=TINY, layout="fused"):
    return {name: ("BF16", spec.shape) for name, spec in expected_tensors(config, layout).items()}


def shuffled(names, seed=0):
    return random.Random(seed).sample(list(names), len(names))


@pytest.mark.parametrize("layout", ["fused", "per-expert"])
@given(seed=st.integers(0, 100))
def test_model_order_is_the_order_of_names_whatever_the_files_order(layout, seed):
    model_order = list(kinds(layout=layout))
    assert in_order(shuffled(model_order, seed), "model", Whole.of(TINY, kinds(layout=layout))) == model_order


def test_a_quantised_weights_parts_follow_each_other_in_its_place():
    stored = {name: (spec.dtype or "BF16", spec.shape) for name, spec in stored_tensors(QUANTISED).items()}
    assert in_order(shuffled(stored), "model", Whole.of(QUANTISED, stored)) == list(stored)


def test_of_another_model_embeddings_come_first_then_the_layers_by_number():
    names = in_order(LLAMA, "model", Whole.of({"model_type": "llama"}, LLAMA))
    assert names[0] == "model.embed_tokens.weight"
    assert [layer_of(name) for name in names[1:-2]] == [layer for layer in range(12) for _ in range(2)]
    assert names[1] == "model.layers.0.mlp.up_proj.weight"  # as stored within a layer
    assert names[-2:] == ["lm_head.weight", "model.norm.weight"]


def test_the_other_orders_are_what_they_say():
    names, whole = shuffled(LLAMA), Whole.of(None, LLAMA)
    assert in_order(names, "stored", whole) == names
    assert in_order(names, "name", whole) == sorted(names)


@pytest.mark.parametrize(
    "part",
    ["a.weight", "a.weight_packed", "a.weight_scale", "a.weight_scale_inv", "a.weight_shape", "a.weight_zero_point"],
)
def test_parts_belong_to_their_weight(part):
    assert base_of(part) == "a.weight"


@pytest.mark.parametrize("name", ["a.bias", "a.scale", "weight_packed", "a.weight_scale.b", "a.weight_norm"])
def test_other_names_are_their_own(name):
    assert base_of(name) == name


@given(seed=st.integers(0, 100), order=st.sampled_from(ORDERS), by=st.sampled_from(BYS))
def test_parts_of_a_weight_are_one_bundle_in_any_order(seed, order, by):
    stored = {name: (spec.dtype or "BF16", spec.shape) for name, spec in stored_tensors(QUANTISED).items()}
    whole = Whole.of(QUANTISED, stored)
    sharding = Sharding(by=by, parts=2 if "-" in by or by == "stage" else None, order=order)
    bundles = list(together(in_order(shuffled(stored, seed), order, whole), sharding, whole))
    assert sorted(name for bundle, _ in bundles for name in bundle) == sorted(stored)
    assert len(bundles) == len({base_of(name) for name in stored})
    assert all(len({base_of(name) for name in bundle}) == 1 for bundle, _ in bundles)
    groups = [group for _, group in bundles]
    assert groups == sorted(groups)


def test_by_layer_each_layer_is_a_group_between_what_is_before_and_after():
    whole = Whole.of(TINY, kinds())
    groups = {name: group for names, group in together(kinds(), Sharding(by="layer"), whole) for name in names}
    assert groups["model.embed_tokens.weight"] == -1
    assert groups["model.norm.weight"] == groups["lm_head.weight"] == 3
    assert all(groups[name] == layer_of(name) for name in groups if layer_of(name) is not None)


@given(layers=st.integers(1, 40), data=st.data())
def test_by_stage_a_group_is_what_that_stage_holds(layers, data):
    parts = data.draw(st.integers(1, layers))
    names = ["embed_tokens.w", "norm.w", *(f"layers.{layer}.w" for layer in range(layers))]
    whole = Whole({}, layers, 0)
    for (name,), group in together(names, Sharding(by="stage", parts=parts), whole):
        layer = layer_of(name)
        layer = layer if layer is not None else 0 if name == "embed_tokens.w" else layers - 1
        assert layer in rank_cut(whole, "stage", group, parts).layers


@pytest.mark.parametrize("layers", [0, 3])
def test_more_stages_than_layers_are_wrong_use(layers):
    with pytest.raises(UsageError, match=f"at most as many stages as layers, {layers}, got 4"):
        list(together(["a"], Sharding(by="stage", parts=4), Whole({}, layers, 0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "rows"}, "by must be one of size, layer, stage, expert-rank, tensor-rank, got 'rows'"),
        ({"order": "random"}, "order must be one of model, stored, name, got 'random'"),
        ({"by": "stage"}, "by stage needs the number of parts"),
        ({"by": "layer", "parts": 2}, "by layer takes no number of parts, got 2"),
        ({"by": "tensor-rank", "parts": 0}, r"parts must be in \[1, 99,999\], got 0"),
        ({"by": "expert-rank", "parts": 100_000}, r"parts must be in \[1, 99,999\], got 100,000"),
        ({"shard_bytes": 0}, "shard_bytes must be at least 1, got 0"),
    ],
)
def test_a_sharding_that_contradicts_itself_is_wrong_use(options, message):
    with pytest.raises(UsageError, match=message):
        Sharding(**options)


def test_layers_are_whole_files_unless_a_limit_is_given():
    assert Sharding(by="layer").most_bytes is None
    assert Sharding(by="layer", shard_bytes=7).most_bytes == 7
    assert Sharding().most_bytes == Sharding(by="stage", parts=2).most_bytes == 5 * 10**9
