"""The full-size network under a memory cap: whether it stays within it, and what a token takes beside the disk.

    python benchmarks/streaming_full_scale.py [--memory 12GiB] [--stored bf16 int4] [--tokens 8]

A checkpoint with the release's names, shapes and sizes is made of holes in a temporary folder: 1.04 TB that take a few
hundred MB of disk. Norms, routers and a few thousand rows of the embeddings and of the output head are real, random
numbers, so that tokens visit experts as a router sends them. In a fresh process it is loaded with `memory`, reads a
prompt of eight tokens and goes on.

Holes read as zeros and cost the disk nothing: bytes are counted, copied and multiplied as they would be, only their
coming from a disk is not in the seconds (benchmarks/streaming_disk.py measures that with real bytes). What experts and
attention say is nothing, so guesses at the next layer's experts are always right here; on a real model they are not.
(Not of INT8: its product looks at the scales first, and with some that are zero it is a slower one. To make them real
would take gigabytes.)

Writes release/results/streaming_full_scale.json.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from measure import RESULTS
from streaming_process import run

from modeling_axk1 import AXK1Config
from modeling_axk1.environment import environment
from modeling_axk1.model.memory_axk1 import bytes_of
from modeling_axk1.model.presets import preset
from modeling_axk1.model.reading_axk1 import Extent, extents_in
from modeling_axk1.weights.encodings import encoding_named, quantised_config
from modeling_axk1.weights.sparse import RELEASE_SHARDS, write_sparse_checkpoint

SEED = 0
# Rows of the embeddings and of the output head that are real; the prompt is of these, and what is said is, too.
ROWS = 2048
PROMPT = 8


def make(folder: Path, config: AXK1Config, stored: str, shards: int) -> dict[str, int]:
    """Write the checkpoint of holes, fill in what sends tokens to experts, and say what it counts and takes."""
    raw = json.loads(config.to_json_string(use_diff=False))
    if stored != "bf16":
        raw = quantised_config(raw, encoding_named(stored))
    written = write_sparse_checkpoint(folder, raw, shards)
    numbers = torch.Generator().manual_seed(SEED)
    for shard in sorted(folder.glob("*.safetensors")):
        for name, extent in extents_in(str(shard)).items():
            if "norm" in name or (stored == "int8" and name.endswith("_scale")):
                fill(extent, torch.ones(extent.shape))
            elif name.endswith("mlp.gate.weight"):
                fill(extent, torch.randn(extent.shape, generator=numbers) * 0.02)
            elif name in ("model.embed_tokens.weight", "lm_head.weight"):
                some = extent.rows(0, ROWS)
                fill(some, torch.randn(some.shape, generator=numbers) * 0.02)
    on_disk = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
    return {"tensors": written.tensors, "bytes": written.nbytes, "shards": shards, "bytes_on_disk": on_disk}


def fill(extent: Extent, numbers: torch.Tensor) -> None:
    """Write numbers where a tensor lies."""
    with Path(extent.file).open("r+b") as file:
        file.seek(extent.start)
        file.write(numbers.to(extent.dtype).contiguous().view(torch.uint8).numpy().tobytes())


def measure(stored: str, memory: str, tokens: int, tiny: bool) -> dict[str, Any]:
    """Make a checkpoint, load it in a process of its own, and forget it."""
    sizes = {**preset("nano"), "vocab_size": ROWS} if tiny else {}
    config = AXK1Config(architectures=["AXK1ForCausalLM"], dtype="bfloat16", **sizes)
    prompt = torch.randint(ROWS, (PROMPT,), generator=torch.Generator().manual_seed(SEED)).tolist()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / stored
        checkpoint = make(folder, config, stored, 4 if tiny else RELEASE_SHARDS)
        options = {"memory": memory}
        report = run({"folder": str(folder), "who": "ours", "options": options, "prompt": prompt, "tokens": tokens})
    return {"stored": stored, "checkpoint": checkpoint, "memory": memory, "memory_bytes": bytes_of(memory), **report}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", default="12GiB", help="what the process may take in all")
    parser.add_argument("--stored", nargs="+", default=["bf16", "int4"], choices=["bf16", "fp8", "int4"])
    parser.add_argument("--tokens", type=int, default=8, help="tokens after the prompt")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to see that this works")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where to write")
    options = parser.parse_args()
    runs = []
    for stored in options.stored:
        runs.append(measure(stored, options.memory, options.tokens, options.tiny))
        peak, cap = runs[-1]["peak_bytes"] / 2**30, runs[-1]["memory_bytes"] / 2**30
        token = runs[-1]["token"]
        print(f"{stored}: peak {peak:.2f} of {cap:.2f} GiB, {token['seconds']:.1f} s a token", flush=True)
    result = {
        "command": "python benchmarks/streaming_full_scale.py",
        "seed": SEED,
        "weights": "holes, which read as zeros and cost no disk; norms, routers and some embeddings are random numbers",
        "real_rows": ROWS,
        "prompt_tokens": PROMPT,
        "tokens": options.tokens,
        "threads": torch.get_num_threads(),
        "within_memory": all(run["peak_bytes"] <= run["memory_bytes"] for run in runs),
        "runs": runs,
        **environment(),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (options.out / "streaming_full_scale.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
