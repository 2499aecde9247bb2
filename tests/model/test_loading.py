"""From a checkpoint to the model: both layouts, both names, nothing missing or left over, no byte copied in vain."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.models.axk1.modeling_axk1 import AXK1ForCausalLM as NativeAXK1ForCausalLM

from modeling_axk1 import AXK1Config, AXK1ForCausalLM, AXK1Model
from modeling_axk1.model import checkpoint_axk1
from modeling_axk1.model.modeling_axk1 import AXK1ForSequenceClassification
from modeling_axk1.weights.logical import single_experts
from tests.conftest import tiny_config

INDEX = "model.safetensors.index.json"
LAYOUTS = ("fused", "per-expert")


@pytest.fixture(scope="module")
def model() -> AXK1ForCausalLM:
    torch.manual_seed(0)
    return AXK1ForCausalLM(tiny_config(initializer_range=0.2)).eval()


def one_by_one(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors as the upload of January 2026 names them: three for each routed expert."""
    single = {}
    for name, tensor in state.items():
        rows = single_experts(name, tuple(tensor.shape))
        experts = {expert: tensor.flatten(0, 1)[first : first + count] for expert, (first, count) in rows.items()}
        single |= experts or {name: tensor}
    return single


def write(folder: Path, model, layout: str = "fused", change=None, **config) -> Path:
    """Write a checkpoint of three shards; `change` may alter the tensors of the model before."""
    folder.mkdir(exist_ok=True)
    model.config.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": ["AXK1ForCausalLM"], **config}))
    state = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    state = one_by_one(state) if layout == "per-expert" else state
    if change:
        change(state)
    shards = {f"model-0000{n + 1}-of-00003.safetensors": list(state)[n::3] for n in range(3)}
    for shard, names in shards.items():
        save_file({name: state[name].contiguous() for name in names}, folder / shard, metadata={"format": "pt"})
    weight_map = {name: shard for shard, names in shards.items() for name in names}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def same_logits(one, other) -> bool:
    input_ids = torch.arange(24).view(2, 12)
    return torch.equal(one(input_ids).logits, other(input_ids).logits)


@pytest.mark.parametrize("model_type", ["axk1", "AXK1"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("loader", [AXK1ForCausalLM, AutoModelForCausalLM])
def test_every_layout_loads_under_every_name_to_the_last_bit(model, tmp_path, layout, model_type, loader):
    folder = write(tmp_path / "c", model, layout, model_type=model_type)
    loaded, info = loader.from_pretrained(folder, output_loading_info=True)
    assert type(loaded) is AXK1ForCausalLM
    assert not any(info.values())
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert same_logits(loaded, model)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_another_dtype_is_the_stored_one_converted(model, tmp_path, layout, dtype):
    loaded = AXK1ForCausalLM.from_pretrained(write(tmp_path / "c", model, layout), dtype=dtype)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.to(dtype)), name


def test_tensors_larger_than_a_piece_are_converted_whole(model, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_axk1, "_PIECE_BYTES", 1000)
    for layout in LAYOUTS:
        loaded = AXK1ForCausalLM.from_pretrained(write(tmp_path / layout, model, layout), dtype=torch.bfloat16)
        for name, tensor in model.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], tensor.to(torch.bfloat16)), name


SHARES = {
    "three experts": (slice(2, 5), range(2, 5), {"gate_proj", "up_proj"}),
    "half of every expert's gates": ((slice(None), slice(0, 12)), range(8), {"gate_proj"}),
    "half of every expert's gates and ups": (
        (slice(None), slice(12, 36), slice(1, 64)),
        range(8),
        {"gate_proj", "up_proj"},
    ),
    "nothing": (slice(3, 3), (), set()),
    "rows by number": ((slice(None), [0, 1, 24, 25], ...), range(8), {"gate_proj", "up_proj"}),
}


