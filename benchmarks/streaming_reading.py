"""How fast experts are read, and how fast the disk is: in one process, in turn, from the same files.

The disk's own speed is that of direct reads of 8 MiB one after another, several in flight. Experts are read as the
model reads them, in random order, a layer's eight at a time, without computing: either when they are wanted, or with
the next eight expected meanwhile, as with right guesses.
"""

import mmap
import os
import random
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from streaming_process import forget
from streaming_weights import SEED, shards_in

CHUNK = 8 * 2**20
THREADS = (1, 2, 4, 8)
AT_ONCE = 8


def sequential(files: list[str], nbytes: int, threads: int, skip: int) -> float:
    """Read `nbytes` of `files` in order, beginning `skip` bytes after the start; return bytes a second."""
    places = [(file, at) for file in files for at in range(0, os.path.getsize(file), CHUNK)]  # noqa: PTH202
    begin = skip // CHUNK % len(places)
    wanted = iter(places[begin : begin + max(1, nbytes // CHUNK)])
    opened = {file: os.open(file, os.O_RDONLY | getattr(os, "O_DIRECT", 0)) for file in files}

    def work(_: int) -> int:
        buffer, done = mmap.mmap(-1, CHUNK), 0
        for file, at in wanted:
            done += os.preadv(opened[file], [buffer], at)
        return done

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(work, range(threads)))
    seconds = time.perf_counter() - started
    for descriptor in opened.values():
        os.close(descriptor)
    return done / seconds


def experts(pieces: Any, nbytes: int, threads: int, direct: bool, expected: bool, seed: int) -> float:
    """Read `nbytes` of experts, eight of a layer at a time; return bytes a second."""
    from modeling_axk1.model.reading_axk1 import Reading, ShardReader
    from modeling_axk1.model.streaming_axk1 import StreamedPieces

    streamed = StreamedPieces(pieces, 3 * AT_ONCE, Reading(ShardReader(direct), threads))
    keys = random.Random(seed).sample(list(pieces), len(pieces))  # noqa: S311
    count = min(len(keys), max(AT_ONCE, nbytes // streamed.slot_bytes)) // AT_ONCE * AT_ONCE
    groups = [keys[first : first + AT_ONCE] for first in range(0, count, AT_ONCE)]
    started = time.perf_counter()
    for group, following in zip(groups, [*groups[1:], []], strict=True):
        streamed.want(group)
        if expected:
            streamed.expect(following)
        left = list(group)
        while left:
            key, _ = streamed.take_any(left)
            left.remove(key)
            streamed.give(key)
    return streamed.counts.bytes_read / (time.perf_counter() - started)


def reading_speeds(folder: Path, nbytes: int, rounds: int) -> dict[str, Any]:
    """Return medians in bytes a second by kind and threads, and ours over the disk's best."""
    from modeling_axk1 import AXK1ForCausalLM

    pieces = AXK1ForCausalLM.from_pretrained(folder, memory=2**62).streamed.experts.pieces
    files = list(shards_in(folder))
    speeds: dict[str, dict[int, list[float]]] = {}

    def timed(kind: str, threads: int, measure: Callable[[], float]) -> None:
        forget([folder])
        speeds.setdefault(kind, {}).setdefault(threads, []).append(measure())

    for number in range(rounds):
        for threads in THREADS:
            timed("sequential", threads, partial(sequential, files, nbytes, threads, number * nbytes))
            for kind, direct, expected in KINDS:
                seed = SEED + number
                timed(kind, threads, partial(experts, pieces, nbytes, threads, direct, expected, seed))
    medians = {kind: {t: round(statistics.median(found)) for t, found in by.items()} for kind, by in speeds.items()}
    best = max(medians["sequential"].values())
    shares = {kind: {t: round(speed / best, 3) for t, speed in medians[kind].items()} for kind, *_ in KINDS}
    return {"bytes_each": nbytes, "rounds": rounds, "bytes_per_second": medians, "over_sequential": shares}


KINDS = (("direct", True, False), ("direct, expected", True, True), ("buffered", False, False))
