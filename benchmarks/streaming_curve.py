"""Tokens a second against memory: measured on real bytes, and the model that is behind it; then the release, computed.

    python benchmarks/streaming_curve.py [--memory 4GiB 6GiB 8GiB 12GiB 16GiB 20GiB] [--folder FOLDER]

The checkpoint is that of benchmarks/streaming_disk.py: a few layers of the release's size with random numbers. It is
loaded under each cap in a fresh process and fed the same random tokens, whose experts are nearly evenly chosen; the
second half of them counts, when the cache is full. Beside that stands what modeling_axk1/stream/estimate.py computes
from the bytes of the config, the reading speed and the speed of a token without reading, both measured in this run.

Then the same is computed for the release, on this machine and on two others whose speeds are assumed. Nothing of that
is measured. Its hit rates are once those of even routing, the least that is possible in the long run, and once those
that streaming_policies.py measured on small models, where it has been run.

Writes release/results/streaming_curve.json.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from measure import RESULTS
from streaming_full_scale import make as make_of_holes
from streaming_process import forget, run
from streaming_reading import experts
from streaming_weights import SEED, config_of, make, task

from modeling_axk1 import AXK1Config, AXK1ForCausalLM
from modeling_axk1.environment import environment
from modeling_axk1.errors import UsageError
from modeling_axk1.model.memory_axk1 import Streaming, bytes_of
from modeling_axk1.stream.estimate import (
    Held,
    HitRate,
    Machine,
    TokenBytes,
    estimate,
    held_in,
    measured,
    token_bytes,
    uniform,
)
from modeling_axk1.stream.forecast import prepare_speed
from modeling_axk1.weights.encodings import encoding_named

STORED = ("bf16", "fp8", "int8", "int4")
# What the other machines do is assumed: their makers' figures for the disk, and three fifths of those for the memory,
# as a product of one row reaches elsewhere.
LAPTOP = {"memory": 64e9, "read": 7e9, "memory_speed": 100e9, "what": "64 GB, disk 7 GB/s, memory 100 GB/s"}
WORKSTATION = {"memory": 192e9, "read": 14e9, "memory_speed": 300e9, "what": "192 GB, disk 14 GB/s, memory 300 GB/s"}
OF_MEMORY_SPEED = 0.6
# Of what a person gives, what is not for weights: the process, latents of 4,096 tokens, a prompt's passing.
BESIDE_WEIGHTS = 2 * 2**30
MODEL, POLICY = "wide, balanced", "lfu"
_REPEATS = 3


def measured_curve(folder: Path, caps: list[str], tokens: int, machine: Machine) -> Iterator[dict[str, Any]]:
    """Run under every cap, and compute the same."""
    weights = token_bytes(json.loads((folder / "config.json").read_text()))
    for cap in caps:
        forget([folder])
        report = run(task(folder, tokens, who="ours", options={"memory": cap}))
        if "stopped" in report:
            print(f"{cap} is too little for this checkpoint", flush=True)
            continue
        later = report["passes"][1 + tokens // 2 :]
        held = Held(report["plan_fixed_bytes"], report["plan_expert_slots"])
        visits = sum(each["hits"] + each["misses"] for each in later)
        # A guess that came in time is a hit too, and its bytes were read all the same: what is read decides.
        rest = max(0, weights.rest - held.rest)
        read = statistics.mean(each["bytes_read"] for each in later)
        found = 1 - max(0.0, read - rest) / weights.routed
        row = {
            "memory": cap,
            "memory_bytes": bytes_of(cap),
            "expert_slots": held.experts,
            "share_held": round(held.experts / weights.experts, 4),
            "tokens_per_second": round(len(later) / sum(each["seconds"] for each in later), 4),
            "bytes_read_per_token": round(read),
            "hits_with_guesses": round(sum(each["hits"] for each in later) / visits, 4),
            "found_in_cache": round(found, 4),
            "peak_bytes": report["peak_bytes"],
        }
        for name, hit_rate in (("even routing", uniform), ("the hit rate found", lambda _, x=found: max(0.0, x))):
            both = [estimate(weights, held, machine, hit_rate=hit_rate, overlap=over).seconds for over in (True, False)]
            row[name] = {"overlapped": round(1 / both[0], 4), "one after another": round(1 / both[1], 4)}
        print(row, flush=True)
        yield row


def computing_speeds(stored: str, tiny: bool) -> tuple[float, float | None]:
    """Bytes of weights a second that a token is multiplied with when all are in memory: two layers of the release's.

    And those of experts a second that are made ready for it.
    """
    config = config_of(1, None if tiny else 16, tiny)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "checkpoint"
        make_of_holes(folder, config, stored, 3)
        weights = token_bytes(json.loads((folder / "config.json").read_text()))
        seconds = run(task(folder, 1, who="ours", options={"memory": 2**40}, again=True))["seconds_of_a_token_again"]
        model = AXK1ForCausalLM.from_pretrained(folder, memory=2**40)
        prepare = prepare_speed(model.streamed.experts, torch.get_num_threads())
    return weights.met / seconds, prepare


def reading_speed(folder: Path, nbytes: int) -> float:
    """Bytes a second at which experts come, read as the model reads them by default."""
    pieces = AXK1ForCausalLM.from_pretrained(folder, memory=2**40).streamed.experts.pieces
    found = []
    for number in range(_REPEATS):
        forget([folder])
        usual = Streaming()
        found.append(experts(pieces, nbytes, usual.threads, usual.direct, True, SEED + number))
    return statistics.median(found)


def computed(
    machine: str,
    memory: float,
    read: float,
    speeds: dict[str, tuple[float, float | None]],
    routing: dict[str, HitRate],
) -> Any:
    """The release on a machine, in every form, from the least memory to all it has."""
    for stored, weights in release().items():
        compute, prepare = speeds[stored]
        speed = Machine(read, compute, prepare=prepare)
        points = [size * 2**30 for size in (6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160)]
        for given in [*(point for point in points if point < memory), int(memory)]:
            try:
                held = held_in(weights, given - BESIDE_WEIGHTS)
            except UsageError:
                continue  # too little for this form
            row = {"machine": machine, "stored": stored, "memory_bytes": given, "share_held": 0.0, "computed": True}
            row["share_held"] = round(held.experts / weights.experts, 4)
            row["bytes_met_per_token"] = weights.met
            for name, hit_rate in routing.items():
                one = estimate(weights, held, speed, hit_rate=hit_rate)
                alone = estimate(weights, held, speed, hit_rate=hit_rate, overlap=False)
                row[name] = {
                    "hit_rate": round(one.hit_rate, 4),
                    "bytes_read_per_token": round(one.bytes_read),
                    "seconds_per_token": round(one.seconds, 3),
                    "seconds_per_token_one_after_another": round(alone.seconds, 3),
                }
            yield row


@cache
def release() -> dict[str, TokenBytes]:
    """What a token meets of the release in every form."""
    config = AXK1Config().to_dict()
    return {name: token_bytes(config, None if name == "bf16" else encoding_named(name)) for name in STORED}


def measured_routing(results: Path) -> HitRate | None:
    """The hit rate by share held of small models on text in turns, where streaming_policies.py has measured it."""
    path = results / "streaming_policies.json"
    if not path.exists():
        return None
    found = next((one for one in json.loads(path.read_text())["models"] if one["model"] == MODEL), None)
    if found is None:
        return None
    rates = found["texts"][-1]["hit_rates"]
    return measured([(one["share"], one[POLICY]) for one in rates])


def main() -> None:
    """Measure, compute and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    caps = ["4GiB", "6GiB", "8GiB", "12GiB", "16GiB", "20GiB"]
    parser.add_argument("--memory", nargs="+", default=caps, help="caps, one after another")
    parser.add_argument("--sparse-layers", type=int, default=2)
    parser.add_argument("--experts", type=int, help="routed experts in a layer, for a trial; the release has 192")
    parser.add_argument("--tokens", type=int, default=48, help="tokens after the prompt")
    parser.add_argument("--reading-bytes", default="4GB", help="how much a measurement of reading reads")
    parser.add_argument("--folder", type=Path, help="where the checkpoint is or shall stay; else a temporary folder")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to see that this works")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where to write")
    options = parser.parse_args()
    config = config_of(options.sparse_layers, options.experts, options.tiny)
    speeds = {stored: computing_speeds(stored, options.tiny) for stored in STORED}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "checkpoint"
        make(folder, config)
        here = Machine(reading_speed(folder, bytes_of(options.reading_bytes)), speeds["bf16"][0])
        curve = list(measured_curve(folder, options.memory, options.tokens, here))
    routing: dict[str, HitRate] = {"even routing": uniform}
    if (small := measured_routing(options.out)) is not None:
        routing["routing of small models"] = small
    own = environment()
    rows = list(computed("this machine", own["machine"]["memory_gib"] * 2**30, here.read, speeds, routing))
    for name, other in (("laptop", LAPTOP), ("workstation", WORKSTATION)):
        times = OF_MEMORY_SPEED * other["memory_speed"] / speeds["bf16"][0]
        scaled = {
            stored: (min(times * compute, times * speeds["bf16"][0]), prepare and times * prepare)
            for stored, (compute, prepare) in speeds.items()
        }
        rows += computed(name, other["memory"], other["read"], scaled, routing)
    result = {
        "command": "python benchmarks/streaming_curve.py",
        "seed": SEED,
        "config": json.loads(config.to_json_string()),
        "tokens": options.tokens,
        "threads": torch.get_num_threads(),
        "bytes_read_per_second": round(here.read),
        "bytes_computed_per_second": {stored: round(speed) for stored, (speed, _) in speeds.items()},
        "bytes_made_ready_per_second": {stored: ready and round(ready) for stored, (_, ready) in speeds.items()},
        "measured": curve,
        "assumed": {
            "laptop": LAPTOP,
            "workstation": WORKSTATION,
            "share_of_memory_speed": OF_MEMORY_SPEED,
            "bytes_beside_weights": BESIDE_WEIGHTS,
            "encoded_weights": "are multiplied, and made ready, as much slower than BF16 there as on this machine",
            "routing_of_small_models": f"{MODEL}, {POLICY}, text in turns; from streaming_policies.json",
            "reading": "is overlapped with computing wholly, unless one after another is said",
        },
        "computed": rows,
        **own,
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (options.out / "streaming_curve.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