@pytest.mark.parametrize("piece_bytes", [1000, 2**25])
@pytest.mark.parametrize("share", SHARES)
def test_of_a_share_only_the_share_is_read(model, tmp_path, monkeypatch, share, piece_bytes):
    index, experts, halves = SHARES[share]
    folder = write(tmp_path / "c", model, "per-expert")
    files = [str(path) for path in folder.glob("*.safetensors")]
    asked = SimpleNamespace(
        sharded_metadata=None, weight_mapping=None, hf_quantizer=None, ignore_mismatched_sizes=False
    )
    tensor = checkpoint_axk1.match_checkpoint(model, files, asked)["model.layers.1.mlp.experts.gate_up_proj"]
    read, really_open = set(), checkpoint_axk1._open

    def watched(*arguments, **options):
        shard = really_open(*arguments, **options)
        return SimpleNamespace(get_slice=lambda name: read.add(name) or shard.get_slice(name))

    monkeypatch.setattr(checkpoint_axk1, "_open", watched)
    monkeypatch.setattr(checkpoint_axk1, "_PIECE_BYTES", piece_bytes)
    assert torch.equal(tensor[index], model.model.layers[1].mlp.experts.gate_up_proj[index])
    assert read == {f"model.layers.1.mlp.experts.{e}.{half}.weight" for e in experts for half in halves}


def test_in_the_stored_dtype_the_models_memory_is_the_file(model, tmp_path):
    folder = write(tmp_path / "c", model)
    loaded = AXK1ForCausalLM.from_pretrained(folder)
    mapped = Path("/proc/self/maps")
    if mapped.exists():
        ranges = [
            tuple(int(end, 16) for end in line.split()[0].split("-"))
            for line in mapped.read_text().splitlines()
            if str(folder) in line
        ]
        for name, parameter in loaded.named_parameters():
            assert any(start <= parameter.data_ptr() < end for start, end in ranges), name
    # The mapping is private: what training writes does not reach the file.
    before = load_file(folder / "model-00001-of-00003.safetensors")
    with torch.no_grad():
        loaded.model.embed_tokens.weight.add_(1)
    after = load_file(folder / "model-00001-of-00003.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_loaded_is_saved_under_the_names_of_the_release(model, tmp_path, layout):
    loaded = AXK1ForCausalLM.from_pretrained(write(tmp_path / "c", model, layout))
    loaded.save_pretrained(tmp_path / "saved")
    with safe_open(tmp_path / "saved" / "model.safetensors", "pt") as file:
        assert set(file.keys()) == set(model.state_dict())
        assert "model.layers.0.post_mlp_layernorm.weight" in file.keys()  # noqa: SIM118 (not a dict)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_base_model_loads_from_a_language_models_checkpoint_and_back(model, tmp_path, layout):
    base = AXK1Model.from_pretrained(write(tmp_path / "whole", model, layout))
    for name, tensor in model.model.state_dict().items():
        assert torch.equal(base.state_dict()[name], tensor)
    write(tmp_path / "base", base, layout)
    classifier = AXK1ForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=3)
    for name, tensor in model.model.state_dict().items():
        assert torch.equal(classifier.model.state_dict()[name], tensor)
    with pytest.raises(ValueError, match=r"lm_head\.weight is missing"):
        AXK1ForCausalLM.from_pretrained(tmp_path / "base")


def test_what_native_transformers_saves_loads_with_its_router_bias(tmp_path):
    from transformers.models.axk1.configuration_axk1 import AXK1Config as NativeConfig

    torch.manual_seed(0)
    native = NativeAXK1ForCausalLM(NativeConfig(**tiny_config(initializer_range=0.2).to_dict())).eval()
    for layer in native.model.layers[1:]:
        layer.mlp.gate.e_score_correction_bias.normal_()
    native.save_pretrained(tmp_path)
    ours = AXK1ForCausalLM.from_pretrained(tmp_path)
    assert ours.config.use_router_bias
    input_ids = torch.arange(24).view(2, 12)
    torch.testing.assert_close(ours(input_ids).logits, native(input_ids).logits, rtol=0, atol=1e-5)
    half = AXK1ForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    stored = native.model.layers[1].mlp.gate.e_score_correction_bias
    assert torch.equal(half.model.layers[1].mlp.gate.e_score_correction_bias, stored)  # in float32


