"""How fast `axk1 weights reshard` and `convert` are, against cp and against transformers' load and save_pretrained.

    python benchmarks/weights_write.py [--layers N] [--repeats N] [--out FOLDER]

Each is a whole process, its start included, and they run in turn on the same bytes, random weights of A.X K1's shapes
at a third of its width. Ours ends when all is on the disk (fsync); `cp` alone does not, so it is also timed with a
`sync` after it, and so is transformers. Cold, the source is dropped from the page cache before each run. transformers
reads experts fused and writes them one by one, which is what `convert --layout per-expert` does. Only ratios of medians
are worth quoting. Peaks of memory are the kernel's. Writes release/results/weights_write.json.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from modeling_axk1.environment import environment
from modeling_axk1.weights.names import expected_tensors
from modeling_axk1.weights.write import RawTensor, write_checkpoint

ROOT = Path(__file__).resolve().parent.parent
SEED = 0
SHARD_SIZE = "700MB"  # of all that write shards by size
PEERS = ("cp", "cp and sync", "transformers", "transformers and sync")

CONFIG = {
    "architectures": ["AXK1ForCausalLM"],
    "model_type": "axk1",
    "dtype": "bfloat16",
    "vocab_size": 32768,
    "hidden_size": 2048,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "intermediate_size": 6144,
    "moe_intermediate_size": 1024,
    "n_routed_experts": 64,
    "n_group": 8,
    "topk_group": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "q_lora_rank": 512,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "tie_word_embeddings": False,
}

# As they stand after `python -c`; the last line of what each prints is the peak of its memory.
_PEAK = """
print(next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
_OURS = (
    """
import sys
from modeling_axk1.cli import main
sys.argv = ["axk1", "weights", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    if end.code:
        raise
"""
    + _PEAK
)
_TRANSFORMERS = (
    """
import sys, torch
from transformers.models.axk1.modeling_axk1 import AXK1ForCausalLM
model = AXK1ForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16)
model.save_pretrained(sys.argv[2], max_shard_size=sys.argv[3])
"""
    + _PEAK
)


def make_checkpoint(folder: Path, layers: int) -> int:
    """Write random weights of a model of so many layers in shards of 1 GB; return their bytes."""
    config = {**CONFIG, "num_hidden_layers": layers}
    rng = np.random.default_rng(SEED)

    def values(shape: tuple[int, ...]) -> np.ndarray:
        return (rng.standard_normal(shape, "<f4").view("<u4") >> 16).astype("<u2")

    tensors = {
        name: RawTensor("BF16", spec.shape, lambda shape=spec.shape: values(shape))
        for name, spec in expected_tensors(config).items()
    }
    folder.mkdir()
    report = write_checkpoint(tensors, folder, 10**9)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    return report.nbytes


def subjects(source: Path, one_by_one: Path, out: Path) -> dict[str, tuple[list[str], Path]]:
    """Return what is timed, by name: a command that writes `out`, and the folder that it reads."""

    def ours(verb: str, folder: Path, *options: str) -> tuple[list[str], Path]:
        size = () if "--by" in options else ("--shard-size", SHARD_SIZE)
        return [sys.executable, "-c", _OURS, verb, str(folder), str(out), *options, *size], folder

    def synced(command: list[str]) -> list[str]:
        return ["sh", "-c", f"{shlex.join(command)} && sync {shlex.quote(str(out))}/*"]

    copy = ["cp", "-r", str(source), str(out)]
    load_and_save = [sys.executable, "-c", _TRANSFORMERS, str(source), str(out), SHARD_SIZE]
    return {
        "cp": (copy, source),
        "cp and sync": (synced(copy), source),
        "reshard by size": ours("reshard", source),
        "reshard by layer": ours("reshard", source, "--by", "layer"),
        "fused to per-expert": ours("convert", source, "--layout", "per-expert"),
        "per-expert to fused": ours("convert", one_by_one, "--layout", "fused"),
        "to fp8": ours("convert", source, "--to", "fp8"),
        "to int4": ours("convert", source, "--to", "int4"),
        "transformers": (load_and_save, source),
        "transformers and sync": (synced(load_and_save), source),
    }


def drop_from_cache(folder: Path) -> None:
    """Make the system forget the files' pages; needs no privilege, as they are written out."""
    for path in folder.iterdir():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def keep_in_cache(folder: Path) -> None:
    """Read every file once."""
    for path in folder.iterdir():
        with path.open("rb", buffering=0) as file:
            while file.read(2**24):
                pass


def measure(
    commands: dict[str, tuple[list[str], Path]], out: Path, before: Callable[[Path], None], repeats: int
) -> dict[str, dict[str, Any]]:
    """Run all in turn, one round unmeasured; seconds and, where it says so, the peak of memory of each."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, int] = {}
    for round_ in range(repeats + 1):
        for name, (command, source) in commands.items():
            shutil.rmtree(out, ignore_errors=True)
            os.sync()  # what earlier runs left for the disk to do is not this one's
            before(source)
            started = time.perf_counter()
            done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
            seconds = time.perf_counter() - started
            if round_:
                taken[name].append(seconds)
            if done.stdout.strip():
                peaks[name] = max(peaks.get(name, 0), int(done.stdout.split()[-1]))
    return {
        name: {"seconds": [round(second, 2) for second in seconds], "peak_mib": peaks.get(name, 0) // 2**20 or None}
        for name, seconds in taken.items()
    }


def main() -> None:
    """Measure warm and cold, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--layers", type=int, default=5, help="at least 2, of 0.9 GB each: the first has no experts (default: 5)"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--out", type=Path, default=ROOT / "release" / "results", metavar="FOLDER")
    options = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory(dir=options.folder) as home:
        source, one_by_one, out = Path(home) / "fused", Path(home) / "one-by-one", Path(home) / "out"
        nbytes = make_checkpoint(source, options.layers)
        command = [sys.executable, "-c", _OURS, "convert", str(source), str(one_by_one), "--layout", "per-expert"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        commands = subjects(source, one_by_one, out)
        for cache, before in (("warm", keep_in_cache), ("cold", drop_from_cache)):
            # What computes does not wait for the disk: once is enough.
            timed = {name: one for name, one in commands.items() if cache == "warm" or not name.startswith("to ")}
            figures = measure(timed, out, before, options.repeats)
            medians = {name: statistics.median(one["seconds"]) for name, one in figures.items()}
            run = {
                "cache": cache,
                "times_as_fast_as": {
                    peer: {name: round(medians[peer] / second, 2) for name, second in medians.items()} for peer in PEERS
                },
                "mb_per_s": {name: round(nbytes / second / 1e6) for name, second in medians.items()},
                **{key: {name: one[key] for name, one in figures.items()} for key in ("peak_mib", "seconds")},
            }
            print(json.dumps(run, indent=2), file=sys.stderr, flush=True)
            runs.append(run)
    settings = {
        "command": "python benchmarks/weights_write.py",
        "seed": SEED,
        "config": {**CONFIG, "num_hidden_layers": options.layers},
        "bytes": nbytes,
        "repeats": options.repeats,
    }
    text = json.dumps({**settings, "runs": runs, **environment()}, indent=2, ensure_ascii=False) + "\n"
    (options.out / "weights_write.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
