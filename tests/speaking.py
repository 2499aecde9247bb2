"""A tiny real model that answers in text: random weights, the released tokenizer's smallest sibling."""

import shutil
from pathlib import Path

import torch
from transformers import AutoTokenizer

from modeling_axk1 import AXK1Config, AXK1ForCausalLM
from modeling_axk1.model.presets import preset
from modeling_axk1.shipped import shipped

TOKENIZER = shipped("tokenizer") / "siblings" / "16384"
# One expert of the model, as memory holds it (see `room_for`): three matrices of 24 x 64 FP32 in pages.
EXPERT_BYTES = 32 * 1024


def speaking_model(folder: Path, **changes) -> Path:
    """Write a checkpoint with its tokenizer into `folder`."""
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "pad_token_id", "eos_token_id")}
    values = {**preset("tiny"), "vocab_size": len(tokenizer), "max_position_embeddings": 4096, **ids, **changes}
    torch.manual_seed(0)
    model = AXK1ForCausalLM(AXK1Config(**values))
    model.generation_config.eos_token_id = [tokenizer.bos_token_id, tokenizer.eos_token_id]
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(TOKENIZER / name, folder / name)
    return folder
