"""A checkpoint of the release's layers with real bytes on the disk, and texts to run through it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modeling_axk1 import AXK1Config
from modeling_axk1.model.presets import preset
from modeling_axk1.model.reading_axk1 import extents_in
from modeling_axk1.weights.names import Layout
from modeling_axk1.weights.sparse import write_sparse_checkpoint

SEED = 0
# Small, so that layers are what is read: the release's would be a third of two layers' rest.
VOCABULARY = 4096
PROMPT = 8
_BLOCK = 2**24


def config_of(sparse_layers: int, experts: int | None = None, tiny: bool = False) -> AXK1Config:
    """The release's widths, or the preset nano's, with a dense layer and few sparse ones."""
    sizes = {**(preset("nano") if tiny else {}), **({} if experts is None else {"n_routed_experts": experts})}
    sizes |= {"vocab_size": VOCABULARY, "num_hidden_layers": 1 + sparse_layers}
    return AXK1Config(architectures=["AXK1ForCausalLM"], dtype="bfloat16", **sizes)


def make(folder: Path, config: AXK1Config, layout: Layout = "fused") -> int:
    """Write a checkpoint of random numbers, unless `folder` holds it already; return the bytes of its tensors.

    Numbers have magnitudes from 2**-7 to 2**-5, either sign: about as wide as a trained layer's, and as random as bytes
    can be, so that no disk stores them in less room.
    """
    raw = json.loads(config.to_json_string(use_diff=False))
    shards = 1 + 2 * config.num_hidden_layers
    complete = folder / "complete"
    if complete.exists():
        if json.loads((folder / "config.json").read_text()) != raw:
            raise SystemExit(f"the checkpoint in {folder.name} must be of this benchmark's sizes; give another folder")
        return int(complete.read_text())
    written = write_sparse_checkpoint(folder, raw, shards, layout)
    random = np.random.Generator(np.random.SFC64(SEED))
    for shard in sorted(folder.glob("*.safetensors")):
        for name, extent in extents_in(str(shard)).items():
            with shard.open("r+b") as file:
                file.seek(extent.start)
                for start in range(0, extent.nbytes, _BLOCK):
                    count = min(_BLOCK, extent.nbytes - start) // 2
                    file.write(np.full(count, 0x3F80, "<u2") if "norm" in name else _numbers(random, count))
        with shard.open("r+b") as file:
            os.fsync(file.fileno())  # what is not on the disk yet stays in the page cache when it is emptied
    complete.write_text(str(written.nbytes))
    return written.nbytes


def _numbers(random: np.random.Generator, count: int) -> Any:
    """BF16 with random signs, fractions and last bits of the exponent."""
    return np.frombuffer(random.bytes(2 * count), "<u2") & 0x80FF | 0x3C00


def text(tokens: int) -> list[int]:
    """Random token ids. Experts are visited nearly evenly then, which is the least favourable to every cache."""
    return torch.randint(VOCABULARY, (tokens,), generator=torch.Generator().manual_seed(SEED)).tolist()


def task(folder: Path, tokens: int, **settings: Any) -> dict[str, Any]:
    """What a process is told: a prompt and `tokens` tokens after it, the same for everyone."""
    words = text(PROMPT + tokens + 1)
    return {"folder": str(folder), "prompt": words[:PROMPT], "text": words[PROMPT:], "tokens": tokens, **settings}


def shards_in(folder: Path) -> Iterator[str]:
    """The checkpoint's files, the largest first."""
    return map(str, sorted(folder.glob("*.safetensors"), key=lambda path: -path.stat().st_size))
