"""Named sizes of A.X K1: the published one, the one that quickstart trains, the released one, and one for tests.

Each is the whole architecture: a dense layer, then sparse layers with latent attention, a shared expert, the grouped
sigmoid router and the norm after the sparse MLP. The ratios of the head widths are the published model's.
"""

from typing import Any

from modeling_axk1.errors import UsageError, did_you_mean

PRESETS: dict[str, dict[str, Any]] = {
    "519b": {},
    "quickstart": {
        "hidden_size": 192,
        "intermediate_size": 512,
        "moe_intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "q_lora_rank": 96,
        "kv_lora_rank": 48,
        "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 16,
        "v_head_dim": 32,
        "n_routed_experts": 16,
        "num_experts_per_tok": 4,
        "n_group": 4,
        "topk_group": 2,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
    # Widths that blocks of 128 tile, so that FP8 and INT4 have weights to quantise.
    "nano": {
        "hidden_size": 256,
        "intermediate_size": 512,
        "moe_intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "q_lora_rank": 128,
        "kv_lora_rank": 64,
        "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 16,
        "v_head_dim": 32,
        "n_routed_experts": 16,
        "num_experts_per_tok": 4,
        "n_group": 4,
        "topk_group": 2,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 96,
        "moe_intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "q_lora_rank": 32,
        "kv_lora_rank": 16,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "v_head_dim": 16,
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "n_group": 4,
        "topk_group": 2,
        "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
}


def preset(name: str) -> dict[str, Any]:
    """Return the arguments of `AXK1Config` for a preset; vocabulary and token ids come from the tokenizer."""
    if name not in PRESETS:
        raise UsageError(f"preset must be one of {', '.join(PRESETS)}, got {name}{did_you_mean(name, PRESETS)}")
    return PRESETS[name]
