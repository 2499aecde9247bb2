"""The config: its defaults are the published model, older spellings read alike, contradictions are refused."""

import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from modeling_axk1 import AXK1Config, AXK1ForCausalLM
from modeling_axk1.model.presets import PRESETS, preset
from tests.conftest import tiny_config


def meta_model(config: AXK1Config) -> AXK1ForCausalLM:
    with torch.device("meta"):
        return AXK1ForCausalLM(config)


def test_no_arguments_give_the_published_model_to_the_last_parameter():
    model = meta_model(AXK1Config())
    assert len(model.state_dict()) == 976
    assert sum(p.numel() for p in model.parameters()) == 518_983_059_456
    assert sum(p.numel() * 2 for p in model.parameters()) == 1_037_966_118_912  # bytes in BF16
    assert {name.rsplit(".")[-1] for name, _ in model.named_buffers()} == {"inv_freq", "tokens_per_expert"}


def test_the_published_layer_has_the_published_names_and_shapes():
    state = meta_model(AXK1Config()).state_dict()
    dense = {n.removeprefix("model.layers.0.") for n in state if n.startswith("model.layers.0.")}
    sparse = {n.removeprefix("model.layers.60.") for n in state if n.startswith("model.layers.60.")}
    assert len(dense) == 13
    assert len(sparse) == 16
    assert "post_mlp_layernorm.weight" in dense & sparse
    assert state["model.layers.1.mlp.experts.gate_up_proj"].shape == (192, 4096, 7168)
    assert state["model.layers.1.mlp.experts.down_proj"].shape == (192, 7168, 2048)
    assert state["model.layers.0.mlp.gate_proj.weight"].shape == (18432, 7168)
    assert state["lm_head.weight"].shape == (163840, 7168)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_with_the_shapes_its_config_promises(name):
    config = AXK1Config(**preset(name))
    state = meta_model(config).state_dict()
    E, D, width = config.n_routed_experts, config.hidden_size, config.moe_intermediate_size
    H, qk, v = config.num_attention_heads, config.qk_head_dim, config.v_head_dim
    assert config.mlp_layer_types == ["dense"] + ["sparse"] * (config.num_hidden_layers - 1)
    last = f"model.layers.{config.num_hidden_layers - 1}"
    expected = {
        f"{last}.mlp.gate.weight": (E, D),
        f"{last}.mlp.experts.gate_up_proj": (E, 2 * width, D),
        f"{last}.mlp.experts.down_proj": (E, D, width),
        f"{last}.mlp.shared_experts.up_proj.weight": (width * config.n_shared_experts, D),
        f"{last}.self_attn.q_b_proj.weight": (H * qk, config.q_lora_rank),
        f"{last}.self_attn.kv_a_proj_with_mqa.weight": (config.kv_lora_rank + config.qk_rope_head_dim, D),
        f"{last}.self_attn.kv_b_proj.weight": (H * (config.qk_nope_head_dim + v), config.kv_lora_rank),
        f"{last}.self_attn.o_proj.weight": (D, H * v),
        "model.embed_tokens.weight": (config.vocab_size, D),
    }
    assert {n: tuple(state[n].shape) for n in expected} == expected
    assert len(state) == 3 + 13 + 16 * (config.num_hidden_layers - 1)


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(Exception, match="preset must be one of 519b, quickstart, nano, tiny, got huge"):
        preset("huge")


