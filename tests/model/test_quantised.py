"""Checkpoints in 8 and 4 bits load into the ordinary model, with the weights that the reference decodes, to the bit."""

import json
import re
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, CompressedTensorsConfig, FineGrainedFP8Config
from transformers.models.axk1.modeling_axk1 import AXK1ForCausalLM as NativeAXK1ForCausalLM

from modeling_axk1 import AXK1Config, AXK1ForCausalLM
from modeling_axk1.model import checkpoint_axk1
from modeling_axk1.model.modeling_axk1 import AXK1ForSequenceClassification
from modeling_axk1.model.quantised_axk1 import Quantisation, take_over
from modeling_axk1.weights.encodings import encoding_named
from tests.model.test_loading import one_by_one
from tests.weights.quantised import decoded, wide_model, write_quantised

ENCODINGS = {"fp8": encoding_named("fp8"), "int8": encoding_named("int8"), "int4 by 32": encoding_named("int4", 32)}
INPUT_IDS = torch.arange(24).view(2, 12)
Q_B = "model.layers.1.self_attn.q_b_proj"
EXPERT = "model.layers.2.mlp.experts.3.up_proj"


@pytest.fixture(scope="module")
def model() -> AXK1ForCausalLM:
    return wide_model(use_router_bias=True, num_nextn_predict_layers=1)


