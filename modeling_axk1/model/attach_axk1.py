# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""A model that stands without weights is let read them from the shards on demand, within the memory that it may have.

This file travels to the hub beside modeling_axk1.py and imports nothing of this package.
"""

import ctypes
import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from .checkpoint_axk1 import CheckpointTensor
from .memory_axk1 import Places, Streaming, plan_memory, process_bytes
from .modeling_axk1 import AXK1Config, AXK1PreTrainedModel
from .policies_axk1 import POLICIES
from .products_axk1 import PackedWeight, made_ready
from .quantised_axk1 import EncodedTensor, EncodedWeight, Quantisation
from .reading_axk1 import Piece, Reading, ShardReader
from .streamed_axk1 import (
    PIECES_TOGETHER,
    AXK1EncodedLinear,
    AXK1StreamedEmbedding,
    AXK1StreamedExperts,
    AXK1StreamedHead,
    LayerWeights,
    Streamed,
    Weight,
)
from .streaming_axk1 import StreamedPieces, room_for

Ready: TypeAlias = Callable[[EncodedWeight], EncodedWeight | PackedWeight] | None
# A head's block of rows, and what the process takes beside weights and a prompt's passing: threads, kernels, strips.
_BLOCK_BYTES = 256 * 2**20
_OVERHEAD_BYTES = 192 * 2**20


def stream_weights(model: AXK1PreTrainedModel, found: dict[str, CheckpointTensor], streaming: Streaming) -> Streamed:
    """Let a model that stands without weights read them on demand; what it shall hold itself stays in `found`.

    Raises ValueError if the memory is less than the least that would do, naming that.
    """
    reading = Reading(streaming.reader or ShardReader(streaming.direct), streaming.threads)
    places = Places(reading.reader)
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
    expert_pieces = _expert_pieces(model, prefix, found, places)
    expert_bytes = max((room_for(piece) for piece in expert_pieces.values()), default=0)
    config, plan, rest, layers = model.config, None, None, {}
    # Where there is a GPU, weights go to it as they are stored.
    ready = made_ready if model.dtype == torch.bfloat16 and not torch.cuda.is_available() else None
    if streaming.memory is None:
        slots = (streaming.expert_memory or 0) // max(1, expert_bytes)
        if expert_pieces and not slots:
            raise ValueError(f"expert_memory must be at least {expert_bytes:,} bytes, one expert of this model")
    else:
        rest_pieces, decoded_bytes = _rest_pieces(model, prefix, found, places)
        if (table := found.pop(f"{prefix}embed_tokens.weight", None)) is not None:
            (extent,) = places.weight("weight", table).values()
            model.base_model.embed_tokens = AXK1StreamedEmbedding(extent, reading.reader, model.dtype)
        held = sum(math.prod(tensor.shape) * tensor.dtype.itemsize for tensor in found.values())
        plan = plan_memory(
            streaming.memory,
            process_bytes() + held + _OVERHEAD_BYTES,
            passing_bytes(config, model.dtype.itemsize, streaming.context),
            {key: room_for(piece) + decoded_bytes.get(key, 0) for key, piece in rest_pieces.items()},
            expert_bytes,
            len(expert_pieces),
            config.num_experts_per_tok,
        )
        slots = plan.expert_slots
        prepare = partial(_rest_weights, quantisation=places.quantisation, dtype=model.dtype, ready=ready)
        rest = StreamedPieces(rest_pieces, plan.rest_slots, reading, None, plan.fixed, prepare)
        layers = _attach_rest(model, rest)
    # Hot experts stay, in half of what a token's others leave: a profile of other text than the one at hand is worse
    # than no profile (benchmarks/streaming_policies.py), and the other half learns.
    spare = max(0, slots - config.num_experts_per_tok)
    hot = [key for key in streaming.hot if key in expert_pieces][: spare // 2]
    experts = StreamedPieces(
        expert_pieces,
        slots - len(hot),
        reading,
        POLICIES[streaming.policy](slots - len(hot)),
        hot,
        partial(_expert_weights, quantisation=places.quantisation, ready=ready),
        pin_memory=torch.cuda.is_available(),
    )
    _attach_experts(model, experts, streaming.guess)
    _bring_what_is_held(model, found, places, mapped=streaming.memory is None)
    return Streamed(experts, rest, layers, plan)


def _bring_what_is_held(
    model: AXK1PreTrainedModel, found: dict[str, CheckpointTensor], places: Places, mapped: bool
) -> None:
    """Let the model load what it holds: mapped from the shards as ever, or copied.

    What is mapped changes when a shard does, so then every pass begins with a look at the shards.
    """
    files = set()
    for tensor in found.values():
        for stored, _ in tensor.parts:
            for part in (stored.numbers, stored.scales) if isinstance(stored, EncodedTensor) else (stored,):
                extent = places.of(part)
                places.reader.bring(extent.file, extent.start, extent.nbytes)
                files.add(extent.file)
        if not mapped:
            tensor.as_stored = None

    def look(*_: Any) -> None:
        for file in files:
            places.reader.bring(file, 0, 0)

    if mapped:
        model.base_model.register_forward_pre_hook(look)


def passing_bytes(config: AXK1Config, itemsize: int, context: int) -> int:
    """Return what runs through the model beside its weights takes: latents of `context` tokens, a prompt's piece.

    Measured, not only counted: `benchmarks/streaming.py` holds the plan's total against the kernel's peak.
    """
    D, F_, K = config.hidden_size, config.moe_intermediate_size, config.num_experts_per_tok
    latents = context * (config.kv_lora_rank + config.qk_rope_head_dim) * config.num_hidden_layers
    tokens = min(context, 1024)
    together = min(context, PIECES_TOGETHER * 1024)
    experts = together * (K + 4) * D + tokens * 8 * F_
    heads = tokens * config.num_attention_heads * (3 * config.qk_head_dim + 2 * config.v_head_dim)
    dense = tokens * (6 * D + 3 * config.intermediate_size)
    return (
        itemsize * (latents + max(experts, heads + 4 * together * D, dense + 4 * together * D))
        + 2 * 4 * config.vocab_size
    )


def _expert_pieces(
    model: AXK1PreTrainedModel, prefix: str, found: dict[str, CheckpointTensor], places: Places
) -> dict[tuple[int, int], Piece]:
    """Return where each expert of each layer lies, and take experts out of `found`."""
    pieces: dict[tuple[int, int], Piece] = {}
    for i, layer in enumerate(model.base_model.layers):
        names = {name: f"{prefix}layers.{i}.mlp.experts.{name}" for name in ("gate_up_proj", "down_proj")}
        if not layer.is_sparse or not found.keys() >= set(names.values()):
            continue  # of a prediction layer that the checkpoint lacks
        tensors = {name: found.pop(full) for name, full in names.items()}
        for e in range(model.config.n_routed_experts):
            parts = [places.expert(e, name, tensor) for name, tensor in tensors.items()]
            pieces[i, e] = {name: extent for part in parts for name, extent in part.items()}
    return pieces


def _expert_weights(
    key: Any, tensors: dict[str, Tensor], quantisation: Quantisation | None, ready: Ready
) -> dict[str, Weight]:
    weights = _joined(tensors, quantisation)
    if ready is not None:
        weights = {name: ready(w) if isinstance(w, EncodedWeight) else w for name, w in weights.items()}
    gate, up = weights.get("gate_up_proj.0"), weights.get("gate_up_proj.1")
    if isinstance(gate, Tensor) and isinstance(up, Tensor):
        return {"gate_up_proj": _moved_together(gate, up), "down_proj": weights["down_proj"]}
    return weights


def _joined(tensors: dict[str, Tensor], quantisation: Quantisation | None) -> dict[str, Weight]:
    """Put the parts of encoded weights together under their names."""
    weights: dict[str, Weight] = {}
    for name, tensor in tensors.items():
        if name.endswith(".numbers"):
            assert quantisation is not None
            weight = name.removesuffix(".numbers")
            weights[weight] = EncodedWeight(tensor, tensors[f"{weight}.scales"], quantisation)
        elif not name.endswith(".scales"):
            weights[name] = tensor
    return weights


def _moved_together(gate_FD: Tensor, up_FD: Tensor) -> Tensor:
    """Move `up_FD` within the slot that both lie in, so that they are one matrix: the one that is multiplied otherwise.

    The places overlap, which a copy of torch's must not; memmove may, and lets other threads run.
    """
    target = gate_FD.data_ptr() + gate_FD.nbytes
    if up_FD.data_ptr() != target:
        ctypes.memmove(target, up_FD.data_ptr(), up_FD.nbytes)
    shape = (len(gate_FD) + len(up_FD), gate_FD.shape[1])
    return gate_FD.new_empty(0).set_(gate_FD.untyped_storage(), gate_FD.storage_offset(), shape)


def _rest_pieces(
    model: AXK1PreTrainedModel, prefix: str, found: dict[str, CheckpointTensor], places: Places
) -> tuple[dict[Any, Piece], dict[Any, int]]:
    """Return the pieces of the rest in the order of their use, and what those need that are decoded as a whole.

    Linear layers are what there is to gain; norms, routers and biases are small, and stay in `found`.
    """
    pieces: dict[Any, Piece] = {}
    decoded_bytes: dict[Any, int] = {}

    def add(key: Any, name: str, module: nn.Linear, full: str) -> None:
        tensor = found.pop(full)
        stored, _ = tensor.parts[0]
        pieces[key] = {**pieces.get(key, {}), **places.weight(name, tensor)}
        is_encoded = isinstance(stored, EncodedTensor)
        if is_encoded and not name.endswith("kv_b_proj"):  # attention uses its weight directly
            module.__class__ = AXK1EncodedLinear
        elif is_encoded or stored.dtype != _STORED[tensor.dtype]:
            decoded_bytes[key] = decoded_bytes.get(key, 0) + math.prod(tensor.shape) * tensor.dtype.itemsize
        module._parameters["weight"] = None

    for i, layer in enumerate(model.base_model.layers):
        for name, module in layer.named_modules():
            if isinstance(module, nn.Linear) and f"{prefix}layers.{i}.{name}.weight" in found:
                add(i, name, module, f"{prefix}layers.{i}.{name}.weight")
    if "lm_head.weight" in found and not model.config.tie_word_embeddings:
        (extent,) = places.weight("weight", found.pop("lm_head.weight")).values()
        rows = max(1, _BLOCK_BYTES // extent.part(0).nbytes // 64 * 64)
        for first in range(0, extent.shape[0], rows):
            pieces["lm_head", first] = {"weight": extent.rows(first, first + rows)}
    return pieces, decoded_bytes


def _rest_weights(
    key: Any, tensors: dict[str, Tensor], quantisation: Quantisation | None, dtype: torch.dtype, ready: Ready
) -> dict[str, Weight]:
    weights = _joined(tensors, quantisation)
    for name, weight in weights.items():
        if isinstance(weight, EncodedWeight):
            if name.endswith("kv_b_proj"):
                weights[name] = nn.Parameter(weight.decoded(slice(0, weight.rows), dtype), requires_grad=False)
            elif ready is not None:
                weights[name] = ready(weight)
        else:
            weights[name] = nn.Parameter(weight.to(dtype), requires_grad=False)
    return weights


def _attach_rest(model: AXK1PreTrainedModel, rest: StreamedPieces[Any]) -> dict[int, LayerWeights]:
    """Let every layer have its weights while it runs, and the head those of its blocks."""
    order = list(rest.pieces)
    if blocks := [key for key in order if not isinstance(key, int)]:
        model.lm_head = AXK1StreamedHead(blocks, rest)
    return {
        key: LayerWeights(rest, key, model.base_model.layers[key], (order[place + 1 :] + order[:place])[:2])
        for place, key in enumerate(order)
        if isinstance(key, int)
    }


def _attach_experts(model: AXK1PreTrainedModel, experts: StreamedPieces[tuple[int, int]], guess: bool) -> None:
    """Put modules that read their experts in place of those that hold them."""
    before: tuple[AXK1StreamedExperts, Any] | None = None
    for i in sorted({i for i, _ in experts.pieces}):
        layer = model.base_model.layers[i]
        layer.mlp.experts = AXK1StreamedExperts(model.config, i, experts)
        if guess and before is not None:
            before[0].guess_next(before[1].post_attention_layernorm, layer.post_attention_layernorm, layer.mlp.gate, i)
        before = (layer.mlp.experts, layer)


_STORED = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


__all__ = ["passing_bytes", "stream_weights"]
