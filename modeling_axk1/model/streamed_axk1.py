# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""A.X K1 under a memory cap: the modules whose weights are read from the shards while they run.

Shapes are written as in modeling_axk1.py. The sums are those of the model in memory, in the same order and by the same
products, so that logits are the same to the last bit wherever weights are stored in the model's dtype.

This file travels to the hub beside modeling_axk1.py and imports nothing of this package.
"""

import ctypes
import math
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN

from .checkpoint_axk1 import CheckpointTensor
from .memory_axk1 import MemoryPlan, Places, Streaming, plan_memory, process_bytes
from .modeling_axk1 import (
    AXK1Config,
    AXK1PreTrainedModel,
    AXK1RMSNorm,
    AXK1TopkRouter,
    Collect,
    only_groups_filled,
    rows_times_transposed,
    sorted_by_expert,
)
from .quantised_axk1 import EncodedTensor, EncodedWeight, Quantisation
from .streaming_axk1 import POLICIES, Extent, Piece, Reader, Reading, ShardReader, StreamedPieces, read_extent, room_for

Weight: TypeAlias = Tensor | EncodedWeight
# A head's block of rows, and what the process takes beside weights and a prompt's passing: threads, kernels, strips.
_BLOCK_BYTES = 256 * 2**20
_OVERHEAD_BYTES = 192 * 2**20


def any_rows_times_transposed(x_PK: Tensor, weight: Weight, start: int, end: int, out_MN: Tensor) -> None:
    """Write `x_PK[start:end] @ weight.T` into `out_MN`, for weights in any stored form.

    What is not stored in the dtype of `x_PK` is brought into it by strips of rows: a few for a few tokens, so that a
    strip never leaves the cache, and all at once for many.
    """
    if isinstance(weight, Tensor) and weight.dtype == x_PK.dtype:
        rows_times_transposed(x_PK, weight, start, end, out_MN)
        return
    N = weight.shape[0] if isinstance(weight, Tensor) else weight.rows
    strip = N if end - start > _FEW_ROWS else max(16, _STRIP_BYTES // (x_PK.shape[1] * x_PK.itemsize) // 16 * 16)
    for first in range(0, N, strip):
        rows = slice(first, min(first + strip, N))
        part = weight[rows].to(x_PK.dtype) if isinstance(weight, Tensor) else weight.decoded(rows, x_PK.dtype)
        rows_times_transposed(x_PK, part, start, end, out_MN[:, rows])


_FEW_ROWS = 8
_STRIP_BYTES = 2**20


class AXK1StreamedExperts(nn.Module):
    """Routed experts that are read from the shards when a token visits them (`from_pretrained(expert_memory=...)`).

    The same sums as `AXK1Experts`, in the same order, to the same bits; experts are computed in the order in which
    they arrive, those in memory first. `guess_next` names the router of the next sparse layer and the norm before it:
    with the present hidden state they give a guess at the experts that it will need, read while this layer computes.
    """

    def __init__(self, config: AXK1Config, layer_idx: int, pieces: StreamedPieces[tuple[int, int]]) -> None:
        super().__init__()
        self.num_experts, self.layer_idx, self.pieces = config.n_routed_experts, layer_idx, pieces
        self.intermediate_size = config.moe_intermediate_size
        self.act_fn = ACT2FN[config.hidden_act]
        self._next: list[tuple[AXK1RMSNorm, AXK1TopkRouter, int]] = []  # in a list, so that they are no submodules
        self._residual_XD: Tensor | None = None

    def guess_next(self, norm_before: AXK1RMSNorm, norm: AXK1RMSNorm, router: AXK1TopkRouter, layer_idx: int) -> None:
        """Guess from what enters `norm_before`, this layer's own norm before its MLP."""
        self._next = [(norm, router, layer_idx)]
        norm_before.register_forward_pre_hook(self._see)

    def _see(self, module: nn.Module, inputs: tuple[Tensor]) -> None:
        self._residual_XD = inputs[0].flatten(0, 1)

    def _guess(self) -> list[tuple[int, int]]:
        """Return the experts that the next sparse layer may need, those of the most tokens first."""
        if not self._next or self._residual_XD is None:
            return []
        norm, router, layer_idx = self._next[0]
        _, _, experts_XK = router(norm(self._residual_XD))
        counts_E = experts_XK.flatten().bincount(minlength=self.num_experts)
        return [(layer_idx, e) for e in counts_E.argsort(descending=True).tolist() if counts_E[e]]

    def forward(self, hidden_XD: Tensor, experts_XK: Tensor, weights_XK: Tensor) -> Tensor:
        """Return what `AXK1Experts.forward` does."""
        order_P, token_P, places_XK, groups = sorted_by_expert(experts_XK, self.num_experts)
        rows = {(self.layer_idx, expert): (start, end) for expert, start, end in groups}
        self.pieces.want(rows)
        self.pieces.expect(self._guess())
        x_PD = hidden_XD.index_select(0, token_P)
        weights_P1 = weights_XK.flatten().index_select(0, order_P)[:, None].to(x_PD.dtype)
        # Zeros, as a product may fill up its rows with those of the neighbours.
        h_PF = x_PD.new_zeros(len(x_PD), self.intermediate_size)
        y_PD = only_groups_filled(x_PD, x_PD.shape[1], groups)
        try:
            while rows:
                key, weights = self.pieces.take_any(list(rows))
                start, end = rows.pop(key)
                try:
                    self._run(weights, x_PD, weights_P1, h_PF, y_PD, start, end)
                finally:
                    self.pieces.give(key)
        finally:
            self.pieces.leave(rows)
        return Collect.apply(y_PD, token_P, places_XK)

    def _run(
        self,
        weights: dict[str, Weight],
        x_PD: Tensor,
        weights_P1: Tensor,
        h_PF: Tensor,
        y_PD: Tensor,
        start: int,
        end: int,
    ) -> None:
        """Compute one expert's rows: [start, end) of `h_PF` and `y_PD`."""
        gate_up_MN = x_PD.new_empty(end - start, 2 * self.intermediate_size)
        if "gate_up_proj" in weights:
            any_rows_times_transposed(x_PD, weights["gate_up_proj"], start, end, gate_up_MN)
        else:
            gate_MF, up_MF = gate_up_MN.chunk(2, dim=-1)
            any_rows_times_transposed(x_PD, weights["gate_up_proj.0"], start, end, gate_MF)
            any_rows_times_transposed(x_PD, weights["gate_up_proj.1"], start, end, up_MF)
        gate_MF, up_MF = gate_up_MN.chunk(2, dim=-1)
        torch.mul(self.act_fn(gate_MF) * up_MF, weights_P1[start:end], out=h_PF[start:end])
        any_rows_times_transposed(h_PF, weights["down_proj"], start, end, y_PD[start:end])


