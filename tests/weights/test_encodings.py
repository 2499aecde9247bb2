"""What a quantised checkpoint is made of, told from its config; and what the libraries that load it say of that."""

import json
from math import prod

import pytest
from compressed_tensors.quantization import QuantizationConfig

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.encodings import (
    encoding_named,
    encoding_of,
    ignored_modules,
    is_quantised_weight,
    quantised_config,
    stored_bytes,
    stored_tensors,
)
from modeling_axk1.weights.names import expected_tensors, parameters
from tests.goldens import assert_golden
from tests.weights.checkpoints import RELEASE, TINY

ENCODINGS = ("fp8", "int8", "int4")
EVERYTHING = RELEASE | {"num_nextn_predict_layers": 1, "use_router_bias": True, "attention_bias": True}


def replaced(config: dict, **changes: object) -> dict:
    return {**config, "quantization_config": {**config["quantization_config"], **changes}}


def with_weights(config: dict, **changes: object) -> dict:
    group = config["quantization_config"]["config_groups"]["group_0"]
    return replaced(config, config_groups={"group_0": {**group, "weights": {**group["weights"], **changes}}})


# Bytes


@pytest.mark.parametrize(
    ("name", "nbytes"),
    [(None, 1_037_966_118_912), ("fp8", 522_465_242_112), ("int8", 529_487_547_008), ("int4", 271_212_432_000)],
)
def test_the_bytes_of_the_release_in_every_precision(name, nbytes):
    assert stored_bytes(RELEASE, name and encoding_named(name)) == nbytes


@pytest.mark.parametrize("name", ENCODINGS)
def test_all_but_half_a_percent_of_the_release_is_quantised(name):
    encoding = encoding_named(name)
    specs = stored_tensors(quantised_config(RELEASE, encoding)).values()
    quantised = sum(spec.parameters or 0 for spec in specs)
    assert quantised > 0.993 * parameters(RELEASE).total


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("config", [RELEASE, EVERYTHING])
def test_however_it_is_stored_it_is_as_many_parameters(name, config):
    specs = stored_tensors(quantised_config(config, encoding_named(name))).values()
    count = sum(prod(spec.shape) if spec.parameters is None else spec.parameters for spec in specs)
    assert count == parameters(config).total


# Names


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("fp8", {"a.weight": ("F8_E4M3", (256, 384)), "a.weight_scale_inv": ("F32", (2, 3))}),
        (
            "int8",
            {
                "a.weight_packed": ("I32", (256, 96)),
                "a.weight_scale": ("BF16", (256, 3)),
                "a.weight_shape": ("I64", (2,)),
            },
        ),
        (
            "int4",
            {
                "a.weight_packed": ("I32", (256, 48)),
                "a.weight_scale": ("BF16", (256, 3)),
                "a.weight_shape": ("I64", (2,)),
            },
        ),
    ],
)
def test_a_weight_and_its_parts(name, parts):
    encoding = encoding_named(name)
    assert encoding.parts("a.weight", (256, 384)) == parts
    constant = encoding.constant_parts("a.weight", (256, 384))
    assert all(len(raw) == nbytes_of(*parts[part]) for part, raw in constant.items())


def test_the_blocks_of_others_may_be_cut_short():
    assert encoding_named("fp8").parts("a.weight", (576, 7168))["a.weight_scale_inv"] == ("F32", (5, 56))


def test_projections_and_mlps_are_quantised_and_nothing_else():
    left = {
        name.removeprefix("model.layers.")
        for name, spec in expected_tensors(EVERYTHING, "per-expert").items()
        if len(spec.shape) == 2 and not is_quantised_weight(name)
    }
    gates = {f"{layer}.mlp.gate.weight" for layer in range(1, 62)}
    assert left == gates | {"model.embed_tokens.weight", "lm_head.weight", "61.eh_proj.weight"}
    assert not any(is_quantised_weight(name) for name in expected_tensors(EVERYTHING) if ".experts.gate_up" in name)


def test_what_blocks_do_not_tile_is_left_and_what_engines_join_to_it():
    """576 rows are four and a half blocks; vLLM joins kv_a_proj_with_mqa to q_a_proj."""
    unfit = [name for name in ignored_modules(RELEASE, encoding_named("fp8")) if "self_attn" in name]
    per_layer = ("q_a_proj", "kv_a_proj_with_mqa")
    assert unfit == [f"model.layers.{layer}.self_attn.{name}" for layer in range(61) for name in per_layer]


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_groups_of_inputs_fit_the_whole_release(name):
    gates = [f"model.layers.{layer}.mlp.gate" for layer in range(1, 61)]
    assert ignored_modules(RELEASE, encoding_named(name)) == [*gates, "lm_head"]


