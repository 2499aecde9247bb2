"""What a memory cap will give and cost, before a weight is read: the plan, and how long a token will take.

The plan is the one that loading would make, from the shards' headers. Two speeds decide the rest: the disk's, given or
measured by reading a sample of the shards, and the machine's at multiplying experts and making them ready for that,
measured with numbers that are all alike.
"""

import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from modeling_axk1.errors import UsageError
from modeling_axk1.model.memory_axk1 import MemoryPlan, Streaming, asked_for
from modeling_axk1.model.reading_axk1 import ALIGNMENT, AlignedMemory, Extent, ShardReader, aligned, in_parallel
from modeling_axk1.model.streaming_axk1 import StreamedPieces
from modeling_axk1.stream.estimate import Estimate, Held, Machine, estimate, token_bytes
from modeling_axk1.stream.opening import Loading, folder_of, one_line

# Tokens: a short question, and a page.
_PROMPTS = (20, 500)
_SAMPLE_BYTES = 2**30
_SAMPLE_SECONDS = 3.0
_CHUNK = 8 * 2**20
_BYTE = 0x3F


@dataclass(frozen=True)
class Forecast:
    """What to expect; speeds are in bytes a second.

    Attributes:
        plan: where memory goes; None when only experts are bounded, and everything else is in memory.
        held: what stays in memory.
        experts: routed experts of all layers, `expert_bytes` each.
        read: speed of the disk, `read_measured` or given.
        compute: speed at which an expert in memory is multiplied.
        prepare: speed at which experts of 8 or 4 bits are made ready for that; None: they are as they come.
        token: a token after others, if every expert were visited equally often: real text does better.
        prompts: {tokens: what a prompt of so many costs}, likewise.

    """

    plan: MemoryPlan | None
    held: Held
    experts: int
    expert_bytes: int
    met: int
    read: float
    read_measured: bool
    compute: float
    prepare: float | None
    token: Estimate
    prompts: dict[int, Estimate]

    def as_json(self) -> dict[str, Any]:
        """Return the figures for machines; bytes and seconds."""
        plan = None if self.plan is None else asdict(self.plan) | {"total": self.plan.total}
        if plan is not None:
            plan["fixed"] = len(plan["fixed"])
        passes = {1: self.token, **self.prompts}
        token, *prompts = (asdict(one) | {"tokens": tokens, "seconds": one.seconds} for tokens, one in passes.items())
        return asdict(self) | {"plan": plan, "token": token, "prompts": prompts}


def forecast(place: str, loading: Loading, read: float | None = None) -> Forecast:
    """Return what loading `place` so would give; `read` is the disk's speed, measured by a sample where it is None.

    Raises UsageError without a cap, and for one that is too small, naming the least that would do.
    """
    from modeling_axk1.model.configuration_axk1 import AXK1Config

    sizes = loading.sizes()
    if not sizes:
        raise UsageError("--dry-run plans weights read on demand: it goes with --memory or --expert-memory")
    folder = folder_of(place, loading)
    assert folder is not None
    if read is None and not Path(place).is_dir():
        raise UsageError("--disk-speed must say what comes in a second of a place that is not here, like 100MB")
    with one_line(place):
        config = AXK1Config.from_pretrained(folder)
        asked = asked_for({**sizes, "streaming": loading.options(config)})
        assert asked is not None
        model, streamed = _standing(str(folder), asked)
    weights, slots = token_bytes(config.to_dict()), streamed.experts.slots + len(streamed.experts.fixed)
    held = Held(weights.rest if streamed.plan is None else min(weights.rest, streamed.plan.fixed_bytes), slots)
    extents = [extent for piece in streamed.experts.pieces.values() for extent in piece.values()]
    compute = compute_speed(model)
    speed = read or read_speed(extents, asked.threads, asked.direct)
    prepare = prepare_speed(streamed.experts, torch.get_num_threads())
    machine = Machine(speed, compute, prepare=prepare)
    return Forecast(
        plan=streamed.plan,
        held=held,
        experts=weights.experts,
        expert_bytes=weights.expert,
        met=weights.met,
        read=speed,
        read_measured=read is None,
        compute=compute,
        prepare=prepare,
        token=estimate(weights, held, machine),
        prompts={tokens: estimate(weights, held, machine, tokens=tokens) for tokens in _PROMPTS},
    )