class AXK1EncodedLinear(nn.Linear):
    """A linear layer whose weight is stored in 8 or 4 bits, and is there while its layer runs."""

    encoded: EncodedWeight | None = None

    def forward(self, x: Tensor) -> Tensor:
        assert self.encoded is not None
        rows_XK = x.flatten(0, -2)
        out_XN = rows_XK.new_empty(len(rows_XK), self.encoded.rows)
        any_rows_times_transposed(rows_XK, self.encoded, 0, len(rows_XK), out_XN)
        out = out_XN.view(*x.shape[:-1], -1)
        return out if self.bias is None else out + self.bias


class AXK1StreamedHead(nn.Module):
    """The output head by blocks of its rows, each read when its turn comes."""

    def __init__(self, blocks: list[Any], pieces: StreamedPieces) -> None:
        super().__init__()
        self.blocks, self.pieces = blocks, pieces

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        for number, key in enumerate(self.blocks):
            (weight,) = self.pieces.take(key).values()
            self.pieces.expect(self.blocks[number + 1 : number + 3])
            try:
                parts.append(F.linear(x, weight.to(x.dtype)))
            finally:
                self.pieces.give(key)
        return torch.cat(parts, dim=-1)


class AXK1StreamedEmbedding(nn.Module):
    """The embedding table on the disk, of which a text needs few rows."""

    def __init__(self, table: Extent, reader: Reader, dtype: torch.dtype) -> None:
        super().__init__()
        self.table, self.reader, self.dtype = table, reader, dtype
        self.num_embeddings, self.embedding_dim = table.shape

    def forward(self, input_ids: Tensor) -> Tensor:
        ids, places = input_ids.unique(return_inverse=True)
        if ids.numel() and not 0 <= int(ids[0]) <= int(ids[-1]) < self.num_embeddings:
            raise IndexError("index out of range")
        rows = [read_extent(self.reader, self.table.part(int(row))) for row in ids]
        return torch.stack(rows).to(self.dtype)[places] if rows else torch.empty(*ids.shape, self.embedding_dim)


@dataclass
class Streamed:
    """What a model reads on demand: its experts by (layer, number); the rest by layer, where it passes through too."""

    experts: StreamedPieces[tuple[int, int]]
    rest: StreamedPieces[Any] | None = None
    plan: MemoryPlan | None = None


