"""The release's tensors, counted and named from its config alone."""

from math import prod

import pytest

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.names import expected_tensors, layer_kinds, parameters
from tests.weights.checkpoints import RELEASE, TINY


def without(config: dict, *keys: str) -> dict:
    return {key: value for key, value in config.items() if key not in keys}


def test_the_release_has_976_tensors_3_and_13_and_60_times_16():
    names = list(expected_tensors(RELEASE))
    per_layer = [sum(name.startswith(f"model.layers.{layer}.") for name in names) for layer in range(61)]
    assert len(names) == 976
    assert per_layer == [13] + [16] * 60


def test_the_release_has_as_many_parameters_and_bytes_as_published():
    total = sum(prod(spec.shape) for spec in expected_tensors(RELEASE).values())
    assert total == 518_983_059_456
    assert 2 * total == 1_037_966_118_912
    assert parameters(RELEASE) == (518_983_059_456, 32_779_339_776)


def test_fused_experts_have_no_weight_suffix_and_the_release_s_shapes():
    tensors = expected_tensors(RELEASE)
    assert tensors["model.layers.60.mlp.experts.gate_up_proj"].shape == (192, 4096, 7168)
    assert tensors["model.layers.60.mlp.experts.down_proj"].shape == (192, 7168, 2048)
    assert tensors["model.layers.1.self_attn.q_b_proj.weight"].shape == (64 * 192, 1536)
    assert tensors["model.layers.1.self_attn.kv_a_proj_with_mqa.weight"].shape == (512 + 64, 7168)
    assert tensors["model.layers.0.mlp.gate_proj.weight"].shape == (18432, 7168)


def test_only_the_unused_norm_of_dense_layers_is_optional():
    optional = [name for name, spec in expected_tensors(RELEASE).items() if spec.optional]
    assert optional == ["model.layers.0.post_mlp_layernorm.weight"]


def test_the_per_expert_layout_holds_the_same_parameters():
    tensors = expected_tensors(RELEASE, "per-expert")
    assert sum(prod(spec.shape) for spec in tensors.values()) == parameters(RELEASE).total
    assert tensors["model.layers.1.mlp.experts.191.down_proj.weight"].shape == (7168, 2048)


def test_every_meaning_is_said_in_words():
    assert all(len(spec.meaning) > 10 for spec in expected_tensors(RELEASE).values())


def test_options_add_and_remove_tensors():
    plain = expected_tensors(TINY).keys()
    assert plain - expected_tensors(TINY | {"tie_word_embeddings": True}).keys() == {"lm_head.weight"}
    assert expected_tensors(TINY | {"use_router_bias": True}).keys() - plain == {
        f"model.layers.{layer}.mlp.gate.e_score_correction_bias" for layer in (1, 2)
    }
    assert len(expected_tensors(TINY | {"attention_bias": True}).keys() - plain) == 3 * 3


def test_a_multi_token_prediction_module_is_one_more_layer_and_no_active_parameter():
    with_module = TINY | {"num_nextn_predict_layers": 1}
    added = expected_tensors(with_module).keys() - expected_tensors(TINY).keys()
    own = {"enorm.weight", "hnorm.weight", "eh_proj.weight", "shared_head.norm.weight"}
    layer = {name.split(".", 3)[3] for name in expected_tensors(TINY) if name.startswith("model.layers.2.")}
    assert added == {f"model.layers.3.{name}" for name in own | layer}
    assert expected_tensors(with_module)["model.layers.3.eh_proj.weight"].shape == (8, 16)
    assert parameters(with_module).active == parameters(TINY).active
    assert parameters(RELEASE | {"num_nextn_predict_layers": 1}).total == 518_983_059_456 + 8_705_060_864
    with pytest.raises(WeightsError, match=r"num_nextn_predict_layers must be an integer in \[0, 1\], got 2"):
        expected_tensors(TINY | {"num_nextn_predict_layers": 2})


def test_the_router_bias_may_be_absent_which_means_zero():
    optional = [name for name, spec in expected_tensors(TINY | {"use_router_bias": True}).items() if spec.optional]
    assert optional[1:] == [f"model.layers.{layer}.mlp.gate.e_score_correction_bias" for layer in (1, 2)]


def test_layer_kinds_come_from_either_form_of_the_config():
    assert layer_kinds(TINY) == ["dense", "sparse", "sparse"]
    assert layer_kinds(TINY | {"first_k_dense_replace": 0, "moe_layer_freq": 2}) == ["sparse", "dense", "sparse"]
    listed = without(TINY, "first_k_dense_replace", "moe_layer_freq")
    assert layer_kinds(listed | {"mlp_layer_types": ["sparse", "sparse", "dense"]}) == ["sparse", "sparse", "dense"]


def test_two_forms_that_disagree_are_refused():
    with pytest.raises(WeightsError, match="layer 1 is dense by the first and sparse by the others"):
        layer_kinds(TINY | {"mlp_layer_types": ["dense", "dense", "sparse"]})


@pytest.mark.parametrize("key", sorted(without(TINY, "model_type", "dtype", "tie_word_embeddings", "attention_bias")))
def test_a_missing_key_is_named(key):
    with pytest.raises(WeightsError, match=key):
        parameters(without(TINY, key))


@pytest.mark.parametrize("value", [0, -1, 2.5, "8", None, True, 10**30])
def test_a_value_out_of_range_is_named_with_its_rule(value):
    with pytest.raises(WeightsError, match="hidden_size must be an integer in"):
        expected_tensors(TINY | {"hidden_size": value})


@pytest.mark.parametrize("kinds", [["dense"], "dense", ["dense", "sparse", "moe"]])
def test_a_list_of_layers_that_does_not_fit_is_refused(kinds):
    with pytest.raises(WeightsError, match="for each of the 3 layers"):
        layer_kinds(TINY | {"mlp_layer_types": kinds})


def test_native_transformers_builds_the_same_tensors():
    """The independent oracle: transformers' own axk1 on the meta device, at full size."""
    import torch
    from transformers.models.axk1 import configuration_axk1, modeling_axk1  # transformers.AXK1... `axk1 serve` replaces

    with torch.device("meta"):
        native = modeling_axk1.AXK1ForCausalLM(configuration_axk1.AXK1Config()).state_dict()
    # It keeps an always-zero router bias, puts the norm inside the MLP, and has none in dense layers.
    shapes = {
        name.replace("mlp.post_mlp_layernorm", "post_mlp_layernorm"): tuple(tensor.shape)
        for name, tensor in native.items()
        if not name.endswith("e_score_correction_bias")
    }
    ours = {name: spec.shape for name, spec in expected_tensors(RELEASE).items() if not spec.optional}
    assert shapes == ours
