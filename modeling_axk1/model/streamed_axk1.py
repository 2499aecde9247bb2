# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""A.X K1 under a memory cap: the modules whose weights are read from the shards while they run.

Shapes are written as in modeling_axk1.py. The sums are those of the model in memory, in the same order and by the same
products, so that logits are the same to the last bit wherever weights are stored in the model's dtype.

This file travels to the hub beside modeling_axk1.py and imports nothing of this package.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN

from .memory_axk1 import MemoryPlan
from .modeling_axk1 import (
    AXK1Config,
    AXK1DecoderLayer,
    AXK1MoE,
    AXK1RMSNorm,
    AXK1TopkRouter,
    Collect,
    only_groups_filled,
    rows_times_transposed,
    sorted_by_expert,
)
from .products_axk1 import E4m3Weight, PackedWeight
from .quantised_axk1 import EncodedWeight
from .reading_axk1 import Extent, Reader, in_parallel, read_extent
from .streaming_axk1 import StreamedPieces

Weight: TypeAlias = Tensor | EncodedWeight | PackedWeight
# Of a long prompt, of 1,024 tokens each.
PIECES_TOGETHER = 4
# Of an embedding table, read at a time.
_ROWS_AT_ONCE = 8


def any_rows_times_transposed(x_PK: Tensor, weight: Weight, start: int, end: int, out_MN: Tensor) -> None:
    """Write `x_PK[start:end] @ weight.T` into `out_MN`, for weights in any stored form.

    Encoded weights have products of their own (products_axk1.py) for as many rows as these are the faster ones. What
    else is not stored in the dtype of `x_PK` is brought into it by strips that stay in the cache: for few rows each is
    multiplied while it is there, for many they are put together first.
    """
    few = end - start <= _FEW_ROWS
    if isinstance(weight, PackedWeight | E4m3Weight) and x_PK.dtype == torch.bfloat16 and end - start <= weight.most:
        weight.times(x_PK[start:end], out_MN)
        return
    if isinstance(weight, PackedWeight):
        weight = weight.unpacked()
    if isinstance(weight, Tensor) and weight.dtype == x_PK.dtype:
        rows_times_transposed(x_PK, weight, start, end, out_MN)
        return
    (N, K), on_cpu = (out_MN.shape[1], x_PK.shape[1]), x_PK.device.type == "cpu"
    strip = max(16, _STRIP_BYTES // (4 * K) // 16 * 16) if on_cpu else N
    together_NK = None if few else x_PK.new_empty(N, K)
    for first in range(0, N, strip):
        rows = slice(first, min(first + strip, N))
        part_RK = weight[rows].to(x_PK.dtype) if isinstance(weight, Tensor) else weight.decoded(rows, x_PK.dtype)
        if together_NK is None:
            rows_times_transposed(x_PK, part_RK, start, end, out_MN[:, rows])
        else:
            together_NK[rows] = part_RK
    if together_NK is not None:
        rows_times_transposed(x_PK, together_NK, start, end, out_MN)


_FEW_ROWS = 8
# Of float32, through which everything is decoded: half of what a core's own cache holds.
_STRIP_BYTES = 2**20


class _OnDevice:
    """Brings experts from their slots to where the model computes; on a CPU they are there.

    On a GPU a stream of its own copies one expert while the one before computes. A slot is given back when its copy is
    through, which is asked for one expert later, so that nobody waits for it.
    """

    def __init__(self, device: torch.device, pieces: StreamedPieces[tuple[int, int]]) -> None:
        self.device, self.pieces = device, pieces
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.copying: deque[tuple[tuple[int, int], Any]] = deque()

    @contextmanager
    def copied(self, key: tuple[int, int], stored: dict[str, Weight]) -> Iterator[dict[str, Weight]]:
        """Give a taken expert's weights on the device, and the expert back to its slots."""
        if self.stream is None:
            try:
                yield {name: weight.to(self.device) for name, weight in stored.items()}
            finally:
                self.pieces.give(key)
            return
        with torch.cuda.stream(self.stream):
            weights = {name: weight.to(self.device, non_blocking=True) for name, weight in stored.items()}
            self.copying.append((key, self.stream.record_event()))
        computing = torch.cuda.current_stream(self.device)
        computing.wait_stream(self.stream)
        for weight in weights.values():
            for tensor in (weight,) if isinstance(weight, Tensor) else weight[:2]:
                tensor.record_stream(computing)
        yield weights
        self.finish(but=1 if self.pieces.slots > 1 else 0)

    def finish(self, but: int = 0) -> None:
        """Give back all experts whose copies were begun, `but` the last so many."""
        while len(self.copying) > but:
            key, copied = self.copying.popleft()
            copied.synchronize()
            self.pieces.give(key)


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
        return self.forward_pieces([(hidden_XD, experts_XK, weights_XK)])[0]

    def forward_pieces(self, pieces: list[tuple[Tensor, Tensor, Tensor]]) -> list[Tensor]:
        """Return what `forward` does for each of several pieces of a prompt, reading each expert once for all."""
        sorted_ = [sorted_by_expert(experts_XK, self.num_experts) for _, experts_XK, _ in pieces]
        visits: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for number, (*_, groups) in enumerate(sorted_):
            for expert, start, end in groups:
                visits.setdefault((self.layer_idx, expert), []).append((number, start, end))
        self.pieces.want(visits)
        self.pieces.expect(self._guess())
        outs_PD = [
            only_groups_filled(hidden_XD.new_empty(experts_XK.numel(), 0), hidden_XD.shape[1], groups)
            for (hidden_XD, experts_XK, _), (*_, groups) in zip(pieces, sorted_, strict=True)
        ]
        on_device = _OnDevice(pieces[0][0].device, self.pieces)
        try:
            while visits:
                key, stored = self.pieces.take_any(list(visits))
                with on_device.copied(key, stored) as weights:
                    for number, start, end in visits.pop(key):
                        (hidden_XD, _, weights_XK), (order_P, token_P, _, _) = pieces[number], sorted_[number]
                        of_tokens_M1 = weights_XK.flatten()[order_P[start:end]][:, None]
                        x_MD = self._filled_up(hidden_XD[token_P[start:end]], len(order_P))
                        self._run(weights, x_MD, of_tokens_M1, outs_PD[number][start:end])
        finally:
            on_device.finish()
            self.pieces.leave(visits)
        return [
            Collect.apply(out_PD, token_P, places_XK)
            for out_PD, (_, token_P, places_XK, _) in zip(outs_PD, sorted_, strict=True)
        ]

    def _filled_up(self, x_MK: Tensor, most: int) -> Tensor:
        """Add rows of zeros up to the number that the product of the sorted rows takes (`rows_times_transposed`).

        There they are the neighbours' rows, `most` at most. The number decides how the product is computed.
        """
        return F.pad(x_MK, (0, 0, 0, min(-len(x_MK) % 16, most - len(x_MK))))

    def _run(self, weights: dict[str, Weight], x_MD: Tensor, of_tokens_M1: Tensor, out_MD: Tensor) -> None:
        """Write one expert's weighted answers for its tokens into `out_MD`; `x_MD` may have more rows, of zeros."""
        rows = len(out_MD)
        gate_up_MN = x_MD.new_zeros(len(x_MD), 2 * self.intermediate_size)
        gate_MF, up_MF = gate_up_MN.chunk(2, dim=-1)
        if "gate_up_proj" in weights:
            any_rows_times_transposed(x_MD, weights["gate_up_proj"], 0, rows, gate_up_MN[:rows])
        else:
            any_rows_times_transposed(x_MD, weights["gate_up_proj.0"], 0, rows, gate_MF[:rows])
            any_rows_times_transposed(x_MD, weights["gate_up_proj.1"], 0, rows, up_MF[:rows])
        h_MF = self.act_fn(gate_MF) * up_MF
        h_MF[:rows] *= of_tokens_M1.to(h_MF.dtype)
        any_rows_times_transposed(h_MF, weights["down_proj"], 0, rows, out_MD)


class AXK1EncodedLinear(nn.Linear):
    """A linear layer whose weight is stored in 8 or 4 bits, and is there while its layer runs."""

    encoded: EncodedWeight | PackedWeight | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return what `nn.Linear.forward` does: [..., K] to [..., N]."""
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
        """Return logits: [..., D] to [..., V]."""
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
        """Return rows of the table: [B, T] to [B, T, D]. Raises IndexError for a token that it does not have."""
        ids, places = input_ids.unique(return_inverse=True)
        if ids.numel() and not 0 <= int(ids[0]) <= int(ids[-1]) < self.num_embeddings:
            raise IndexError("index out of range")
        rows: dict[int, Tensor] = {}

        def read(row: int) -> None:
            rows[row] = read_extent(self.reader, self.table.part(row))

        in_parallel(read, ids.tolist(), min(_ROWS_AT_ONCE, len(ids)))  # a prompt's are many, and each takes its time
        table = [rows[row] for row in ids.tolist()]
        return torch.stack(table).to(self.dtype)[places] if table else torch.empty(*ids.shape, self.embedding_dim)


class LayerWeights:
    """A layer's part of the rest: the layer has it within the context, while the next layers' parts are read."""

    def __init__(self, rest: StreamedPieces[Any], key: int, layer: nn.Module, following: list[Any]) -> None:
        self.rest, self.key, self.following = rest, key, following
        names = {part.removesuffix(".numbers").removesuffix(".scales") for part in rest.pieces[key]}
        self.modules = {name: layer.get_submodule(name) for name in sorted(names)}
        self.depth = 0
        layer.register_forward_pre_hook(lambda *_: self.__enter__())
        layer.register_forward_hook(lambda *_: self.__exit__(), always_call=True)

    def __enter__(self) -> None:
        weights = self.rest.take(self.key)
        self.depth += 1
        self.rest.expect(self.following)
        for name, module in self.modules.items():
            self._set(module, weights[name])

    def __exit__(self, *_: object) -> None:
        if not self.depth:  # the weights never came: that was the error
            return
        self.depth -= 1
        for module in self.modules.values():
            self._set(module, None)
        self.rest.give(self.key)

    def _set(self, module: nn.Module, weight: Any) -> None:
        if isinstance(module, AXK1EncodedLinear):
            module.encoded = weight
        else:
            module._parameters["weight"] = weight


@dataclass
class Streamed:
    """What a model reads on demand: its experts by (layer, number); the rest by layer, where it passes through too."""

    experts: StreamedPieces[tuple[int, int]]
    rest: StreamedPieces[Any] | None = None
    layers: dict[int, LayerWeights] = field(default_factory=dict)
    plan: MemoryPlan | None = None

    def decode(
        self,
        model: Any,
        pieces: list[tuple[slice, Tensor]],
        around: Callable[[slice, Tensor], tuple[Any, ...]],
        **kwargs: Any,
    ) -> Iterator[Tensor]:
        """Yield the last hidden state of each piece of a long prompt, layer after layer for several pieces.

        Otherwise every piece would read nearly all experts of all layers anew. `around` gives a piece's rotation, mask
        and cache, once the cache of the first layer holds what comes before it.
        """
        for first in range(0, len(pieces), PIECES_TOGETHER):
            group = pieces[first : first + PIECES_TOGETHER]
            hidden = [hidden_BTD for _, hidden_BTD in group]
            surroundings: list[tuple[Any, ...]] = []
            for i, layer in enumerate(model.layers[: model.config.num_hidden_layers]):
                with self.layers.get(i, nullcontext()):
                    for number, (piece, _) in enumerate(group):
                        if i == 0:
                            surroundings.append(around(piece, hidden[number]))
                        hidden[number] = layer.attend(hidden[number], *surroundings[number], **kwargs)
                    for number, mlp_BTD in enumerate(_mlp_of_pieces(layer, hidden)):
                        hidden[number] = hidden[number] + mlp_BTD
            yield from (model.norm(hidden_BTD) for hidden_BTD in hidden)


def _mlp_of_pieces(layer: AXK1DecoderLayer, hidden: list[Tensor]) -> Iterator[Tensor]:
    """Yield what the layer's MLP says of each piece of a prompt."""
    normed = [layer.post_attention_layernorm(hidden_BTD) for hidden_BTD in hidden]
    if not isinstance(layer.mlp, AXK1MoE):
        yield from (layer.mlp(normed_BTD) for normed_BTD in normed)
        return
    flat = [normed_BTD.flatten(0, 1) for normed_BTD in normed]
    choices = [layer.mlp.gate(normed_XD) for normed_XD in flat]
    asked = [(x_XD, experts, weights) for x_XD, (_, weights, experts) in zip(flat, choices, strict=True)]
    for normed_BTD, routed_XD in zip(normed, layer.mlp.experts.forward_pieces(asked), strict=True):
        yield layer.post_mlp_layernorm(routed_XD.view_as(normed_BTD) + layer.mlp.shared_experts(normed_BTD))


__all__ = [
    "PIECES_TOGETHER",
    "AXK1EncodedLinear",
    "AXK1StreamedEmbedding",
    "AXK1StreamedExperts",
    "AXK1StreamedHead",
    "LayerWeights",
    "Streamed",
    "Weight",
    "any_rows_times_transposed",
]
