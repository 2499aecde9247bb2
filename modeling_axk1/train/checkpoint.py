"""A trained model to a checkpoint folder: shards in the released layout, config, golden logits."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modeling_axk1.errors import UsageError, did_you_mean
from modeling_axk1.weights.write import RawTensor, WriteReport, write_checkpoint

GOLDEN = "golden/logits.safetensors"
_DTYPES = {"float32": (torch.float32, "F32"), "bfloat16": (torch.bfloat16, "BF16")}


def check_dtype(dtype: str) -> None:
    """Raise UsageError unless weights can be stored in `dtype`."""
    if dtype not in _DTYPES:
        raise UsageError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype}{did_you_mean(dtype, _DTYPES)}")


def cast(model: Any, dtype: str) -> Any:
    """Round the weights to the dtype in which they will be stored, "float32" or "bfloat16".

    Router biases stay float32, as they are stored: rounding them would change which experts are chosen.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(_DTYPES[dtype][0])
    return model


def write_model(model: Any, folder: Path, dtype: str, max_shard_bytes: int) -> WriteReport:
    """Write config.json, generation_config.json and the weights, under the names of the published checkpoint.

    Sampling defaults are those the release recommends (its README): temperature 0.6, top_p 0.95.
    """
    from transformers import GenerationConfig

    config = model.config
    config.architectures = ["AXK1ForCausalLM"]
    config.dtype = _DTYPES[dtype][0]
    config.save_pretrained(folder)
    GenerationConfig(
        do_sample=True,
        temperature=0.6,
        top_p=0.95,
        bos_token_id=config.bos_token_id,
        pad_token_id=config.pad_token_id,
        # A chat turn ends with <|im_end|>, a document with <|endoftext|>: generation must stop on both.
        eos_token_id=[config.eos_token_id, config.bos_token_id],
    ).save_pretrained(folder)
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in tied}
    tensors = {name: _raw(tensor) for name, tensor in state.items()}
    return write_checkpoint(tensors, folder, max_shard_bytes=max_shard_bytes)


def _raw(tensor: Tensor) -> RawTensor:
    dtypes = dict(_DTYPES.values())
    return RawTensor(dtypes[tensor.dtype], tuple(tensor.shape), tensor.contiguous().flatten().view(torch.uint8).numpy())


@torch.no_grad()
def write_golden(model: Any, input_ids_BT: Tensor, prompt: str, folder: Path) -> None:
    """Record the logits of the model in memory, so that whoever loads the published one can compare.

    `golden/logits.safetensors` holds `input_ids` int64 [B, T] and `logits` float32 [B, T, V]; its metadata has the
    prompt from which a sample is generated. Logits are computed in float32 from the stored weights.
    """
    from safetensors.torch import save_file

    logits_BTV = model.float().eval()(input_ids_BT).logits
    (folder / GOLDEN).parent.mkdir(parents=True, exist_ok=True)
    tensors = {"input_ids": input_ids_BT.contiguous(), "logits": logits_BTV.contiguous()}
    save_file(tensors, folder / GOLDEN, metadata={"prompt": prompt})