def test_the_form_of_the_january_2026_upload_reads_as_the_same_config(tmp_path):
    january = {
        "model_type": "AXK1",
        "architectures": ["AXK1ForCausalLM"],
        "topk_method": "noaux_tc",
        "scoring_func": "sigmoid",
        "aux_loss_alpha": 0.0001,
        "seq_aux": True,
        "pretraining_tp": 1,
        "ep_size": 1,
        "first_k_dense_replace": 1,
        "moe_layer_freq": 1,
        "auto_map": {"AutoConfig": "configuration_axk1.AXK1Config"},
        "torch_dtype": "bfloat16",
        "rope_theta": 10000,
        "rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 32768, "mscale": 1.0},
    }
    (tmp_path / "config.json").write_text(json.dumps(january))
    config = AutoConfig.from_pretrained(tmp_path)
    assert type(config) is AXK1Config
    assert config.rope_parameters["rope_type"] == "yarn"
    assert config.rope_parameters["factor"] == 4
    assert config.to_dict()["model_type"] == config.model_type == "axk1"


@pytest.mark.parametrize("model_type", ["axk1", "AXK1"])
def test_both_model_types_load_our_classes_through_the_auto_classes(tmp_path, model_type):
    torch.manual_seed(0)
    model = AXK1ForCausalLM(tiny_config()).eval()
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": model_type}))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(loaded) is AXK1ForCausalLM
    input_ids = torch.arange(20)[None]
    torch.testing.assert_close(loaded(input_ids).logits, model(input_ids).logits, rtol=0, atol=0)


def test_a_list_of_layer_types_as_native_transformers_saves_it_is_understood():
    assert tiny_config(mlp_layer_types=["dense", "dense", "sparse"]).first_k_dense_replace == 2
    every_second = tiny_config(num_hidden_layers=5, mlp_layer_types=["dense", "dense", "sparse", "dense", "sparse"])
    assert (every_second.first_k_dense_replace, every_second.moe_layer_freq) == (2, 2)
    with pytest.raises(ValueError, match="mlp_layer_types must follow"):
        tiny_config(num_hidden_layers=4, mlp_layer_types=["dense", "sparse", "dense", "dense"])


def test_a_saved_config_carries_the_keys_that_vllm_reads(tmp_path):
    tiny_config().save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["model_type"] == "axk1"
    assert saved["first_k_dense_replace"] == 1
    assert saved["moe_layer_freq"] == 1
    assert saved["topk_method"] == "noaux_tc"
    assert saved["scoring_func"] == "sigmoid"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"hidden_size": 0}, "hidden_size must be an integer of at least 1, got 0"),
        ({"q_lora_rank": None}, "q_lora_rank must be an integer of at least 1, got None"),
        ({"kv_lora_rank": "16"}, "kv_lora_rank must be an integer of at least 1, got '16'"),
        ({"num_hidden_layers": True}, "num_hidden_layers must be an integer of at least 1, got True"),
        ({"num_attention_heads": -4}, "num_attention_heads must be an integer of at least 1, got -4"),
        ({"n_shared_experts": 0}, "n_shared_experts must be an integer of at least 1, got 0"),
        ({"moe_layer_freq": 0}, "moe_layer_freq must be an integer of at least 1, got 0"),
        ({"first_k_dense_replace": -1}, "first_k_dense_replace must be at least 0, got -1"),
        ({"n_group": 0}, "n_group must be an integer of at least 1, got 0"),
        ({"topk_method": "group_limited_greedy"}, 'topk_method must be "noaux_tc", got "group_limited_greedy"'),
        ({"hidden_act": "gelu"}, 'hidden_act must be "silu", got "gelu"'),
        ({"rms_norm_eps": 0.0}, "rms_norm_eps must be positive, got 0.0"),
        ({"routed_scaling_factor": -1.0}, "routed_scaling_factor must be positive, got -1.0"),
        ({"initializer_range": -0.1}, "initializer_range must be at least 0, got -0.1"),
        ({"attention_dropout": 1.0}, r"attention_dropout must be in \[0, 1\), got 1.0"),
        ({"qk_head_dim": 25}, "qk_head_dim must be qk_nope_head_dim \\+ qk_rope_head_dim = 24, got 25"),
        ({"eos_token_id": 128}, "eos_token_id must be below vocab_size 128, got 128"),
        ({"eos_token_id": [127, 500]}, "eos_token_id must be below vocab_size 128, got 500"),
        ({"pad_token_id": -1}, "pad_token_id must be below vocab_size 128, got -1"),
        ({"mlp_layer_types": ["dense", "sparse"]}, "mlp_layer_types must name num_hidden_layers = 3 layers, got 2"),
        (
            {"mlp_layer_types": ["dense", "dense", "sparse"], "first_k_dense_replace": 1},
            "mlp_layer_types must agree with first_k_dense_replace 1 and moe_layer_freq 1",
        ),
        (
            {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 0.5}},
            "the factor of linear rope must be at least 1, got 0.5",
        ),
        (
            {
                "rope_parameters": {
                    "rope_type": "yarn",
                    "rope_theta": 1e4,
                    "factor": 2.0,
                    "beta_fast": 1,
                    "beta_slow": 32,
                }
            },
            "beta_fast must be above beta_slow, got 1 and 32",
        ),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": -1.0}}, "rope_theta must be positive, got -1.0"),
        ({"rope_theta": 5e5}, "rope_parameters say rope_theta 10000.0, older keys say 500000.0"),
        (
            {"rope_scaling": {"type": "yarn", "factor": 4}},
            "rope_parameters say rope_type default, older keys say yarn",
        ),
        ({"n_routed_experts": 10}, "n_routed_experts 10 is not divisible by n_group 4"),
        ({"n_routed_experts": 4}, "a group must hold at least 2 experts, got 1"),
        ({"topk_group": 5}, r"topk_group must be in \[1, n_group = 4\], got 5"),
        ({"num_experts_per_tok": 5}, r"num_experts_per_tok must be in \[1, 4\]"),
        ({"qk_rope_head_dim": 7}, "qk_rope_head_dim must be even, got 7"),
        ({"num_key_value_heads": 2}, "num_key_value_heads must equal num_attention_heads 4"),
        ({"scoring_func": "softmax"}, 'scoring_func must be "sigmoid", got "softmax"'),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, 'rope_type must be one of .* got "llama3"'),
    ],
)
def test_what_does_not_fit_together_is_refused_with_the_rule_and_the_value(changes, rule):
    with pytest.raises(ValueError, match=rule):
        tiny_config(**changes)