def test_native_transformers_is_left_as_it_was(model, tmp_path):
    folder = write(tmp_path / "c", model, "per-expert")
    AXK1ForCausalLM.from_pretrained(folder)
    native = NativeAXK1ForCausalLM.from_pretrained(folder).eval()
    input_ids = torch.arange(24).view(2, 12)
    torch.testing.assert_close(native(input_ids).logits, model(input_ids).logits, rtol=0, atol=1e-5)


def drop(name: str):
    return lambda state: state.pop(name)


def put(name: str, tensor: torch.Tensor):
    return lambda state: state.__setitem__(name, tensor)


OUR_EXPERT = "model.layers.1.mlp.experts.3.up_proj.weight"
FAULTS = {
    "an attention weight is missing": (
        "fused",
        drop("model.layers.1.self_attn.o_proj.weight"),
        r"model\.layers\.1\.self_attn\.o_proj\.weight is missing",
    ),
    "a sparse layer's norm is missing": (
        "fused",
        drop("model.layers.2.post_mlp_layernorm.weight"),
        r"model\.layers\.2\.post_mlp_layernorm\.weight is missing",
    ),
    "the head is missing": ("fused", drop("lm_head.weight"), r"lm_head\.weight is missing"),
    "a layer's experts are missing": (
        "fused",
        drop("model.layers.1.mlp.experts.down_proj"),
        r"model\.layers\.1\.mlp\.experts\.down_proj is missing",
    ),
    "one expert is missing": ("per-expert", drop(OUR_EXPERT), re.escape(OUR_EXPERT) + " is missing"),
    "one expert has another shape": (
        "per-expert",
        put(OUR_EXPERT, torch.zeros(24, 63)),
        re.escape(OUR_EXPERT) + r" in model-0000\d-of-00003\.safetensors must have shape \[24, 64\], got \[24, 63\]",
    ),
    "a tensor has another shape": (
        "fused",
        put("model.norm.weight", torch.ones(65)),
        r"model\.norm\.weight in model-0000\d-of-00003\.safetensors must have shape \[64\], got \[65\]",
    ),
    "a tensor is of integers": (
        "fused",
        put("model.norm.weight", torch.ones(64, dtype=torch.int8)),
        r"model\.norm\.weight in model-0000\d-of-00003\.safetensors must be one of F64, F32, F16, BF16, got I8",
    ),
    "a tensor is left over": (
        "fused",
        put("model.layers.1.self_attn.q_proj.weight", torch.ones(2)),
        r"model\.layers\.1\.self_attn\.q_proj\.weight in model-0000\d-of-00003\.safetensors is no tensor of this model",
    ),
    "experts are stored twice": (
        "per-expert",
        put("model.layers.1.mlp.experts.down_proj", torch.ones(8, 64, 24)),
        r"experts\.0\.down_proj\.weight in model-0000\d-of-00003\.safetensors is no tensor of this model",
    ),
    "there is one expert too many": (
        "per-expert",
        put("model.layers.1.mlp.experts.8.up_proj.weight", torch.zeros(24, 64)),
        r"experts\.8\.up_proj\.weight in .* is no tensor of this model",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused_with_the_tensor_and_the_shard(model, tmp_path, fault):
    layout, change, message = FAULTS[fault]
    with pytest.raises(ValueError, match=message):
        AXK1ForCausalLM.from_pretrained(write(tmp_path / "c", model, layout, change))


@pytest.mark.parametrize("layers", [2, 4])
def test_a_config_with_another_number_of_layers_is_refused(model, tmp_path, layers):
    with pytest.raises(ValueError, match=r"model\.layers\.[23]\..* (is missing|is no tensor of this model)"):
        AXK1ForCausalLM.from_pretrained(write(tmp_path / "c", model), num_hidden_layers=layers)


@pytest.mark.parametrize("fused", [True, False])
def test_a_missing_tensor_is_named_with_the_shard_that_the_index_names(model, tmp_path, fused):
    folder = write(tmp_path / "c", model, "fused" if fused else "per-expert")
    index = json.loads((folder / INDEX).read_text())
    name = "model.norm.weight"
    shard = index["weight_map"][name]
    tensors = load_file(folder / shard)
    del tensors[name]
    save_file(tensors, folder / shard, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"{re.escape(name)} is missing from {shard}, where the index places it"):
        AXK1ForCausalLM.from_pretrained(folder)


def test_the_optional_may_be_absent(model, tmp_path):
    folder = write(tmp_path / "c", model, change=drop("model.layers.0.post_mlp_layernorm.weight"))
    loaded = AXK1ForCausalLM.from_pretrained(folder)
    assert torch.equal(loaded.model.layers[0].post_mlp_layernorm.weight, torch.ones(64))
    assert same_logits(loaded, model)
    biased = AXK1ForCausalLM.from_pretrained(write(tmp_path / "c", model, use_router_bias=True))
    assert biased.model.layers[1].mlp.gate.e_score_correction_bias.tolist() == [0.0] * 8


def test_a_layer_for_multi_token_prediction_may_be_left_over(model, tmp_path):
    def add(state):
        state["model.layers.3.eh_proj.weight"] = torch.ones(64, 128)
        state["model.layers.3.enorm.weight"] = torch.ones(64)
        state["model.layers.3.mlp.experts.0.up_proj.weight"] = torch.ones(24, 64)

    assert same_logits(AXK1ForCausalLM.from_pretrained(write(tmp_path / "c", model, change=add)), model)
    # But it is no main layer, however the config counts.
    with pytest.raises(ValueError, match=r"model\.layers\.3\..* is missing"):
        AXK1ForCausalLM.from_pretrained(tmp_path / "c", num_hidden_layers=4)


@pytest.mark.parametrize("loader", [AXK1ForCausalLM, AutoModelForCausalLM])
@pytest.mark.parametrize("dtype", ["float32", None])  # None: the loader looks for it in the first shard
@pytest.mark.parametrize("size", [0, 4, 100, -10])
@pytest.mark.parametrize("number", [1, 2])
def test_a_truncated_shard_is_named(model, tmp_path, loader, dtype, size, number):
    folder = write(tmp_path / "c", model, dtype=dtype)
    shard = folder / f"model-0000{number}-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:size])
    with pytest.raises(ValueError, match=f"{shard.name} cannot be read, it may be truncated or damaged"):
        loader.from_pretrained(folder)


@pytest.mark.parametrize("number", [1, 2])
def test_an_absent_shard_is_named(model, tmp_path, number):
    folder = write(tmp_path / "c", model)
    shard = folder / f"model-0000{number}-of-00003.safetensors"
    shard.unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=shard.name):
        AXK1ForCausalLM.from_pretrained(folder)


def test_an_index_that_leads_out_of_the_folder_is_refused(model, tmp_path):
    folder = write(tmp_path / "c", model)
    shutil.copy(folder / "model-00002-of-00003.safetensors", tmp_path / "evil.safetensors")
    text = (folder / INDEX).read_text()
    (folder / INDEX).write_text(text.replace("model-00002-of-00003.safetensors", "../evil.safetensors"))
    with pytest.raises(ValueError, match=r"a shard must lie beside the index, got \.\./evil\.safetensors"):
        AXK1ForCausalLM.from_pretrained(folder)


def test_index_and_shards_must_agree(model, tmp_path):
    folder = write(tmp_path / "c", model)
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["model.norm.weight"] = {
        "model-00001-of-00003.safetensors": "model-00002-of-00003.safetensors",
        "model-00002-of-00003.safetensors": "model-00003-of-00003.safetensors",
        "model-00003-of-00003.safetensors": "model-00001-of-00003.safetensors",
    }[index["weight_map"]["model.norm.weight"]]
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"model\.norm\.weight in .* is placed by the index in model-0000"):
        AXK1ForCausalLM.from_pretrained(folder)


