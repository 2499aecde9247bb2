"""What every benchmark needs: alternating runs, the machine's roofline, a command that writes the result.

Timings of a shared machine swing by a factor of two within a minute. So what is compared runs alternately in one
process, with the probes of the roofline among the runs, and only ratios of medians are worth quoting.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from modeling_axk1.environment import environment

RESULTS = Path(__file__).resolve().parent.parent / "release" / "results"


def alternate(
    functions: dict[str, Callable[[], object]],
    repeats: int,
    before: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Call every function in turn, `repeats` times over after one round unmeasured; seconds of each call by name.

    `before` runs unmeasured ahead of every call: `flush` takes from the caches what the call before left there.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(repeats + 1):
        for name, function in functions.items():
            before()
            started = clock()
            function()
            if round_:
                seconds[name].append(clock() - started)
    return seconds


def clock_of(one_thread: bool) -> tuple[Callable[[], float], dict[str, Any]]:
    """Choose all threads by the wall clock or one by its own, and say which for the result.

    One is for a machine that others use too: a product on two threads waits for the one that was pushed aside, and the
    wall clock counts what others do.
    """
    if not one_thread:
        return time.perf_counter, {"threads": torch.get_num_threads(), "clock": "wall"}
    torch.set_num_threads(1)
    return time.thread_time, {"threads": 1, "clock": "CPU time of the thread"}


def flush(mib: int = 512) -> Callable[[], object]:
    """Return a function that reads as many bytes as no cache holds."""
    bytes_ = torch.ones(mib * 2**18)
    return lambda: bytes_.sum()


def ratio(seconds: dict[str, list[float]], slow: str, fast: str) -> float:
    """How many times longer `slow` takes than `fast`: the ratio of their medians."""
    return statistics.median(seconds[slow]) / statistics.median(seconds[fast])


def read_probe(weights: torch.Tensor) -> Callable[[], object]:
    """Return a function that reads `weights`, [..., K], once: times one vector, torch's fastest way to read."""
    # As float32 whatever they are: a product of bfloat16 reads at half the speed.
    matrix = weights.view(-1, weights.shape[-1]).view(torch.float32)
    vector = torch.ones(matrix.shape[1], dtype=matrix.dtype)
    return lambda: torch.mv(matrix, vector)


def gemm_probe(dtype: torch.dtype, size: int = 2048) -> tuple[Callable[[], object], float]:
    """Return a function that multiplies two square matrices, and the floating-point operations of a call."""
    a, b = torch.ones(size, size, dtype=dtype), torch.ones(size, size, dtype=dtype)
    return lambda: F.linear(a, b), 2.0 * size**3


def write_runs(
    name: str,
    description: str,
    seed: int,
    runs: Callable[[Callable[[], float]], Iterable[dict[str, Any]]],
    **settings: Any,
) -> None:
    """Be the command of a benchmark: take every run that `runs(clock)` yields, show it, and write all to NAME.json.

    `settings` go into the file beside the seed and the clock, and after them what was measured and where.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one-thread", action="store_true", help="one thread, by its CPU time (for a busy machine)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where to write")
    options = parser.parse_args()
    clock, timing = clock_of(options.one_thread)
    torch.manual_seed(seed)
    taken = []
    for run in runs(clock):
        print(run, file=sys.stderr, flush=True)
        taken.append(run)
    result = {"command": f"python benchmarks/{name}.py", "seed": seed, **timing, **settings, "runs": taken}
    text = json.dumps({**result, **environment()}, indent=2, ensure_ascii=False) + "\n"
    (options.out / f"{name}.json").write_text(text, encoding="utf-8")