def test_values_set_later_are_held_to_the_same_rules():
    config = tiny_config()
    config.n_group = 3
    with pytest.raises(ValueError, match="n_routed_experts 8 is not divisible by n_group 3"):
        AXK1ForCausalLM(config)


def test_a_smaller_vocabulary_has_no_published_tokens_unless_they_are_given():
    config = AXK1Config(vocab_size=1000)
    assert (config.bos_token_id, config.pad_token_id, config.eos_token_id) == (None, None, None)
    config = AXK1Config(vocab_size=1000, eos_token_id=7)
    assert (config.bos_token_id, config.eos_token_id) == (None, 7)
    with pytest.raises(ValueError, match="eos_token_id must be below vocab_size 1000, got 163704"):
        AXK1Config(vocab_size=1000, eos_token_id=163704)
    assert AXK1Config().eos_token_id == 163704


def test_what_native_transformers_saves_reads_as_the_same_config(tmp_path):
    from transformers.models.axk1.configuration_axk1 import AXK1Config as NativeConfig

    ours = tiny_config(num_hidden_layers=5, first_k_dense_replace=2, moe_layer_freq=2)
    NativeConfig(**ours.to_dict()).save_pretrained(tmp_path)
    read = AXK1Config.from_pretrained(tmp_path)
    assert read.mlp_layer_types == ours.mlp_layer_types
    assert (read.first_k_dense_replace, read.moe_layer_freq) == (2, 2)


def test_reading_and_saving_again_changes_nothing(tmp_path):
    tiny_config().save_pretrained(tmp_path / "a")
    AXK1Config.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    assert (tmp_path / "a" / "config.json").read_bytes() == (tmp_path / "b" / "config.json").read_bytes()
