"""How long a token takes under a memory cap, before anything is loaded: from the config and two speeds of a machine.

    weights = token_bytes(config, encoding_named("int4"))       # what a token meets
    held = held_in(weights, 12 * 2**30)                         # what of it stays in memory
    estimate(weights, held, Machine(read=7e9, compute=60e9, flops=1e12)).seconds

A token meets all of the *rest* (attention, shared experts, routers, norms, output head) and few routed experts. What
is not in memory is read; what is met is multiplied, and for a single token that costs as long as passing over its bytes
does. So a token takes

    reading    (rest not held + visits x expert x share of misses) / read
    computing  (rest + visits x expert) / compute
    seconds    the longer of both where reading is overlapped by computing wholly, their sum where it is not at all

`benchmarks/streaming_curve.py` holds this against what a machine does. No torch is needed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from modeling_axk1.errors import UsageError
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.encodings import Encoding, quantised_config, stored_tensors
from modeling_axk1.weights.names import expected_tensors, layer_kinds, parameters

HitRate = Callable[[float], float]
"""From the share of all routed experts that is in memory to the share of visits that find theirs there."""


@dataclass(frozen=True)
class TokenBytes:
    """What a token meets of a stored model; sizes are in bytes.

    Attributes:
        expert: of one routed expert, with its scales.
        experts: number of them, all layers together.
        layers: number of layers that have them.
        per_layer: how many of them a token visits in each.
        rest: what every token needs whole: everything but routed experts and the embedding table.
        piece: of `rest`, that of a usual layer. What is not held passes through memory in pieces of this size; larger
            layers are held first, and the head comes in smaller blocks.
        embeddings: the embedding table, of which a token needs one row.
        active: parameters that a token is multiplied with.

    """

    expert: int
    experts: int
    layers: int
    per_layer: int
    rest: int
    piece: int
    embeddings: int
    active: int

    @property
    def visits(self) -> int:
        """Routed experts that a token visits, all layers together."""
        return self.layers * self.per_layer

    @property
    def routed(self) -> int:
        """Bytes of the routed experts that a token visits."""
        return self.visits * self.expert

    @property
    def met(self) -> int:
        """Bytes that a token is multiplied with."""
        return self.routed + self.rest

    def distinct(self, tokens: int) -> float:
        """Experts that `tokens` tokens at once visit, as many as different ones if each chose without regard to others.

        Real tokens of one text agree more than that, and visit fewer.
        """
        of_layer = self.experts / max(1, self.layers)
        return self.experts * (1 - (1 - self.per_layer / of_layer) ** tokens) if self.experts else 0.0


def token_bytes(config: Mapping[str, Any], encoding: Encoding | None = None) -> TokenBytes:
    """Return what a token meets of the model of this config.json, stored in BF16 or in an `encoding`.

    A config with a quantization_config of its own is taken as it is. Raises WeightsError for one that names no model.

    Example: the release in BF16 has 42 GB of routed experts for a token, and 23 GB of the rest with the embeddings.
    """
    if encoding is not None:
        config = quantised_config(config, encoding)
    tensors = stored_tensors(config) if "quantization_config" in config else expected_tensors(config)
    kinds = layer_kinds(config)
    routed = rest = embeddings = 0
    parts: dict[str, int] = {}
    for name, spec in tensors.items():
        nbytes, place = nbytes_of(spec.dtype or "BF16", spec.shape), name.split(".")
        part = place[2] if place[1] == "layers" else place[0]
        if part.isdigit() and int(part) >= len(kinds):
            continue  # a prediction layer only drafts
        if ".mlp.experts." in name:
            routed += nbytes
        elif ".embed_tokens." in name:
            embeddings += nbytes
        else:
            rest += nbytes
            parts[part] = parts.get(part, 0) + nbytes
    layers = kinds.count("sparse")
    experts = layers * config["n_routed_experts"]
    return TokenBytes(
        expert=routed // experts if experts else 0,
        experts=experts,
        layers=layers,
        per_layer=config["num_experts_per_tok"] if layers else 0,
        rest=rest,
        piece=sorted(size for part, size in parts.items() if part.isdigit())[len(kinds) // 2],
        embeddings=embeddings,
        active=parameters(config).active - config["vocab_size"] * config["hidden_size"],
    )


@dataclass(frozen=True)
class Held:
    """What stays in memory: bytes of the rest, and a number of routed experts.

    Of a loaded model's plan it is `Held(plan.fixed_bytes, plan.expert_slots)`.
    """

    rest: int
    experts: int


def held_in(weights: TokenBytes, memory: int) -> Held:
    """Divide `memory` bytes, all for weights, as a loaded model does: the rest first, then experts.

    If the rest does not fit beside a token's experts of one layer, what fits of it stays, and two pieces pass. Raises
    UsageError, with the least that would do, if there is no room for one expert then.
    """
    at_once = weights.per_layer * weights.expert
    if memory >= weights.rest + at_once:
        rest, left = weights.rest, memory - weights.rest
    else:
        left = memory - 2 * weights.piece
        rest = min(max(0, left - at_once), weights.rest)
        left -= rest
    if left < min(weights.experts, 1) * weights.expert:
        least = 2 * weights.piece + weights.expert
        raise UsageError(f"memory for weights must be at least {least:,} bytes for this model, got {memory:,}")
    return Held(rest, min(weights.experts, left // weights.expert) if weights.expert else 0)


@dataclass(frozen=True)
class Machine:
    """Speeds, in bytes and operations a second.

    Attributes:
        read: at which weights come from the disk.
        compute: at which a token is multiplied with weights that are in memory; the memory's own at the best.
        flops: at which many tokens at once are, where arithmetic is the limit; None: never.
        prepare: at which experts that were read are made ready for it, by all cores; None: they are as they come.

    """

    read: float
    compute: float
    flops: float | None = None
    prepare: float | None = None


@dataclass(frozen=True)
class Estimate:
    """What one pass through the model costs: a token after others, or a prompt."""

    hit_rate: float
    bytes_read: float
    reading: float
    computing: float
    overlap: bool

    @property
    def seconds(self) -> float:
        """The whole pass."""
        return max(self.reading, self.computing) if self.overlap else self.reading + self.computing


def uniform(share: float) -> float:
    """Return the hit rate if all experts are visited equally often: the least that any text gives, in the long run."""
    return share


def measured(points: Sequence[tuple[float, float]]) -> HitRate:
    """Return a hit rate that goes through measured points (share held, share of hits), straight between them.

    It begins at (0, 0) and ends at (1, 1): the points must lie between, shares rising, and hits not falling.
    """
    line = [(0.0, 0.0), *points, (1.0, 1.0)]
    for (x0, y0), (x1, y1) in pairwise(line):
        if not (x0 < x1 and y0 <= y1):
            raise UsageError(f"hit rates must rise with the share held, got {(x0, y0)} before {(x1, y1)}")

    def hit_rate(share: float) -> float:
        (x0, y0), (x1, y1) = next((low, high) for low, high in pairwise(line) if share <= high[0] or high is line[-1])
        return y0 + (y1 - y0) * (share - x0) / (x1 - x0)

    return hit_rate


def estimate(
    weights: TokenBytes,
    held: Held,
    machine: Machine,
    *,
    tokens: int = 1,
    hit_rate: HitRate = uniform,
    overlap: bool = True,
) -> Estimate:
    """Return what a pass of `tokens` tokens costs: 1 for each that is generated, a prompt's number for its reading.

    Experts that several tokens of a pass visit are read once.
    """
    hits = hit_rate(held.experts / weights.experts) if weights.experts else 1.0
    visited = weights.distinct(tokens)
    bytes_read = max(0, weights.rest - held.rest) + visited * weights.expert * (1 - hits)
    computing = (weights.rest + visited * weights.expert) / machine.compute
    if machine.flops is not None:
        computing = max(computing, 2 * weights.active * tokens / machine.flops)
    if machine.prepare is not None:
        computing += visited * weights.expert * (1 - hits) / machine.prepare
    return Estimate(hits, bytes_read, bytes_read / machine.read, computing, overlap)