def test_a_tensor_in_two_shards_is_refused(model, tmp_path):
    folder = write(tmp_path / "c", model)
    for shard in sorted(folder.glob("*.safetensors"))[:2]:
        save_file({**load_file(shard), "model.norm.weight": torch.ones(64)}, shard, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"model\.norm\.weight in .* is also in model-0000"):
        AXK1ForCausalLM.from_pretrained(folder)


def test_the_callers_key_mapping_is_heard(model, tmp_path):
    def rename(state):
        for name in list(state):
            state[name.replace("model.", "transformer.")] = state.pop(name)

    folder = write(tmp_path / "c", model, change=rename)
    loaded = AXK1ForCausalLM.from_pretrained(folder, key_mapping={"^transformer": "model"})
    assert same_logits(loaded, model)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers_may_stay_on_disk(tmp_path, layout, dtype):
    torch.manual_seed(0)
    # Every expert for every token: no rounding can change who is chosen.
    folder = write(tmp_path / "c", AXK1ForCausalLM(tiny_config(topk_group=4, num_experts_per_tok=8)), layout)
    device_map = {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.norm": "cpu", "lm_head": "cpu"}
    device_map |= {f"model.layers.{n}": "disk" if n else "cpu" for n in range(3)}
    loaded = AXK1ForCausalLM.from_pretrained(
        folder, device_map=device_map, offload_folder=tmp_path / "offload", dtype=dtype
    )
    input_ids = torch.arange(24).view(2, 12)
    whole = AXK1ForCausalLM.from_pretrained(folder, dtype=dtype)
    # Attention takes another way where hooks bring the weights, which rounds differently.
    tolerance = {"rtol": 0, "atol": 1e-5 if dtype == torch.float32 else 0.05}
    torch.testing.assert_close(loaded(input_ids).logits, whole(input_ids).logits, **tolerance)
    # The fused experts are read where they lie; only what had to be put together is written a second time.
    written = {path.name for path in (tmp_path / "offload").glob("*.dat")}
    assert all("mlp.experts." in name for name in written) if layout == "per-expert" else not written


def test_device_map_auto_works(model, tmp_path):
    loaded = AXK1ForCausalLM.from_pretrained(write(tmp_path / "c", model), device_map="auto")
    assert same_logits(loaded.cpu(), model)


def test_tied_embeddings_need_no_head_in_the_checkpoint(tmp_path):
    torch.manual_seed(0)
    tied = AXK1ForCausalLM(tiny_config(tie_word_embeddings=True, initializer_range=0.2)).eval()
    loaded = AXK1ForCausalLM.from_pretrained(write(tmp_path / "c", tied, change=drop("lm_head.weight")))
    assert loaded.lm_head.weight.data_ptr() == loaded.model.embed_tokens.weight.data_ptr()
    assert same_logits(loaded, tied)


def test_a_checkpoint_of_one_file_is_held_to_the_same_rules(model, tmp_path):
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"model\.norm\.weight is missing"):
        AutoModelForCausalLM.from_pretrained(tmp_path)


def test_another_vocabulary_is_refused_unless_the_caller_says_so(model, tmp_path):
    folder = write(tmp_path / "c", model)
    with pytest.raises(ValueError, match=r"embed_tokens\.weight in .* must have shape \[130, 64\], got \[128, 64\]"):
        AXK1ForCausalLM.from_pretrained(folder, vocab_size=130)
    loaded = AXK1ForCausalLM.from_pretrained(folder, vocab_size=130, ignore_mismatched_sizes=True)
    assert loaded.lm_head.weight.shape == (130, 64)


def test_the_config_alone_makes_no_claim_about_weights():
    assert AXK1ForCausalLM(AXK1Config(**tiny_config().to_dict())).num_parameters() > 0
