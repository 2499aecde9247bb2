"""What a checkpoint holds, read from its headers alone: a terabyte is described by reading a few megabytes."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from modeling_axk1.weights.checkpoint import Checkpoint, open_checkpoint
from modeling_axk1.weights.coverage import coverage, layout_of
from modeling_axk1.weights.names import is_axk1, parameters
from modeling_axk1.weights.store import Store


@dataclass(frozen=True)
class Inspection:
    """The facts of a checkpoint; what only A.X K1's config can tell is None without one."""

    place: str
    part: str | None  # which part of a model this is, None for a whole one
    shards: int
    tensors: int
    parameters: int
    active_parameters: int | None  # None for a part too: how many of its experts a token meets depends on the token
    bytes: int
    dtypes: dict[str, int]  # tensors of each
    layout: str
    missing: list[str] | None
    extra: list[str] | None
    strangers: list[str]  # *.safetensors files beside it that are no part of it, a line each
    bytes_read: int | None  # over a network; None for a folder


def inspect(place: Path | Store) -> Inspection:
    """Describe the checkpoint in a folder or another place; raises WeightsError when its files are not sound.

    Example: `inspect(open_place("skt/A.X-K1")).parameters`.
    """
    return describe(open_checkpoint(place, beside_others=True))


def describe(checkpoint: Checkpoint) -> Inspection:
    """Describe a sound checkpoint that was read already; raises WeightsError when its config names no model."""
    tensors = {name: tensor for _, name, tensor in checkpoint.tensors()}
    config = checkpoint.config if is_axk1(checkpoint.config or {}) else None
    differences = coverage(checkpoint) if config else None
    return Inspection(
        place=checkpoint.store.name,
        part=str(checkpoint.cut) if checkpoint.cut else None,
        shards=len(checkpoint.shards),
        tensors=len(tensors),
        parameters=differences.parameters if differences else sum(tensor.elements for tensor in tensors.values()),
        active_parameters=parameters(config).active if config and not checkpoint.cut else None,
        bytes=sum(tensor.nbytes for tensor in tensors.values()),
        dtypes=dict(Counter(tensor.dtype for tensor in tensors.values()).most_common()),
        layout=layout_of(tensors),
        missing=differences.missing if differences else None,
        extra=differences.extra if differences else None,
        strangers=checkpoint.strangers,
        bytes_read=checkpoint.store.bytes_read,
    )