def _standing(folder: str, asked: Streaming) -> tuple[Any, Any]:
    """Return the model without weights, and what it would read on demand."""
    from modeling_axk1.model.attach_axk1 import stream_weights
    from modeling_axk1.model.checkpoint_axk1 import match_checkpoint
    from modeling_axk1.model.configuration_axk1 import AXK1Config
    from modeling_axk1.model.modeling_axk1 import AXK1ForCausalLM
    from modeling_axk1.model.quantised_axk1 import take_over, taken_over

    config = take_over(AXK1Config, folder, {}).get("config") or AXK1Config.from_pretrained(folder)
    quantisation = taken_over(config)
    with torch.device("meta"):
        model = AXK1ForCausalLM._from_config(config, dtype=config.dtype or torch.bfloat16).eval()
    files = sorted(map(str, Path(folder).glob("*.safetensors")))
    wanted = SimpleNamespace(
        sharded_metadata=None, weight_mapping=None, ignore_mismatched_sizes=False, hf_quantizer=None
    )
    found = match_checkpoint(model, files, wanted, quantisation)
    alike = _AllAlike()
    streamed = stream_weights(model, found, replace(asked, reader=alike))
    alike.armed = True
    return model, streamed


class _AllAlike(ShardReader):
    """Reads headers from shards, and then the same byte for everything: of no form of a number is it zero or NaN."""

    armed = False

    def read(self, file: str, start: int, nbytes: int, buffer: memoryview) -> None:
        if not self.armed:
            super().read(file, start, nbytes, buffer)
            return
        np.frombuffer(buffer, np.uint8).fill(_BYTE)


def compute_speed(model: Any) -> float:
    """Return how many bytes of an expert in memory are multiplied with a token in a second."""
    sparse = next((layer for layer in model.base_model.layers if layer.is_sparse), None)
    if sparse is None:
        raise UsageError("a forecast needs a model with routed experts")
    experts, dtype = sparse.mlp.experts, model.dtype
    token = torch.zeros(1, model.config.hidden_size, dtype=dtype)
    visit = torch.zeros(1, 1, dtype=torch.long), torch.ones(1, 1)
    with torch.no_grad():
        experts(token, *visit)  # reads it
        best, until = math.inf, time.perf_counter() + 0.3
        while best == math.inf or time.perf_counter() < until:
            began = time.perf_counter()
            experts(token, *visit)
            best = min(best, time.perf_counter() - began)
    nbytes = sum(extent.nbytes for extent in experts.pieces.pieces[experts.layer_idx, 0].values())
    return nbytes / best


def prepare_speed(pieces: StreamedPieces[Any], threads: int) -> float | None:
    """Return how many bytes of experts so many threads make ready in a second; None where there is nothing to do."""
    (key, extents), prepare = next(iter(pieces.pieces.items())), pieces.prepare
    assert prepare is not None

    def read() -> dict[str, torch.Tensor]:
        alike = {name: torch.full((extent.nbytes,), _BYTE, dtype=torch.uint8) for name, extent in extents.items()}
        return {name: alike[name].view(extent.dtype).view(extent.shape) for name, extent in extents.items()}

    if all(isinstance(weight, torch.Tensor) for weight in prepare(key, read()).values()):
        return None
    experts = [read() for _ in range(2 * threads)]
    began = time.perf_counter()
    in_parallel(lambda tensors: prepare(key, tensors), experts, threads)
    nbytes = sum(extent.nbytes for extent in extents.values())
    return len(experts) * nbytes / (time.perf_counter() - began)


def read_speed(extents: list[Extent], threads: int = 4, direct: bool = True) -> float:
    """Return the bytes a second at which experts come from the shards, as loading would read them.

    Experts are spread over the whole checkpoint, some seconds of them. Where direct reads are not possible, a file that
    was just written comes from the memory of the system.
    """
    step = max(1, len(extents) * extents[0].nbytes // _SAMPLE_BYTES)
    chosen = extents[::step][: max(1, _SAMPLE_BYTES // extents[0].nbytes)]
    reads = [
        (extent.file, extent.start + first, min(_CHUNK, extent.nbytes - first))
        for extent in chosen
        for first in range(0, extent.nbytes, _CHUNK)
    ]
    memories = [AlignedMemory(_CHUNK + 2 * ALIGNMENT, pinned=False) for _ in range(threads)]
    for memory in memories:
        memory.bytes.zero_()  # now, as the system's finding it is none of the disk's time
    reader, done = ShardReader(direct), []
    began = time.perf_counter()

    def read(one: tuple[str, int, int]) -> None:
        if time.perf_counter() - began > _SAMPLE_SECONDS:
            return
        memory = memories.pop()
        file, start, nbytes = one
        reader.read(file, start, nbytes, memory.view[: aligned(start % ALIGNMENT + nbytes)])
        memories.append(memory)
        done.append(nbytes)

    in_parallel(read, reads, threads)
    return sum(done) / (time.perf_counter() - began)