def with_weights(model: AXK1ForCausalLM, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> AXK1ForCausalLM:
    """The same model with these weights, one tensor for each expert."""
    other, state = AXK1ForCausalLM(model.config).eval(), {}
    for parameter in other.parameters():  # buffers stay float32, as they do in loading
        parameter.data = parameter.data.to(dtype)
    for name, own in other.state_dict().items():
        experts, _, part = name.rpartition(".")
        each = [f"{experts}.{e}" for e in range(len(own))] if "experts." in name and own.ndim == 3 else []
        if part == "gate_up_proj" and each:
            halves = ([tensors[f"{expert}.{half}_proj.weight"] for half in ("gate", "up")] for expert in each)
            state[name] = torch.stack([torch.cat(pair) for pair in halves])
        else:
            state[name] = torch.stack([tensors[f"{e}.{part}.weight"] for e in each]) if each else tensors[name]
    other.load_state_dict(state)
    return other


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("loader", [AXK1ForCausalLM, AutoModelForCausalLM])
def test_weights_and_logits_are_the_references(model, tmp_path, loader, name, dtype):
    stored = write_quantised(tmp_path / "c", model, ENCODINGS[name])
    loaded, info = loader.from_pretrained(tmp_path / "c", dtype=dtype, output_loading_info=True)
    assert type(loaded) is AXK1ForCausalLM
    assert not any(info.values())
    reference = decoded(stored, ENCODINGS[name], dtype)
    for weight, tensor in one_by_one(loaded.state_dict()).items():
        assert torch.equal(tensor, reference[weight].to(tensor.dtype)), weight
    assert torch.equal(loaded(INPUT_IDS).logits, with_weights(model, reference, dtype)(INPUT_IDS).logits)


def test_the_dtype_is_the_configs_unless_another_is_asked_for(model, tmp_path):
    write_quantised(tmp_path / "c", model, ENCODINGS["fp8"])
    assert AXK1ForCausalLM.from_pretrained(tmp_path / "c").dtype == torch.bfloat16
    assert AXK1ForCausalLM.from_pretrained(tmp_path / "c", dtype="float16").dtype == torch.float16
    config = json.loads((tmp_path / "c" / "config.json").read_text())
    del config["dtype"]
    (tmp_path / "c" / "config.json").write_text(json.dumps(config))
    assert AXK1ForCausalLM.from_pretrained(tmp_path / "c", dtype="auto").dtype == torch.bfloat16


@pytest.mark.parametrize("name", ENCODINGS)
def test_piece_by_piece_it_is_the_same(model, tmp_path, monkeypatch, name):
    stored = write_quantised(tmp_path / "c", model, ENCODINGS[name])
    monkeypatch.setattr(checkpoint_axk1, "_PIECE_BYTES", 50_000)  # 97 rows of 256 in bfloat16: no whole block
    loaded = AXK1ForCausalLM.from_pretrained(tmp_path / "c")
    reference = decoded(stored, ENCODINGS[name], torch.bfloat16)
    for weight, tensor in one_by_one(loaded.state_dict()).items():
        assert torch.equal(tensor, reference[weight].to(tensor.dtype)), weight


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_share_is_the_share_of_the_whole(model, tmp_path, name):
    write_quantised(tmp_path / "c", model, ENCODINGS[name])
    asked = SimpleNamespace(
        sharded_metadata=None, weight_mapping=None, hf_quantizer=None, ignore_mismatched_sizes=False
    )
    files = [str(path) for path in (tmp_path / "c").glob("*.safetensors")]
    of = {"fp8": Quantisation(8, 128, 128), "int8": Quantisation(8, 1, 128), "int4 by 32": Quantisation(4, 1, 32)}
    found = checkpoint_axk1.match_checkpoint(model, files, asked, of[name])
    experts, output = found["model.layers.1.mlp.experts.gate_up_proj"], found["model.layers.1.self_attn.o_proj.weight"]
    assert torch.equal(experts[2:5, 100:200, 7:250], experts[...][2:5, 100:200, 7:250])
    assert torch.equal(output[130:200], output[...][130:200])
    assert torch.equal(output[:, 64:192], output[...][:, 64:192])


def test_afterwards_the_model_is_an_ordinary_one(model, tmp_path):
    write_quantised(tmp_path / "c", model, ENCODINGS["int8"])
    loaded = AXK1ForCausalLM.from_pretrained(tmp_path / "c")
    loaded.save_pretrained(tmp_path / "saved")
    assert "quantization_config" not in (tmp_path / "saved" / "config.json").read_text()
    again = AXK1ForCausalLM.from_pretrained(tmp_path / "saved")
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    one, other = (each.config.to_dict() | {"_name_or_path": ""} for each in (loaded, again))
    assert one == other


def test_other_heads_and_arguments_reach_their_place(model, tmp_path):
    write_quantised(tmp_path / "c", model, ENCODINGS["fp8"])
    classifier = AXK1ForSequenceClassification.from_pretrained(
        tmp_path / "c", num_labels=3, attn_implementation="eager", output_router_logits=True
    )
    assert classifier(INPUT_IDS).logits.shape == (2, 3)
    assert (classifier.config._attn_implementation, classifier.config.output_router_logits) == ("eager", True)
    config = AXK1Config.from_pretrained(tmp_path / "c", use_cache=False)
    assert not AXK1ForCausalLM.from_pretrained(tmp_path / "c", config=config).config.use_cache
    assert config.quantization_config["quant_method"] == "fp8"  # the caller's own is left as it was


# What does not fit

DAMAGES = {
    "a scale is missing": (
        "fp8",
        lambda tensors: tensors.pop(f"{EXPERT}.weight_scale_inv"),
        rf"{EXPERT}.weight_scale_inv is missing",
    ),
    "words are missing": (
        "int8",
        lambda tensors: tensors.pop(f"{EXPERT}.weight_packed"),
        rf"{EXPERT}.weight is missing",
    ),
    "a shape is missing": (
        "int8",
        lambda tensors: tensors.pop(f"{Q_B}.weight_shape"),
        rf"{Q_B}.weight_shape is missing",
    ),
    "too few scales": (
        "fp8",
        lambda tensors: tensors.update({f"{Q_B}.weight_scale_inv": torch.ones(2, 1)}),
        rf"{Q_B}.weight_scale_inv in model-0000.-of-00002.safetensors must have shape \[3, 1\], got \[2, 1\]",
    ),
    "words of another width, with their scales": (
        "int8",
        lambda tensors: tensors.update(
            {
                f"{EXPERT}.weight_packed": tensors[f"{EXPERT}.weight_packed"][:, :32],
                f"{EXPERT}.weight_scale": tensors[f"{EXPERT}.weight_scale"][:, :1],
            }
        ),
        rf"{EXPERT}.weight_packed in .* must have shape \[128, 256\], got \[128, 128\]",
    ),
    "scales that are no floats": (
        "int8",
        lambda tensors: tensors.update({f"{Q_B}.weight_scale": tensors[f"{Q_B}.weight_scale"].view(torch.int16)}),
        rf"{Q_B}.weight_scale in .* must be one of F32, BF16, F16, got I16",
    ),
    "words that are none": (
        "int8",
        lambda tensors: tensors.update({f"{Q_B}.weight_packed": tensors[f"{Q_B}.weight_packed"].float()}),
        rf"{Q_B}.weight_packed in .* must be I32, got F32",
    ),
    "a norm in eight bits": (
        "fp8",
        lambda tensors: tensors.update({"model.norm.weight": torch.ones(256).to(torch.float8_e4m3fn)}),
        r"model.norm.weight in .* must be one of F64, F32, F16, BF16, got F8_E4M3",
    ),
    "a scale too many": (
        "fp8",
        lambda tensors: tensors.update({"model.norm.weight_scale_inv": torch.ones(1, 1)}),
        r"model.norm.weight_scale_inv in .* is no tensor of this model",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_does_not_fit_is_named_before_a_tensor_is_read(model, tmp_path, damage):
    name, change, line = DAMAGES[damage]
    write_quantised(tmp_path / "c", model, ENCODINGS[name], change)
    with pytest.raises(ValueError, match="does not fit the model") as caught:
        AXK1ForCausalLM.from_pretrained(tmp_path / "c")
    problems = str(caught.value).split("\n  ")[1:]
    assert any(re.search(line, problem) for problem in problems), problems
    assert len(problems) <= 3  # without its words a weight's other parts are left over


# What others store


def test_blocks_cut_short_as_in_deepseeks_releases_are_read(model, tmp_path):
    """Its kv_a_proj_with_mqa has 576 rows and 5 rows of scales; here 160 and 2."""
    name = "model.layers.1.self_attn.kv_a_proj_with_mqa.weight"
    scale = torch.tensor([[0.25, 0.5], [3.0, 4.0]])

    def quantise(tensors):
        tensors[name] = tensors[name].to(torch.float8_e4m3fn)
        tensors[f"{name}_scale_inv"] = scale

    stored = write_quantised(tmp_path / "c", model, ENCODINGS["fp8"], quantise)
    loaded = AXK1ForCausalLM.from_pretrained(tmp_path / "c", dtype=torch.float32).state_dict()[name]
    spread = scale.repeat_interleave(128, 0)[:160].repeat_interleave(128, 1)
    assert torch.equal(loaded, stored[name].float() * spread)


def test_every_code_of_e4m3_is_read_as_torch_does(model, tmp_path):
    def count_up(tensors):
        codes = tensors[f"{Q_B}.weight"].view(torch.uint8)
        codes.copy_(torch.arange(codes.numel()).view(codes.shape) % 256)

    stored = write_quantised(tmp_path / "c", model, ENCODINGS["fp8"], count_up)
    loaded = AXK1ForCausalLM.from_pretrained(tmp_path / "c", dtype=torch.float32).state_dict()[f"{Q_B}.weight"]
    expected = decoded(stored, ENCODINGS["fp8"], torch.float32)[f"{Q_B}.weight"]
    assert expected.isnan().any()
    assert torch.equal(loaded.nan_to_num(1e9), expected.nan_to_num(1e9))


def test_a_quantizer_that_is_asked_for_is_transformers_affair(model, tmp_path):
    write_quantised(tmp_path / "c", model, ENCODINGS["fp8"])
    for said in ({"quantization_config": FineGrainedFP8Config(dequantize=True)}, {"gguf_file": "model.gguf"}):
        assert take_over(AXK1Config, tmp_path / "c", said) is said


@pytest.mark.parametrize(
    "said",
    [
        {"quant_method": "awq", "bits": 4},
        {"quant_method": "fp8", "weight_block_size": None},
        {"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {"group_0": {}}},
        "fp8",
    ],
)
def test_a_quantisation_that_is_not_known_is_transformers_affair(model, tmp_path, said):
    write_quantised(tmp_path / "c", model, ENCODINGS["fp8"])
    path = tmp_path / "c" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": said}))
    arguments = {"dtype": "auto"}
    assert take_over(AXK1Config, tmp_path / "c", arguments) is arguments


def test_a_folder_without_a_config_is_transformers_affair(tmp_path):
    arguments: dict = {}
    assert take_over(AXK1Config, tmp_path, arguments) is arguments


# transformers' native axk1 as the oracle


@pytest.mark.parametrize("name", ENCODINGS)
def test_transformers_native_reads_the_same_weights(tmp_path, name):
    """It dequantises fp8 by itself where there is no GPU, and integers by compressed-tensors when asked to."""
    model = wide_model(use_router_bias=True)
    write_quantised(tmp_path / "c", model, ENCODINGS[name])
    asked = {} if name == "fp8" else {"quantization_config": CompressedTensorsConfig(dequantize=True)}
    native, info = NativeAXK1ForCausalLM.from_pretrained(tmp_path / "c", output_loading_info=True, **asked)
    assert not any(info.values())
    ours = AXK1ForCausalLM.from_pretrained(tmp_path / "c")
    theirs = native.state_dict()
    for weight, tensor in ours.state_dict().items():
        native_name = weight.replace("post_mlp_layernorm", "mlp.post_mlp_layernorm")
        if native_name in theirs or weight in theirs:  # it has no unused norm in the dense layer
            assert torch.equal(theirs.get(native_name, theirs.get(weight)), tensor), weight
    torch.testing.assert_close(native.float()(INPUT_IDS).logits, ours.float()(INPUT_IDS).logits, rtol=0, atol=1e-4)


def test_transformers_cannot_dequantise_blocks_cut_short(tmp_path):
    """Why they are left as they are: 576 rows in 5 blocks would each have 115.2. When this fails, transformers can."""
    model, name = (
        wide_model(kv_lora_rank=512, qk_rope_head_dim=64),
        "model.layers.1.self_attn.kv_a_proj_with_mqa.weight",
    )

    def quantise(tensors):
        tensors[name] = tensors[name].to(torch.float8_e4m3fn)
        tensors[f"{name}_scale_inv"] = torch.ones(5, 2)

    write_quantised(tmp_path / "c", model, ENCODINGS["fp8"], quantise)
    path = tmp_path / "c" / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"]["modules_to_not_convert"].remove(name.removesuffix(".weight"))
    path.write_text(json.dumps(config))
    with pytest.raises(RuntimeError, match="conversion of the weights"):
        NativeAXK1ForCausalLM.from_pretrained(tmp_path / "c")
    assert AXK1ForCausalLM.from_pretrained(tmp_path / "c").dtype == torch.bfloat16
