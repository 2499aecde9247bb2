"""The same weights stored otherwise: to the bit where nothing is rounded, and as far off as reported where it is."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.files import file_digests
from modeling_axk1.weights import execute
from modeling_axk1.weights.convert import Conversion, convert, plan_convert
from modeling_axk1.weights.encodings import encoding_of
from modeling_axk1.weights.errorsum import ErrorSum
from modeling_axk1.weights.names import expected_tensors
from modeling_axk1.weights.order import Sharding
from modeling_axk1.weights.reshard import reshard
from modeling_axk1.weights.verify import verify
from modeling_axk1.weights.write import RawTensor, write_checkpoint
from tests.conftest import tiny_config
from tests.goldens import assert_golden
from tests.weights.checkpoints import (
    QUANTISABLE,
    TINY,
    bf16,
    edit_json,
    random_tensors,
    read_all,
    tiny_configs,
    write_model,
    write_tiny,
)

BIAS = "model.layers.1.mlp.gate.e_score_correction_bias"
ENCODINGS = ("fp8", "int8", "int4")


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """Every tensor of plain floats, in float64."""
    found = {}
    for name, (dtype, shape, data) in read_all(folder).items():
        kinds = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}
        found[name] = torch.frombuffer(bytearray(data), dtype=kinds[dtype]).view(shape).double().numpy()
    return found


def write_values(folder: Path, changes: dict[str, RawTensor], config: dict = TINY) -> Path:
    write_model(folder, config)
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    write_checkpoint(random_tensors(config) | changes, folder, 2000)
    return folder


# Layouts


@settings(max_examples=10, deadline=None)
@given(tiny_configs(), st.sampled_from([("fused", "per-expert"), ("per-expert", "fused")]))
def test_one_layout_and_back_is_the_identity_to_the_byte(config, layouts):
    there, back = layouts
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "source", config, there)
        reshard(folder / "source", folder / "start", Sharding("layer"))
        done = convert(folder / "start", folder / "other", Conversion(layout=back))
        assert done.errors == {}
        assert verify(folder / "other").problems == []
        kinds = {name: (shape, data) for name, (_, shape, data) in read_all(folder / "other").items()}
        assert {name: shape for name, (shape, _) in kinds.items()} == {
            name: spec.shape for name, spec in expected_tensors(config, back).items()
        }
        convert(folder / "other", folder / "back", Conversion(layout=there), Sharding("layer"))
        start = {**file_digests(folder / "start"), "config.json": None}
        assert {**file_digests(folder / "back"), "config.json": None} == start
        assert config_of(folder / "back") == config


def test_an_experts_matrices_are_its_rows_of_the_fused_tensors(tmp_path):
    convert(write_model(tmp_path / "source", TINY), tmp_path / "out", Conversion(layout="per-expert"))
    fused, single = arrays(tmp_path / "source"), arrays(tmp_path / "out")
    for expert in range(4):
        experts = "model.layers.2.mlp.experts"
        gate_up = fused[f"{experts}.gate_up_proj"][expert]
        np.testing.assert_array_equal(single[f"{experts}.{expert}.gate_proj.weight"], gate_up[:4])
        np.testing.assert_array_equal(single[f"{experts}.{expert}.up_proj.weight"], gate_up[4:])
        np.testing.assert_array_equal(
            single[f"{experts}.{expert}.down_proj.weight"], fused[f"{experts}.down_proj"][expert]
        )


@pytest.mark.parametrize("conversion", [Conversion(layout="per-expert"), Conversion(weights="fp32"), Conversion()])
@pytest.mark.parametrize("shard_bytes", [1000, 10**6])
def test_in_small_pieces_and_other_shards_the_bytes_are_the_same(tmp_path, monkeypatch, conversion, shard_bytes):
    source = write_model(tmp_path / "source", TINY)
    convert(source, tmp_path / "whole", conversion)
    convert(source, tmp_path / "one", conversion, Sharding(shard_bytes=shard_bytes))
    monkeypatch.setattr(execute, "_LARGEST_CHUNK", 200)
    convert(source, tmp_path / "pieces", conversion, Sharding(shard_bytes=shard_bytes))
    assert file_digests(tmp_path / "pieces") == file_digests(tmp_path / "one")
    assert read_all(tmp_path / "pieces") == read_all(tmp_path / "whole")


@pytest.mark.parametrize("layout", ["fused", "per-expert"])
def test_every_layout_loads_with_the_same_logits(tmp_path, layout):
    torch.manual_seed(0)
    model = AXK1ForCausalLM(tiny_config(initializer_range=0.2, use_router_bias=True)).eval()
    model.save_pretrained(tmp_path / "source")
    for model_type in ("axk1", "AXK1"):
        convert(tmp_path / "source", tmp_path / model_type, Conversion(layout=layout, model_type=model_type))
        loaded = AXK1ForCausalLM.from_pretrained(tmp_path / model_type)
        input_ids = torch.arange(24).view(2, 12)
        assert torch.equal(loaded(input_ids).logits, model(input_ids).logits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.layers.1.mlp.experts.9.up_proj.weight": bf16((4, 8))}, "numbered from 0 without gaps"),
        ({"model.layers.1.mlp.experts.01.up_proj.weight": bf16((4, 8))}, None),  # no expert's name
        ({"model.layers.1.mlp.experts.0.up_proj.weight": bf16((4, 7))}, "of one shape to be fused"),
        ({"model.layers.1.mlp.experts.0.up_proj.weight": bf16((4,))}, "of one shape to be fused"),
        ({"model.layers.1.mlp.experts.0.up_proj.weight": RawTensor("F32", (4, 8), bytes(128))}, "must be of one dtype"),
        ({"model.layers.1.mlp.experts.down_proj": bf16((4, 8, 4))}, "is stored fused and also one by one"),
    ],
)
def test_experts_that_are_not_alike_are_not_fused(tmp_path, change, message):
    tensors = random_tensors(TINY, "per-expert") | change
    source = write_tiny(tmp_path / "source", tensors)
    if message is None:
        plan, _ = plan_convert(source, Conversion(layout="fused"))
        assert any(name in shard.starts for shard in plan.shards for name in change)
        return
    with pytest.raises(WeightsError, match=message):
        plan_convert(source, Conversion(layout="fused"))


def test_a_shape_cannot_ask_for_more_experts_than_any_model_has(tmp_path):
    empty = RawTensor("BF16", (2**40, 2, 0), b"")
    source = write_tiny(tmp_path / "source", random_tensors(TINY) | {"model.layers.1.mlp.experts.gate_up_proj": empty})
    with pytest.raises(WeightsError, match=r"at most 1,024 experts, got 1,099,511,627,776"):
        plan_convert(source, Conversion())


# Dtypes


def test_float32_and_back_is_the_identity_to_the_byte(tmp_path):
    config = TINY | {"use_router_bias": True, "num_nextn_predict_layers": 1}
    source = write_model(tmp_path / "source", config)
    wider = convert(source, tmp_path / "wider", Conversion(weights="fp32"))
    assert {dtype for dtype, _, _ in read_all(tmp_path / "wider").values()} == {"F32"}
    assert config_of(tmp_path / "wider") == config | {"dtype": "float32"}
    assert verify(tmp_path / "wider").problems == []
    back = convert(tmp_path / "wider", tmp_path / "back", Conversion(weights="bf16"))
    assert read_all(tmp_path / "back") == read_all(source)
    assert config_of(tmp_path / "back") == config
    for done in (wider, back):
        assert all(error.max_abs == 0 for error in done.errors.values())
        assert not any(name.endswith("e_score_correction_bias") for name in done.errors)


@pytest.mark.parametrize(("weights", "kind"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_the_error_of_each_weight_is_what_rounding_did_to_it(tmp_path, weights, kind):
    write_model(tmp_path / "source", TINY)
    convert(tmp_path / "source", tmp_path / "wide", Conversion(weights="fp32", layout="per-expert"))
    rng = np.random.default_rng(0)
    spread = {
        name: RawTensor("F32", shape, rng.standard_normal(shape, np.float32))
        for name, (_, shape, _) in read_all(tmp_path / "wide").items()
    }
    (tmp_path / "wide" / "model.safetensors").unlink()
    write_checkpoint(spread, tmp_path / "wide")
    done = convert(tmp_path / "wide", tmp_path / "out", Conversion(weights=weights))
    rounded, original = arrays(tmp_path / "out"), arrays(tmp_path / "wide")
    assert done.errors.keys() == original.keys()
    for name, error in done.errors.items():
        assert torch.equal(torch.tensor(original[name]).to(kind).double(), torch.tensor(rounded[name]))
        assert_error(error, original[name], rounded[name])


def assert_error(error: ErrorSum, original: np.ndarray, rounded: np.ndarray) -> None:
    off = original - rounded
    np.testing.assert_allclose(
        (error.squared_error, error.squared_weights, error.max_abs),
        (np.square(off).sum(), np.square(original).sum(), np.abs(off).max()),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("kind", "value", "weights", "message"),
    [
        ("<u2", 0x4780, "fp16", r"lm_head\.weight has weights up to 65536, too large for F16"),
        ("<f4", 3.4e38, "bf16", r"lm_head\.weight has weights up to 3\.4e\+38, too large for BF16"),
        ("<f8", 1e300, "fp32", r"lm_head\.weight has weights up to 1e\+300, too large for F32"),
        ("<f8", -1e300, "bf16", r"lm_head\.weight has weights up to 1e\+300, too large for BF16"),
    ],
)
def test_a_weight_that_would_become_infinite_is_refused_by_name(tmp_path, kind, value, weights, message):
    values = np.zeros((32, 8), kind)
    values[3, 4] = value
    dtype = {"<u2": "BF16", "<f4": "F32", "<f8": "F64"}[kind]
    source = write_values(tmp_path / "source", {"lm_head.weight": RawTensor(dtype, (32, 8), values)})
    with pytest.raises(WeightsError, match=message):
        convert(source, tmp_path / "out", Conversion(weights=weights))
    assert not (tmp_path / "out").exists()


def test_what_float64_loses_is_an_error_too(tmp_path):
    values = 1 + np.arange(256).reshape(32, 8) * 1e-12
    source = write_values(tmp_path / "source", {"lm_head.weight": RawTensor("F64", (32, 8), values)})
    error = convert(source, tmp_path / "out", Conversion(weights="fp32")).errors["lm_head.weight"]
    assert_error(error, values, values.astype(np.float32))
    assert error.max_abs > 0


def test_infinity_that_was_there_stays_and_integers_are_no_floats(tmp_path):
    changes = {
        "lm_head.weight": RawTensor("BF16", (32, 8), np.full((32, 8), 0xFF80, "<u2")),
        "counts": RawTensor("I64", (3,), np.arange(3)),
    }
    convert(write_values(tmp_path / "source", changes), tmp_path / "out", Conversion(weights="fp32"))
    found = read_all(tmp_path / "out")
    assert np.isneginf(np.frombuffer(found["lm_head.weight"][2], "<f4")).all()
    assert found["counts"] == read_all(tmp_path / "source")["counts"]


# Quantisation


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    config = QUANTISABLE | {"num_nextn_predict_layers": 1, "use_router_bias": True}
    return write_model(tmp_path_factory.mktemp("plain") / "plain", config, shard_bytes=200_000)


@pytest.fixture(scope="module", params=[("fp8", None), ("int8", None), ("int4", None), ("int8", 64), ("int4", 32)])
def quantised(request, plain, tmp_path_factory):
    """(conversion, folder, what was done)."""
    conversion = Conversion(weights=request.param[0], group_size=request.param[1])
    folder = tmp_path_factory.mktemp("quantised") / "out"
    return conversion, folder, convert(plain, folder, conversion, Sharding("layer"))


def decoded(folder: Path) -> dict[str, np.ndarray]:
    """Every weight of a quantised checkpoint, by formulas that share no code with ours."""
    encoding = encoding_of(config_of(folder))
    tensors = {name: t for path in sorted(folder.glob("*.safetensors")) for name, t in load_file(path).items()}
    found = {}
    for name, tensor in tensors.items():
        if f"{name}_scale_inv" in tensors:
            scale = tensors[f"{name}_scale_inv"].double().repeat_interleave(128, 0).repeat_interleave(128, 1)
            found[name] = (tensor.double() * scale).numpy()
        elif name.endswith("_packed"):
            words = tensor.numpy().view(np.uint32)
            per_word = 32 // encoding.bits
            numbers = (words[..., None] >> (np.arange(per_word, dtype=np.uint32) * encoding.bits)) % 2**encoding.bits
            numbers = numbers.reshape(len(words), -1).astype(float) - 2 ** (encoding.bits - 1)
            base = name.removesuffix("_packed")
            assert tensors[f"{base}_shape"].tolist() == list(numbers.shape)
            found[base] = numbers * tensors[f"{base}_scale"].double().numpy().repeat(encoding.group_size, 1)
        elif not name.endswith(("_scale", "_scale_inv", "_shape")):
            found[name] = tensor.double().numpy()
    return found


def singled(folder: Path) -> dict[str, np.ndarray]:
    with TemporaryDirectory() as name:
        convert(folder, Path(name) / "out", Conversion(layout="per-expert"))
        return arrays(Path(name) / "out")


def test_each_weights_error_is_the_one_reported(plain, quantised):
    _, folder, done = quantised
    original, found = singled(plain), decoded(folder)
    assert found.keys() == original.keys()
    rounded = {name for name in found if not np.array_equal(found[name], original[name])}
    assert rounded == done.errors.keys()
    for name, error in done.errors.items():
        assert_error(error, original[name], found[name])


def test_a_quantised_checkpoint_is_sound_and_says_how_it_is_stored(quantised):
    conversion, folder, _ = quantised
    assert verify(folder).problems == []
    assert encoding_of(config_of(folder)) == conversion.encoding


def test_dequantised_is_what_was_stored_and_the_release_s_layout_again(tmp_path, plain, quantised):
    conversion, folder, _ = quantised
    done = convert(folder, tmp_path / "out", Conversion(weights="fp32", layout="fused"))
    assert read_all(tmp_path / "out").keys() == read_all(plain).keys()
    assert verify(tmp_path / "out").problems == []
    stored, back = decoded(folder), singled(tmp_path / "out")
    for name, values in stored.items():
        np.testing.assert_array_equal(back[name], values.astype(np.float32))
    assert config_of(tmp_path / "out") == config_of(plain) | {"dtype": "float32"}
    assert all(error.relative_rms == 0 for error in done.errors.values())
    if conversion.weights == "fp8":  # whose scales are powers of two: exact in bfloat16, and chosen again
        convert(folder, tmp_path / "half", Conversion(weights="bf16"))
        convert(tmp_path / "half", tmp_path / "again", conversion, Sharding("layer"))
        assert file_digests(tmp_path / "again") == file_digests(folder)


def test_the_errors_are_as_small_as_the_format_allows(quantised):
    """Gaussian weights: what 8 and 4 bits can do, in decibel."""
    conversion, _, done = quantised
    total = sum(done.errors.values(), ErrorSum())
    least = {"fp8": 31, "int8": 41, "int4": 18}[conversion.weights]
    assert total.signal_to_noise_db > least


def test_quantised_in_small_pieces_the_bytes_are_the_same(tmp_path, monkeypatch, plain, quantised):
    conversion, folder, done = quantised
    monkeypatch.setattr(execute, "_LARGEST_CHUNK", 20_000)
    pieces = convert(plain, tmp_path / "out", conversion, Sharding("layer"))
    assert file_digests(tmp_path / "out") == file_digests(folder)
    assert pieces.errors.keys() == done.errors.keys()
    for name, error in pieces.errors.items():
        assert error.max_abs == done.errors[name].max_abs
        assert error.squared_error == pytest.approx(done.errors[name].squared_error)


def test_the_same_from_either_layout_and_kept_where_it_is_that_already(tmp_path, plain, quantised):
    conversion, folder, _ = quantised
    convert(plain, tmp_path / "single", Conversion(layout="per-expert"))
    convert(tmp_path / "single", tmp_path / "out", conversion, Sharding("layer"))
    assert file_digests(tmp_path / "out") == file_digests(folder)
    again = convert(folder, tmp_path / "again", conversion, Sharding("layer"))
    assert again.errors == {}
    assert file_digests(tmp_path / "again") == file_digests(folder)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("lm_head.weight", bf16((32, 128)), None),
        ("model.layers.0.mlp.up_proj.weight", bf16((200, 128)), "up_proj.weight has shape"),
        ("model.layers.0.mlp.up_proj.weight", bf16((256,)), "up_proj.weight has shape"),
        ("model.layers.0.mlp.up_proj.weight", bf16((256, 0)), "up_proj.weight has shape"),
        ("model.layers.0.mlp.up_proj.weight", RawTensor("I8", (256, 128), bytes(256 * 128)), "must be one of BF16"),
    ],
)
def test_what_cannot_be_quantised_is_refused_by_name(tmp_path, name, tensor, message):
    source = write_values(tmp_path / "source", {name: tensor}, QUANTISABLE)
    if message is None:
        plan_convert(source, Conversion(weights="fp8"))
        return
    with pytest.raises(WeightsError, match=message):
        plan_convert(source, Conversion(weights="fp8"))


def test_a_weight_that_is_not_finite_is_refused_by_name(tmp_path):
    name = "model.layers.0.mlp.up_proj.weight"
    values = np.full((256, 128), 0x7FC0, "<u2")
    source = write_values(tmp_path / "source", {name: RawTensor("BF16", (256, 128), values)}, QUANTISABLE)
    for weights in ENCODINGS:
        with pytest.raises(WeightsError, match=f"{name}: weights must be finite"):
            convert(source, tmp_path / weights, Conversion(weights=weights))


@pytest.mark.parametrize("part", ["weight_packed", "weight_scale", "weight_shape"])
def test_a_quantised_weight_that_lacks_a_part_is_refused_by_name(tmp_path, plain, part):
    convert(plain, tmp_path / "int4", Conversion(weights="int4"))
    name = f"model.layers.0.mlp.up_proj.{part}"
    tensors = load_file(tmp_path / "int4" / "model.safetensors")
    kinds = {torch.bfloat16: "BF16", torch.int32: "I32", torch.int64: "I64", torch.float32: "F32"}
    raw = {
        key: RawTensor(kinds[t.dtype], tuple(t.shape), t.view(torch.uint8).numpy())
        for key, t in tensors.items()
        if key != name
    }
    (tmp_path / "int4" / "model.safetensors").unlink()
    write_checkpoint(raw, tmp_path / "int4")
    with pytest.raises(WeightsError, match=name):
        plan_convert(tmp_path / "int4", Conversion(weights="bf16"))


def test_blocks_cut_short_as_in_deepseeks_releases_are_decoded(tmp_path, monkeypatch):
    """Block FP8 of 576 rows: the last blocks have 64; read in pieces of one block row."""
    monkeypatch.setattr(execute, "_LARGEST_CHUNK", 1000)
    torch.manual_seed(0)
    weight = torch.randn(320, 192).to(torch.float8_e4m3fn)
    scale = torch.rand(3, 2)
    tensors = {
        "model.layers.0.w.weight": RawTensor("F8_E4M3", (320, 192), weight.view(torch.uint8).numpy()),
        "model.layers.0.w.weight_scale_inv": RawTensor("F32", (3, 2), scale.numpy()),
    }
    source = write_tiny(tmp_path / "source", tensors)
    config = {"model_type": "deepseek_v3", "quantization_config": DEEPSEEK}
    (source / "config.json").write_text(json.dumps(config))
    convert(source, tmp_path / "out", Conversion(weights="fp32"))
    full = scale.repeat_interleave(128, 0)[:320].repeat_interleave(128, 1)[:, :192]
    found = arrays(tmp_path / "out")["model.layers.0.w.weight"]
    np.testing.assert_array_equal(found, (weight.float() * full).double().numpy())
    assert config_of(tmp_path / "out") == {"model_type": "deepseek_v3", "dtype": "float32"}


DEEPSEEK = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [128, 128]}


# Router bias and multi-token prediction


def test_zeros_for_the_router_s_bias_and_without_it_again(tmp_path):
    source = write_model(tmp_path / "source", TINY)
    convert(source, tmp_path / "zeros", Conversion(router_bias="zeros"))
    found = read_all(tmp_path / "zeros")
    assert found[BIAS] == ("F32", (4,), bytes(16))
    assert found.keys() == expected_tensors(TINY | {"use_router_bias": True}).keys()
    assert config_of(tmp_path / "zeros") == TINY | {"use_router_bias": True}
    assert verify(tmp_path / "zeros").problems == []
    convert(tmp_path / "zeros", tmp_path / "back", Conversion(router_bias="drop"))
    assert read_all(tmp_path / "back") == read_all(source)
    assert config_of(tmp_path / "back") == TINY | {"use_router_bias": False}


def test_a_bias_that_is_there_is_kept_and_not_dropped_when_it_says_something(tmp_path):
    config = TINY | {"use_router_bias": True}
    source = write_model(tmp_path / "source", config)
    convert(source, tmp_path / "zeros", Conversion(router_bias="zeros"))
    assert read_all(tmp_path / "zeros") == read_all(source)
    with pytest.raises(WeightsError, match=f"{BIAS} is not zero: without it other experts would be chosen"):
        plan_convert(source, Conversion(router_bias="drop"))


@pytest.mark.parametrize("layout", ["fused", "per-expert"])
def test_dropping_the_layer_for_multi_token_prediction_and_taking_it_back_are_inverses(tmp_path, layout):
    config = TINY | {"num_nextn_predict_layers": 1, "use_router_bias": True}
    source = write_model(tmp_path / "source", config, layout)
    convert(source, tmp_path / "start", Conversion(), Sharding("layer"))
    convert(source, tmp_path / "without", Conversion(drop_mtp=True))
    assert config_of(tmp_path / "without") == config | {"num_nextn_predict_layers": 0}
    assert verify(tmp_path / "without").problems == []
    other = "fused" if layout == "per-expert" else "per-expert"
    convert(source, tmp_path / "other", Conversion(layout=other))
    for donor in (source, tmp_path / "other"):
        out = tmp_path / f"back-from-{donor.name}"
        convert(tmp_path / "without", out, Conversion(mtp_from=donor), Sharding("layer"))
        assert file_digests(out) == file_digests(tmp_path / "start")


def test_a_layer_that_is_not_there_or_does_not_fit_is_refused(tmp_path):
    config = TINY | {"num_nextn_predict_layers": 1}
    plain = write_model(tmp_path / "plain", TINY)
    with pytest.raises(WeightsError, match="plain has no layer for multi-token prediction"):
        plan_convert(plain, Conversion(mtp_from=plain))
    narrow = write_model(tmp_path / "narrow", config | {"intermediate_size": 10, "moe_intermediate_size": 3})
    with pytest.raises(
        WeightsError, match=r"experts\.0\.gate_proj\.weight in .*narrow must have shape \[4, 8\], got \[3, 8\]"
    ):
        plan_convert(plain, Conversion(mtp_from=narrow))
    shorter = write_model(tmp_path / "shorter", config | {"num_hidden_layers": 2})
    with pytest.raises(WeightsError, match="shorter has no layer for multi-token prediction"):
        plan_convert(plain, Conversion(mtp_from=shorter))


def test_what_another_model_brings_twice_with_that_layer_is_the_model_s_own(tmp_path):
    """DeepSeek-V3 stores embedding and output head in it once more."""
    config = TINY | {"num_nextn_predict_layers": 1}
    twice = {f"model.layers.3.{name}.weight": bf16((32, 8)) for name in ("embed_tokens", "shared_head.head")}
    donor = write_values(tmp_path / "donor", twice, config)
    convert(write_model(tmp_path / "plain", TINY), tmp_path / "out", Conversion(mtp_from=donor))
    names = read_all(tmp_path / "out").keys()
    assert "model.layers.3.eh_proj.weight" in names
    assert names.isdisjoint(twice)
    assert verify(tmp_path / "out").ok


def test_a_layer_stored_otherwise_is_cast_or_quantised_with_the_rest(tmp_path):
    config = QUANTISABLE | {"num_nextn_predict_layers": 1}
    rest = {"bf16": write_model(tmp_path / "rest", QUANTISABLE)}
    donors = {"bf16": write_model(tmp_path / "donor", config)}
    for form in ("fp32", "fp8"):
        rest[form], donors[form] = tmp_path / f"rest-{form}", tmp_path / f"donor-{form}"
        convert(rest["bf16"], rest[form], Conversion(weights=form))
        convert(donors["bf16"], donors[form], Conversion(weights=form))
    sound = set()
    for ours in rest:
        for theirs in donors:
            for weights in (None, "bf16", "fp8"):
                conversion, out = Conversion(mtp_from=donors[theirs], weights=weights), f"{ours}-{theirs}-{weights}"
                try:
                    convert(rest[ours], tmp_path / out, conversion)
                except UsageError as error:
                    assert "stored otherwise: cast all" in str(error)  # noqa: PT017 (which are refused is said below)
                    continue
                assert verify(tmp_path / out).problems == []
                sound.add((ours, theirs, weights))
    assert sound == {
        ("bf16", "bf16", None),
        ("fp32", "fp32", None),
        *((ours, theirs, "bf16") for ours in rest for theirs in donors),
        ("fp32", "fp32", "fp8"),
        *((ours, theirs, "fp8") for ours in ("bf16", "fp8") for theirs in ("bf16", "fp8")),
    }


# config.json, and wrong use


CONVERSIONS = {
    "layout": Conversion(layout="per-expert", model_type="AXK1"),
    "fp16": Conversion(weights="fp16"),
    "fp8": Conversion(weights="fp8"),
    "int8": Conversion(weights="int8"),
    "int4": Conversion(weights="int4", group_size=32),
    "router_bias": Conversion(router_bias="zeros"),
    "drop_mtp": Conversion(drop_mtp=True),
}


def test_golden_configs(tmp_path):
    """What each conversion changes in config.json, and nothing else."""
    config = QUANTISABLE | {"num_nextn_predict_layers": 1, "name": "에이닷"}
    source = write_model(tmp_path / "source", config)
    changed = {}
    for name, conversion in CONVERSIONS.items():
        files = plan_convert(source, conversion)[0].files
        found = json.loads(files["config.json"])
        assert config.keys() <= found.keys()
        changed[name] = {key: value for key, value in found.items() if config.get(key) != value}
    assert_golden("weights/plans/configs.json", json.dumps(changed, indent=1, ensure_ascii=False) + "\n")


def test_dequantised_from_torch_dtype_to_dtype(tmp_path):
    source = write_model(tmp_path / "source", TINY)
    edit_json(source / "config.json", lambda config: (config.pop("dtype"), config.update(torch_dtype="bfloat16")))
    convert(source, tmp_path / "out", Conversion(weights="fp16"))
    assert config_of(tmp_path / "out") == TINY | {"dtype": "float16"}


def test_a_quantised_source_in_other_shards_keeps_its_config(tmp_path, quantised):
    _, folder, _ = quantised
    reshard(folder, tmp_path / "out", Sharding(shard_bytes=50_000))
    assert read_all(tmp_path / "out") == read_all(folder)
    assert config_of(tmp_path / "out") == config_of(folder)
    convert(folder, tmp_path / "same", Conversion(), Sharding("layer"))
    assert file_digests(tmp_path / "same") == file_digests(folder)


def test_what_goes_along(tmp_path):
    source = write_model(tmp_path / "source", TINY)
    (source / "tokenizer.json").write_text("{}")
    (source / "SHA256SUMS").write_text("old")
    convert(source, tmp_path / "out", Conversion(layout="per-expert"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "flat"}, "layout must be one of fused, per-expert, got 'flat'"),
        ({"weights": "int3"}, "weights must be one of fp8, int8, int4, bf16, fp16, fp32, got 'int3'"),
        ({"model_type": "llama"}, "model_type must be one of axk1, AXK1, got 'llama'"),
        ({"router_bias": "ones"}, "router_bias must be one of keep, zeros, drop, got 'ones'"),
        ({"group_size": 32}, "a group size goes with int8 and int4 only"),
        ({"group_size": 128, "weights": "fp8"}, "a group size goes with int8 and int4 only"),
        ({"group_size": 0, "weights": "int4"}, "group_size must be a positive multiple of 32, got 0"),
        ({"group_size": 33, "weights": "int8"}, "group_size must be a positive multiple of 32, got 33"),
        ({"weights": "fp8", "layout": "fused"}, "layout must be per-expert"),
        ({"drop_mtp": True, "mtp_from": Path("x")}, "either dropped or taken from elsewhere"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_use(options, message):
    with pytest.raises(UsageError, match=message):
        Conversion(**options)


@pytest.mark.parametrize("by", ["expert-rank", "tensor-rank"])
def test_ranks_are_made_by_reshard_and_a_part_is_not_converted(tmp_path, by):
    source = write_model(tmp_path / "source", TINY)
    with pytest.raises(UsageError, match="reshard its result by rank"):
        plan_convert(source, Conversion(), Sharding(by, 2))
    reshard(source, tmp_path / "ranks", Sharding(by, 2))
    with pytest.raises(UsageError, match=r"convert takes a whole model, and .* is a part of one: join it first"):
        plan_convert(tmp_path / "ranks" / "rank-00000-of-00002", Conversion(weights="fp32"))


@pytest.mark.parametrize(
    "conversion",
    [
        Conversion(layout="per-expert"),
        Conversion(weights="fp8"),
        Conversion(model_type="AXK1"),
        Conversion(router_bias="zeros"),
        Conversion(router_bias="drop"),
        Conversion(drop_mtp=True),
        Conversion(mtp_from=Path("x")),
    ],
)
def test_what_is_known_of_this_model_only_is_refused_for_others(tmp_path, conversion):
    source = write_tiny(tmp_path / "source")
    edit_json(source / "config.json", lambda config: config.update(model_type="llama4"))
    with pytest.raises(UsageError, match=r"is known for A\.X K1 only, and config\.json is not of A\.X K1"):
        plan_convert(source, conversion)


def test_another_model_s_fused_experts_are_cast_where_they_lie(tmp_path):
    source = write_tiny(tmp_path / "source")
    edit_json(source / "config.json", lambda config: config.update(model_type="llama4"))
    convert(source, tmp_path / "out", Conversion(weights="fp32"))
    assert {name: shape for name, (_, shape, _) in read_all(tmp_path / "out").items()} == {
        name: shape for name, (_, shape, _) in read_all(source).items()
    }
    for name, values in arrays(tmp_path / "out").items():
        np.testing.assert_array_equal(values, arrays(source)[name])


def test_without_a_config_layout_and_dtype_are_told_by_the_names(tmp_path):
    source = write_tiny(tmp_path / "source")
    (source / "config.json").unlink()
    convert(source, tmp_path / "out", Conversion(layout="per-expert", weights="fp32"))
    assert read_all(tmp_path / "out").keys() == expected_tensors(TINY, "per-expert").keys()
    assert not (tmp_path / "out" / "config.json").exists()
