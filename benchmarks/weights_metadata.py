"""How long it takes to describe a terabyte: `axk1 weights` on the release's 260 shards, here and over HTTP.

    python benchmarks/weights_metadata.py [--out FOLDER]

The checkpoint is one of holes with the true headers and sizes (`axk1 weights rehearse`). Every figure is the whole
command, Python's start included; between them a peer runs, the stock safetensors library reading every tensor's dtype
and shape. Writes release/results/weights_metadata.json. torch is not imported.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from modeling_axk1.environment import environment
from modeling_axk1.weights.inspect import inspect
from modeling_axk1.weights.names import Layout
from modeling_axk1.weights.sparse import write_sparse_checkpoint
from modeling_axk1.weights.store_http import WebFolder

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 7
LIMITS = {"inspect": 2.0, "plan": 2.0, "verify": 5.0}

# What the names and shapes follow from, of the release's config.json.
CONFIG = {
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
}

PEER = """
import sys; from pathlib import Path; from safetensors import safe_open
for path in sorted(Path(sys.argv[1]).glob("*.safetensors")):
    with safe_open(path, "numpy") as file:
        for name in file.keys():
            part = file.get_slice(name)
            part.get_dtype(), part.get_shape()
"""


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve `folder` on loopback from another process; yields its address."""
    command = [sys.executable, "-m", "tests.weights.range_server", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


def seconds_of(commands: dict[str, list[str]]) -> dict[str, float]:
    """Run the commands in turn, one round unmeasured; the median seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(REPEATS + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            if round_:
                seconds[name].append(time.perf_counter() - started)
    return {name: round(statistics.median(taken), 3) for name, taken in seconds.items()}


def measure(layout: Layout, folder: Path) -> dict:
    """Describe one layout of the release."""
    write_sparse_checkpoint(folder, CONFIG, layout=layout)
    with web_server(folder) as address:
        found = inspect(WebFolder(address))
        axk1 = [sys.executable, "-m", "modeling_axk1", "weights"]
        seconds = seconds_of(
            {
                "inspect": [*axk1, "inspect", str(folder)],
                "inspect over HTTP": [*axk1, "inspect", address],
                "plan": [*axk1, "plan", str(folder)],
                "verify": [*axk1, "verify", str(folder), "--headers-only"],
                "safetensors reads every dtype and shape": [sys.executable, "-c", PEER, str(folder)],
            }
        )
    return {
        "layout": layout,
        "tensors": found.tensors,
        "parameters": found.parameters,
        "shards": found.shards,
        "bytes": found.bytes,
        "bytes_on_disk": sum(path.stat().st_blocks * 512 for path in folder.iterdir()),
        "bytes_fetched_over_http": found.bytes_read,
        "median_seconds": seconds,
        "within_limits": all(seconds[name] < limit for name, limit in LIMITS.items()),
    }


def main() -> None:
    """Measure both layouts and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "release" / "results", metavar="FOLDER")
    out = parser.parse_args().out
    runs = []
    for layout in get_args(Layout):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(measure(layout, Path(folder)))
        print(runs[-1], file=sys.stderr, flush=True)
    settings = {"command": "python benchmarks/weights_metadata.py", "repeats": REPEATS, "limits_in_seconds": LIMITS}
    text = json.dumps({**settings, "runs": runs, **environment()}, indent=2, ensure_ascii=False) + "\n"
    (out / "weights_metadata.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
