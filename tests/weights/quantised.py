"""Quantised checkpoints that the tests write: a model's tensors, each encoded whole by the code under test."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.weights.encodings import Encoding, ignored_modules, is_quantised_weight, quantised_config
from modeling_axk1.weights.quantize import decode_rows, encode_rows
from tests.conftest import tiny_config
from tests.model.test_loading import one_by_one

# Wide enough for blocks of 128; kv_a_proj_with_mqa has 160 rows, which such blocks do not tile, as the release's 576.
WIDTHS = {
    "hidden_size": 256,
    "intermediate_size": 384,
    "moe_intermediate_size": 128,
    "q_lora_rank": 128,
    "kv_lora_rank": 128,
    "qk_nope_head_dim": 64,
    "qk_rope_head_dim": 32,
    "v_head_dim": 64,
    "initializer_range": 0.1,
}


def wide_model(**changes: object) -> AXK1ForCausalLM:
    """A model in bfloat16, with router biases in float32 if any, of which every encoding fits most weights."""
    torch.manual_seed(0)
    config = tiny_config(**{**WIDTHS, **changes})
    config.architectures, config.dtype = ["AXK1ForCausalLM"], torch.bfloat16
    model = AXK1ForCausalLM(config).eval()
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    for name, buffer in model.named_buffers():
        if "bias" in name:
            buffer.normal_(std=0.1)
    return model


def config_of(model: AXK1ForCausalLM) -> dict:
    return json.loads(model.config.to_json_string(use_diff=False))


def encoded(state: dict[str, Tensor], config: dict, encoding: Encoding) -> dict[str, Tensor]:
    """What a quantised checkpoint of these weights, one by one, holds."""
    ignored = {f"{module}.weight" for module in ignored_modules(config, encoding)}
    tensors = {}
    for name, tensor in one_by_one(state).items():
        if not is_quantised_weight(name) or name in ignored:
            tensors[name] = tensor
            continue
        module, shape = name.removesuffix("weight"), tuple(tensor.shape)
        tensors |= {module + part: rows for part, rows in encode_rows(encoding, tensor.float()).items()}
        for part, raw in encoding.constant_parts(name, shape).items():
            tensors[part] = torch.frombuffer(bytearray(raw), dtype=torch.int64)
    return tensors


def decoded(tensors: dict[str, Tensor], encoding: Encoding, dtype: torch.dtype) -> dict[str, Tensor]:
    """The same by `decode_rows`, the reference: ordinary tensors of `dtype`, one for each weight."""
    ordinary = {}
    for name, tensor in tensors.items():
        module = name.removesuffix("weight_packed" if encoding.name != "fp8" else "weight")
        parts = {part: tensors[module + part] for part in _PARTS[encoding.name == "fp8"] if module + part in tensors}
        if len(parts) == 2 and module != name:
            ordinary[f"{module}weight"] = decode_rows(encoding, parts, dtype)
        elif tensor.is_floating_point() and "weight_scale" not in name:
            ordinary[name] = tensor if tensor.dtype == torch.float32 else tensor.to(dtype)
    return ordinary


_PARTS = {True: ("weight", "weight_scale_inv"), False: ("weight_packed", "weight_scale")}


def write_quantised(folder: Path, model: AXK1ForCausalLM, encoding: Encoding, change=None) -> dict[str, Tensor]:
    """Write a checkpoint of two shards and return its tensors; `change` may alter them before."""
    folder.mkdir(parents=True)
    tensors = encoded(model.state_dict(), config_of(model), encoding)
    if change:
        change(tensors)
    weight_map = {}
    for number, names in enumerate((list(tensors)[::2], list(tensors)[1::2]), start=1):
        shard = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name].contiguous().clone() for name in names}, folder / shard, {"format": "pt"})
        weight_map |= dict.fromkeys(names, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(quantised_config(config_of(model), encoding)))
    return tensors