def stream_weights(model: AXK1PreTrainedModel, found: dict[str, CheckpointTensor], streaming: Streaming) -> Streamed:
    """Let a model that stands without weights read them on demand; what it shall hold itself stays in `found`.

    Raises ValueError if the memory is less than the least that would do, naming that.
    """
    places, reading = Places(), Reading(streaming.reader or ShardReader(streaming.direct), streaming.threads)
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
    expert_pieces = _expert_pieces(model, prefix, found, places)
    expert_bytes = max((room_for(piece) for piece in expert_pieces.values()), default=0)
    config, plan, rest = model.config, None, None
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
        ready = partial(_rest_weights, quantisation=places.quantisation, dtype=model.dtype)
        rest = StreamedPieces(rest_pieces, plan.rest_slots, reading, None, plan.fixed, ready)
        _attach_rest(model, rest)
    # Hot experts stay, but for those slots that a token's others need.
    hot = [key for key in streaming.hot if key in expert_pieces][: max(0, slots - config.num_experts_per_tok)]
    experts = StreamedPieces(
        expert_pieces,
        slots - len(hot),
        reading,
        POLICIES[streaming.policy](slots - len(hot)),
        hot,
        partial(_expert_weights, quantisation=places.quantisation),
        pin_memory=torch.cuda.is_available(),
    )
    _attach_experts(model, experts, streaming.guess)
    return Streamed(experts, rest, plan)


def passing_bytes(config: AXK1Config, itemsize: int, context: int) -> int:
    """Return what runs through the model beside its weights takes: latents of `context` tokens, a prompt's piece.

    Measured, not only counted: `benchmarks/streaming.py` holds the plan's total against the kernel's peak.
    """
    D, F_, K = config.hidden_size, config.moe_intermediate_size, config.num_experts_per_tok
    latents = context * (config.kv_lora_rank + config.qk_rope_head_dim) * config.num_hidden_layers
    tokens = min(context, 1024)
    experts = tokens * K * (2 * D + 4 * F_)
    heads = tokens * config.num_attention_heads * (3 * config.qk_head_dim + 2 * config.v_head_dim)
    dense = tokens * (6 * D + 3 * config.intermediate_size)
    return itemsize * (latents + max(experts, heads, dense) + 4 * tokens * D) + 2 * 4 * config.vocab_size


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


def _expert_weights(key: Any, tensors: dict[str, Tensor], quantisation: Quantisation | None) -> dict[str, Weight]:
    weights = _joined(tensors, quantisation)
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
        _memmove(target, up_FD.data_ptr(), up_FD.nbytes)
    shape = (len(gate_FD) + len(up_FD), gate_FD.shape[1])
    return gate_FD.new_empty(0).set_(gate_FD.untyped_storage(), gate_FD.storage_offset(), shape)


_memmove = ctypes.CDLL(None).memmove
_memmove.argtypes, _memmove.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t), ctypes.c_void_p


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
    key: Any, tensors: dict[str, Tensor], quantisation: Quantisation | None, dtype: torch.dtype
) -> dict[str, Weight]:
    weights = _joined(tensors, quantisation)
    for name, weight in weights.items():
        if isinstance(weight, EncodedWeight):
            if name.endswith("kv_b_proj"):
                weights[name] = nn.Parameter(weight.decoded(slice(0, weight.rows), dtype), requires_grad=False)
        else:
            weights[name] = nn.Parameter(weight.to(dtype), requires_grad=False)
    return weights


def _attach_rest(model: AXK1PreTrainedModel, rest: StreamedPieces[Any]) -> None:
    """Let every layer have its weights while it runs, and the next ones be read meanwhile."""
    order = list(rest.pieces)
    for place, key in enumerate(order):
        if isinstance(key, int):
            following = (order[place + 1 :] + order[:place])[:2]
            layer = model.base_model.layers[key]
            modules = {name: layer.get_submodule(name) for name in {_module_of(part) for part in rest.pieces[key]}}
            layer.register_forward_pre_hook(partial(_come, rest, key, modules, following))
            layer.register_forward_hook(partial(_go, rest, key, modules), always_call=True)
    if blocks := [key for key in order if not isinstance(key, int)]:
        model.lm_head = AXK1StreamedHead(blocks, rest)


def _module_of(part: str) -> str:
    return part.removesuffix(".numbers").removesuffix(".scales")


def _come(rest: StreamedPieces[Any], key: int, modules: dict[str, nn.Module], following: list[Any], *hook: Any) -> None:
    weights = rest.take(key)
    rest.expect(following)
    for name, module in modules.items():
        if isinstance(module, AXK1EncodedLinear):
            module.encoded = weights[name]
        else:
            module._parameters["weight"] = weights[name]


def _go(rest: StreamedPieces[Any], key: int, modules: dict[str, nn.Module], *hook: Any) -> None:
    if any(_has_weight(module) for module in modules.values()):
        for module in modules.values():
            if isinstance(module, AXK1EncodedLinear):
                module.encoded = None
            else:
                module._parameters["weight"] = None
        rest.give(key)


def _has_weight(module: nn.Module) -> bool:
    return module.encoded is not None if isinstance(module, AXK1EncodedLinear) else module.weight is not None


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


__all__ = ["Streamed", "passing_bytes", "stream_weights"]
