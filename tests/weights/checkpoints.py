"""Checkpoints that the tests of this folder write, damage and read."""

import json
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from safetensors import deserialize

from modeling_axk1.weights.names import expected_tensors
from modeling_axk1.weights.write import RawTensor, write_checkpoint

RELEASE = {
    "model_type": "axk1",
    "vocab_size": 163840,
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 192,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "num_attention_heads": 64,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "tie_word_embeddings": False,
    "attention_bias": False,
}

TINY = RELEASE | {
    "dtype": "bfloat16",
    "vocab_size": 32,
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "intermediate_size": 12,
    "moe_intermediate_size": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "num_attention_heads": 2,
    "q_lora_rank": 6,
    "kv_lora_rank": 4,
    "qk_nope_head_dim": 4,
    "qk_rope_head_dim": 2,
    "v_head_dim": 4,
}

# A.X K1 in widths that every encoding tiles: 4 MB.
WIDE = TINY | {
    "hidden_size": 256,
    "intermediate_size": 256,
    "moe_intermediate_size": 128,
    "q_lora_rank": 128,
    "kv_lora_rank": 128,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}


# Widths that blocks of 128 and groups of 32 tile, but for kv_a_proj_with_mqa, whose 64 rows no block of fp8 fits, and
# which keeps q_a_proj, joined to it, from being quantised too; and for kv_b_proj with 32 columns.
QUANTISABLE = TINY | {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "intermediate_size": 256,
    "moe_intermediate_size": 128,
    "n_routed_experts": 2,
    "num_experts_per_tok": 1,
    "q_lora_rank": 128,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 96,
    "qk_rope_head_dim": 32,
    "v_head_dim": 64,
}


def tiny_configs(even: int = 1) -> st.SearchStrategy[dict]:
    """Configs of all kinds; what tensor ranks divide is a multiple of `even`."""

    def divided(most: int) -> st.SearchStrategy[int]:
        return st.integers(1, most).map(lambda number: number * even)

    return st.fixed_dictionaries(
        {
            "vocab_size": divided(6),
            "hidden_size": st.integers(1, 6),
            "num_hidden_layers": st.integers(1, 3),
            "first_k_dense_replace": st.integers(0, 2),
            "moe_layer_freq": st.integers(1, 2),
            "intermediate_size": divided(4),
            "moe_intermediate_size": divided(3),
            "n_routed_experts": st.integers(1, 4),
            "n_shared_experts": st.integers(1, 2),
            "num_attention_heads": divided(2),
            "tie_word_embeddings": st.booleans(),
            "attention_bias": st.booleans(),
            "use_router_bias": st.booleans(),
            "num_nextn_predict_layers": st.integers(0, 1),
        }
    ).map(lambda drawn: TINY | {"num_experts_per_tok": 1} | drawn)


def random_tensors(config: dict, layout: str = "fused", seed: int = 0) -> dict[str, RawTensor]:
    """Finite bfloat16, in float32 the router's bias; no two tensors are alike."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, spec in expected_tensors(config, layout).items():
        values = rng.standard_normal(spec.shape, np.float32)
        if name.endswith("e_score_correction_bias"):
            tensors[name] = RawTensor("F32", spec.shape, values)
        else:
            tensors[name] = RawTensor("BF16", spec.shape, (values.view("<u4") >> 16).astype("<u2"))
    return tensors


def write_model(folder: Path, config: dict, layout: str = "fused", shard_bytes: int = 2000, seed: int = 0) -> Path:
    """A sound checkpoint of random numbers with its config beside it."""
    folder.mkdir(parents=True)
    write_checkpoint(random_tensors(config, layout, seed), folder, shard_bytes)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def read_all(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Every tensor as dtype, shape and bytes; the stock library must read each file, and an index must agree."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        raw = path.read_bytes()
        for name, entry in deserialize(raw):
            assert name not in found
            found[name] = (entry["dtype"], tuple(entry["shape"]), bytes(entry["data"]))
            if (folder / "model.safetensors.index.json").exists():
                index = json.loads((folder / "model.safetensors.index.json").read_text())
                assert index["weight_map"][name] == path.name
    return found


def bf16(shape: tuple[int, ...]) -> RawTensor:
    """1.0, 1.0078125, ... : bfloat16 counts upwards in its last bits, every value finite."""
    count = int(np.prod(shape))
    return RawTensor("BF16", shape, (0x3F80 + np.arange(count) % 128).astype("<u2"))


def tiny_tensors(config: dict = TINY) -> dict[str, RawTensor]:
    return {name: bf16(spec.shape) for name, spec in expected_tensors(config).items()}


def write_tiny(folder: Path, tensors: dict[str, RawTensor] | None = None, max_shard_bytes: int = 2500) -> Path:
    """A sound checkpoint of three shards with its config beside it."""
    folder.mkdir(parents=True)
    write_checkpoint(tiny_tensors() if tensors is None else tensors, folder, max_shard_bytes)
    (folder / "config.json").write_text(json.dumps(TINY))
    return folder


def wide_checkpoint(folder: Path) -> Path:
    """Random weights of WIDE, in shards of half a megabyte."""
    rng = np.random.default_rng(0)
    tensors = {
        name: RawTensor("BF16", tensor.shape, rng.integers(0x3C00, 0x3F80, tensor.shape).astype("<u2"))
        for name, tensor in tiny_tensors(WIDE).items()
    }
    folder.mkdir()
    write_checkpoint(tensors, folder, 500_000)
    (folder / "config.json").write_text(json.dumps(WIDE))
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def edit_header(path: Path, edit) -> None:
    """Let `edit` change the header's dict in place, and write it back without touching the data."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    edit(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])


def edit_json(path: Path, edit) -> None:
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))