def test_an_expert_is_quantised_whole_or_not_at_all():
    config = RELEASE | {"moe_intermediate_size": 192, "num_hidden_layers": 2, "n_routed_experts": 2, "n_group": 1}
    ignored = ignored_modules(config, encoding_named("int4"))  # 192 outputs fit, 192 inputs do not
    assert [name for name in ignored if "experts.1" in name] == [
        f"model.layers.1.mlp.experts.1.{part}_proj" for part in ("gate", "up", "down")
    ]
    assert "model.layers.0.mlp.down_proj" not in ignored


def test_a_model_of_which_nothing_fits_is_refused():
    with pytest.raises(WeightsError, match=r"fp8 must fit a weight's rows \(128 at a time\).*fits none"):
        quantised_config(TINY, encoding_named("fp8"))


# config.json


@pytest.mark.parametrize(("name", "group_size"), [("fp8", None), ("int8", None), ("int4", None), ("int4", 64)])
def test_a_config_says_how_it_is_stored(name, group_size):
    encoding = encoding_named(name, group_size)
    assert encoding_of(json.loads(json.dumps(quantised_config(RELEASE, encoding)))) == encoding


def test_what_the_config_says_to_the_letter():
    layers = RELEASE | {"num_hidden_layers": 2, "num_nextn_predict_layers": 1, "n_routed_experts": 2}
    said = {name: quantised_config(layers, encoding_named(name))["quantization_config"] for name in ENCODINGS}
    assert_golden("weights/quantization_config.json", json.dumps(said, indent=2) + "\n")


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_compressed_tensors_reads_it_and_what_it_writes_is_read(name):
    config = quantised_config(RELEASE, encoding_named(name))
    theirs = QuantizationConfig.model_validate(config["quantization_config"])
    args = theirs.config_groups["group_0"].weights
    assert (args.num_bits, args.group_size, args.symmetric) == (int(name[3:]), 128, True)
    assert encoding_of({"quantization_config": json.loads(theirs.model_dump_json())}) == encoding_named(name)


def test_no_quantisation_is_none():
    assert encoding_of(RELEASE) is None
    with pytest.raises(WeightsError, match="must have a quantization_config"):
        stored_tensors(RELEASE)


FP8, INT4 = (quantised_config(RELEASE, encoding_named(name)) for name in ("fp8", "int4"))


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ({"quantization_config": "fp8"}, "quantization_config must be an object, got 'fp8'"),
        (replaced(FP8, quant_method="awq"), 'quant_method must be "fp8" or "compressed-tensors", got \'awq\''),
        (replaced(FP8, weight_block_size=None), r"weight_block_size .* must be \[128, 128\], got None"),
        (replaced(FP8, activation_scheme="static"), "activation_scheme .* must be 'dynamic', got 'static'"),
        (replaced(FP8, fmt="e5m2"), "fmt of an fp8 checkpoint must be 'e4m3', got 'e5m2'"),
        (replaced(INT4, format="marlin-24"), "format of an int4 checkpoint must be 'pack-quantized', got 'marlin-24'"),
        (replaced(INT4, config_groups={}), "config_groups must hold one group with its weights"),
        (replaced(INT4, config_groups={"group_0": None}), "config_groups must hold one group with its weights"),
        (with_weights(INT4, num_bits=3), "num_bits must be 4 or 8, got 3"),
        (with_weights(INT4, symmetric=False), "symmetric of an int4 checkpoint must be True, got False"),
        (with_weights(INT4, strategy="channel"), "strategy of an int4 checkpoint must be 'group', got 'channel'"),
        (with_weights(INT4, actorder="static"), "actorder of an int4 checkpoint must be None, got 'static'"),
        (with_weights(INT4, group_size=True), "group_size must be a positive multiple of 32, got True"),
    ],
)
def test_another_quantisation_is_named_with_its_rule(config, rule):
    with pytest.raises(WeightsError, match=rule):
        encoding_of(config)


def test_a_list_that_is_none_is_refused():
    with pytest.raises(WeightsError, match="must be a list of names, got 'lm_head'"):
        stored_tensors(replaced(FP8, modules_to_not_convert="lm_head"))


@pytest.mark.parametrize(
    ("name", "group_size", "rule"),
    [
        ("fp16", None, "must be one of fp8, int8, int4, got 'fp16'"),
        ("fp8", 64, "blocks of 128 x 128"),
        ("int4", 0, "positive multiple of 32, got 0"),
        ("int8", 48, "positive multiple of 32, got 48"),
    ],
)
def test_an_encoding_that_there_is_not(name, group_size, rule):
    with pytest.raises(WeightsError, match=rule):
        encoding_named(name, group_size)
