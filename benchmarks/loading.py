"""How much it costs to load a checkpoint: ours and transformers' native `axk1`, on the same files.

    python benchmarks/loading.py [--layers 4] [--repeats 3]

A checkpoint with the release's proportions and random numbers is made in a temporary folder, in BF16 and in both
layouts (routed experts fused as in today's upload, and one by one as in January 2026's). Every case is loaded in
fresh processes, ours and native in turn: seconds until the model stands and until its first token, by the clock and
by the processor (which other work on the machine disturbs less), the kernel's highest mark of memory (VmHWM) above
what the process took before it loaded, and what of it stays resident. A peak is compared with the bytes of the model
in the type it was asked for: 1.0 is a model and nothing else.

Writes release/results/loading.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RESULT = Path(__file__).resolve().parent.parent / "release" / "results" / "loading.json"
SEED = 0
CASES = [(layout, dtype) for layout in ("fused", "per-expert") for dtype in ("bfloat16", "float32")]
# The release's proportions at an eighth of its width: as many experts for a token, as many groups.
SIZES = {
    "vocab_size": 20480,
    "hidden_size": 896,
    "intermediate_size": 2304,
    "moe_intermediate_size": 256,
    "num_attention_heads": 8,
    "q_lora_rank": 192,
    "kv_lora_rank": 512,
    "n_routed_experts": 192,
}


def make_checkpoint(folder: Path, layers: int) -> None:
    """Write `fused` and `per-expert` below `folder`: the same numbers, in shards of a third of them."""
    import torch

    from modeling_axk1 import AXK1Config, AXK1ForCausalLM
    from modeling_axk1.weights.convert import Conversion, convert
    from modeling_axk1.weights.order import Sharding

    torch.manual_seed(SEED)
    model = AXK1ForCausalLM(AXK1Config(**SIZES, num_hidden_layers=layers)).to(torch.bfloat16)
    third = 2 * model.num_parameters() // 3
    model.save_pretrained(folder / "fused", max_shard_size=third)
    convert(folder / "fused", folder / "per-expert", Conversion(layout="per-expert"), Sharding(shard_bytes=third))


def load(folder: str, dtype: str, who: str) -> dict[str, float]:
    """Load in this process and say what it cost."""
    import time

    import torch

    if who == "ours":
        from modeling_axk1 import AXK1ForCausalLM as Model
    else:
        from transformers.models.axk1.modeling_axk1 import AXK1ForCausalLM as Model
    torch.set_num_threads(2)
    torch.nn.functional.linear(torch.ones(8, 8), torch.ones(8, 8))  # what the first product of a process sets up
    before = memory()
    started, cpu_started = time.perf_counter(), time.process_time()
    model = Model.from_pretrained(folder, dtype=getattr(torch, dtype))
    loaded, seconds, cpu_seconds = memory(), time.perf_counter() - started, time.process_time() - cpu_started
    with torch.no_grad():
        token = int(model(torch.arange(16)[None]).logits[0, -1].argmax())
        first_token, cpu_first_token = time.perf_counter() - started, time.process_time() - cpu_started
        for parameter in model.parameters():
            parameter.sum()  # touches every page, as a longer prompt does
    after = memory()
    size = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20
    return {
        "seconds_to_load": seconds,
        "cpu_seconds_to_load": cpu_seconds,
        "seconds_to_first_token": first_token,
        "cpu_seconds_to_first_token": cpu_first_token,
        "peak_mib_while_loading": loaded["VmHWM"] - before["VmRSS"],
        "peak_mib": after["VmHWM"] - before["VmRSS"],
        "resident_mib": after["VmRSS"] - before["VmRSS"],
        "model_mib": size,
        "token": token,
    }


def memory() -> dict[str, float]:
    """Return this process's resident memory, now (VmRSS) and at its highest (VmHWM), in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}


def measure(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """Return one row per layout and dtype: medians of both, and native divided by ours."""
    rows = []
    for layout, dtype in CASES:
        runs: dict[str, list[dict[str, float]]] = {"ours": [], "native": []}
        for repeat in range(repeats + 1):
            for who, kept in runs.items():
                command = [sys.executable, __file__, "--child", str(folder / layout), dtype, who]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                if repeat:  # the first round brings the files into the page cache
                    kept.append(json.loads(output.splitlines()[-1]))
        medians = {
            who: {key: round(statistics.median(run[key] for run in kept), 3) for key in kept[0]}
            for who, kept in runs.items()
        }
        for figures in medians.values():
            figures["peak_over_model"] = round(figures["peak_mib"] / figures["model_mib"], 3)
        ours, native = medians["ours"], medians["native"]
        if ours["token"] != native["token"]:
            raise SystemExit(f"{layout} {dtype}: the first tokens differ")
        ratios = {
            key: round(native[key] / ours[key], 2)
            for key in ("seconds_to_load", "seconds_to_first_token", "cpu_seconds_to_first_token", "peak_mib")
        }
        rows.append({"layout": layout, "dtype": dtype, **medians, "native_over_ours": ratios})
        print(
            f"{layout:10} {dtype:9} peak / model: ours {ours['peak_over_model']:.2f}, native "
            f"{native['peak_over_model']:.2f}   first token: ours {ours['seconds_to_first_token']:.2f} s, native "
            f"{native['seconds_to_first_token']:.2f} s ({ratios['seconds_to_first_token']}x)"
        )
    return rows


def main() -> None:
    """Measure and write; or, as a child process, load once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(load(*options.child)))
        return

    from modeling_axk1.environment import environment

    with tempfile.TemporaryDirectory() as folder:
        make_checkpoint(Path(folder), options.layers)
        rows = measure(Path(folder), options.repeats)
    result = {
        "command": "python benchmarks/loading.py",
        "seed": SEED,
        "config": {**SIZES, "num_hidden_layers": options.layers},
        "repeats": options.repeats,
        "cases": rows,
        **environment(),
    }
    RESULT.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
