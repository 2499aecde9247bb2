"""What every benchmark needs: alternating runs, the machine's roofline, and the result as a file.

Timings of a shared machine swing by a factor of two within a minute. So what is compared runs alternately in one
process, with the probes of the roofline among the runs, and only ratios of medians are worth quoting.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
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


def clock_of(description: str) -> tuple[Callable[[], float], dict[str, Any]]:
    """Ask the command line for all threads by the wall clock or one by its own, and say which for the result.

    `--one-thread` is for a machine that others use too: a product on two threads waits for the one that was pushed
    aside, and the wall clock counts what others do.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--one-thread", action="store_true", help="one thread, by its CPU time (for a busy machine)")
    if not parser.parse_args().one_thread:
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


def bandwidth(gib: float = 1.0, repeats: int = 5) -> float:
    """Bytes a second that this machine reads from memory, from float32 far larger than its caches."""
    weights = torch.ones(int(gib * 2**30) // 4 // 4096, 4096)
    seconds = alternate({"read": read_probe(weights)}, repeats)["read"]
    return weights.nbytes / statistics.median(seconds)


def gemm_rate(dtype: torch.dtype, repeats: int = 5) -> float:
    """Floating-point operations a second of a large square matrix product in `dtype`."""
    function, operations = gemm_probe(dtype)
    return operations / statistics.median(alternate({"gemm": function}, repeats)["gemm"])


def write_result(name: str, result: dict[str, Any]) -> None:
    """Write release/results/NAME.json, what was measured and then where, and print it."""
    text = json.dumps({**result, **environment()}, indent=2, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    print(text, end="")
