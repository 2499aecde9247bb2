"""Real bytes: a few layers of the release's size from a disk, under equal memory, by us and by what else there is.

    python benchmarks/streaming_disk.py [--memory 8GiB 12GiB] [--sparse-layers 2] [--folder FOLDER]

A checkpoint with the release's layer shapes and random numbers is written: a dense layer and two sparse ones of 17 GB.
Routed experts are stored fused, as in today's upload, and one by one, as in January 2026's upload.
Fresh processes take turns, the page cache emptied before each; the kernel gives each the same memory, page cache and
all (a memory control group). They read the same prompt and are fed the same random tokens:

    ours       from_pretrained(memory=...)
    mapped     our model loaded as usual: its tensors are the files' pages, and the kernel reads and drops them
    offloaded  transformers' native axk1 with device_map, max_memory and offload_folder: fused experts it maps, of
               those stored one by one it writes a second copy first

Then how fast experts are read over how fast the disk reads in a row (benchmarks/streaming_reading.py), and how a token
whose experts are all in memory compares with the model mapped without a limit.

Writes release/results/streaming_disk.json. Needs twice the checkpoint's room on the disk, for the second copy.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any, get_args

import torch
from measure import RESULTS
from streaming_process import forget, run
from streaming_reading import reading_speeds
from streaming_weights import PROMPT, SEED, config_of, make, task

from modeling_axk1.environment import environment
from modeling_axk1.model.memory_axk1 import bytes_of
from modeling_axk1.stream.estimate import token_bytes
from modeling_axk1.weights.names import Layout

WAYS = ("ours", "mapped", "offloaded")
# What the process of transformers needs beside the weights that it may keep: torch, and a layer on its way.
_NATIVE_OVERHEAD = 2 * 2**30


def one(way: str, folder: Path, memory: int | None, tokens: int, offloaded: Path) -> dict[str, Any]:
    """Run one way in a fresh process, with nothing in the page cache, and say what the disk holds besides."""
    forget([folder])
    if way == "ours":
        settings: dict[str, Any] = {"who": "ours", "options": {"memory": memory}}
    elif way == "mapped":
        settings = {"who": "ours"}
    else:
        assert memory is not None
        weights = token_bytes(json.loads((folder / "config.json").read_text()))
        layer = weights.piece + weights.expert * weights.experts // weights.layers
        kept = max(memory // 8, memory - layer - _NATIVE_OVERHEAD)
        settings = {"who": "native offloaded", "weights_memory": kept, "offload_folder": str(offloaded)}
    report = run(task(folder, tokens, **settings), memory)
    report["second_copy_bytes"] = sum(path.stat().st_size for path in offloaded.rglob("*") if path.is_file())
    shutil.rmtree(offloaded, ignore_errors=True)
    return report


def at_memory(folder: Path, memory: str, tokens: dict[str, int], rounds: int, place: Path) -> dict[str, Any]:
    """Every way in turn under one limit; a way that the kernel stopped is not tried again."""
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, reports in found.items():
            if not (reports and "stopped" in reports[-1]):
                reports.append(one(way, folder, bytes_of(memory), tokens[way], place / "offloaded"))
                print(f"{memory} {way}: {reports[-1].get('stopped') or reports[-1]['token']}", flush=True)
    speeds = {
        way: None if "stopped" in reports[-1] else statistics.median(each["tokens_per_second"] for each in reports)
        for way, reports in found.items()
    }
    return {
        "memory": memory,
        "memory_bytes": bytes_of(memory),
        "tokens_per_second": speeds,
        "times_as_fast_as": {way: _ratio(speeds["ours"], speed) for way, speed in speeds.items() if way != "ours"},
        "second_copy_bytes": max(report.get("second_copy_bytes", 0) for report in found["offloaded"]),
        "reports": {way: reports[-1] for way, reports in found.items()},
    }


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return round(ours / theirs, 2) if ours and theirs else None


def in_memory(folder: Path, cap: str) -> dict[str, Any]:
    """Seconds of a token whose experts are all in memory: ours, and the model mapped, without a limit of the kernel's.

    Our memory is bounded by ourselves, so that other than its experts nothing is in it.
    """
    forget([folder])
    ours = run(task(folder, 1, who="ours", options={"memory": bytes_of(cap)}, again=True))
    forget([folder])
    mapped = run(task(folder, 1, who="ours", again=True))
    of_ours, of_mapped = (report["seconds_of_a_token_again"] for report in (ours, mapped))
    ratio = of_mapped / of_ours
    return {"seconds_ours": of_ours, "seconds_mapped": of_mapped, "ours_over_mapped_tokens_per_second": ratio}


def main() -> None:
    """Make, measure, write, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", nargs="+", default=["8GiB", "12GiB"], help="limits, one after another")
    parser.add_argument("--sparse-layers", type=int, default=2)
    parser.add_argument("--experts", type=int, help="routed experts in a layer, for a trial; the release has 192")
    parser.add_argument("--layouts", nargs="+", default=list(get_args(Layout)), choices=get_args(Layout))
    parser.add_argument("--tokens", type=int, default=16, help="tokens after the prompt, ours and mapped")
    parser.add_argument("--offloaded-tokens", type=int, default=2, help="the same of transformers, which is slow")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--reading-rounds", type=int, default=5)
    parser.add_argument("--reading-bytes", default="4GB", help="how much a measurement of reading reads")
    parser.add_argument("--folder", type=Path, help="where the checkpoint is or shall stay; else a temporary folder")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to see that this works")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where to write")
    options = parser.parse_args()
    config = config_of(options.sparse_layers, options.experts, options.tiny)
    tokens = {"ours": options.tokens, "mapped": options.tokens, "offloaded": options.offloaded_tokens}
    runs = []
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        for layout in options.layouts:
            folder = options.folder or place / "checkpoint"
            nbytes = make(folder / layout, config, layout)
            if not runs:
                speeds = reading_speeds(folder / layout, bytes_of(options.reading_bytes), options.reading_rounds)
                resident = in_memory(folder / layout, options.memory[0])
            caps = [at_memory(folder / layout, memory, tokens, options.rounds, place) for memory in options.memory]
            runs.append({"layout": layout, "bytes": nbytes, "caps": caps})
            if options.folder is None:
                shutil.rmtree(folder)
    share = max(speeds["over_sequential"]["direct, expected"].values())
    ratios = [cap["times_as_fast_as"]["offloaded"] for one_layout in runs for cap in one_layout["caps"]]
    faster = [ratio for ratio in ratios if ratio]
    goals = {"reading_over_sequential": share, "times_as_fast_as_offloaded": max(faster, default=None)}
    print(f"reading {share:.0%} of the disk's own speed (goal: 85 %)")
    print(f"times as fast as transformers' offload: {faster or 'it never lived'} (goal: 10)")
    result = {
        "command": "python benchmarks/streaming_disk.py",
        "seed": SEED,
        "config": json.loads(config.to_json_string()),
        "prompt_tokens": PROMPT,
        "tokens": tokens,
        "rounds": options.rounds,
        "threads": torch.get_num_threads(),
        "limit": "a memory control group of the kernel's; page cache counts",
        "goals": goals,
        "layouts": runs,
        "in_memory": resident,
        "reading": speeds,
        **environment(),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (options.out / "streaming_disk.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
