# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""Where latents are kept between calls: behind one another in place, or in the pages of continuous batching.

To transformers' caches a token has a key and a value. Here the key is its latent and the value its rotary key, one of
each for all heads together; in pages, where keys and values must be equally wide, they are the two halves of both.

Suffixes are those of modeling_axk1.py. This file travels to the hub beside it and imports nothing of this package.
"""

import copy
from collections.abc import Sequence
from inspect import signature
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache, DynamicLayer
from transformers.generation.continuous_batching import ContinuousBatchingManager


class AXK1LatentCacheLayer(DynamicLayer):
    """A layer of a growing cache with room to spare: a new token is written behind the others, which stay in place.

    `keys` holds the latents [B, 1, S, L] and `values` the rotary keys [B, 1, S, R], views of buffers a quarter larger.
    Whatever puts other tensors in their place (beam reordering, moving to another device) is noticed at the next
    update, which then makes new buffers.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.room: dict[str, Tensor] = {}

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add the latents and rotary keys of new tokens; return those of all."""
        if torch.compiler.is_compiling() or (torch.is_grad_enabled() and key_states.requires_grad):
            return super().update(key_states, value_states, *args, **kwargs)  # writing in place is not for autograd
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, self.values = self._append("keys", key_states), self._append("values", value_states)
        return self.keys, self.values

    def _append(self, name: str, new: Tensor) -> Tensor:
        held, buffer = getattr(self, name), self.room.get(name)
        length = held.shape[-2] if held.numel() else 0
        total = length + new.shape[-2]
        if buffer is None or buffer.shape[-2] < total or held.data_ptr() != buffer.data_ptr():
            buffer = new.new_empty(*new.shape[:-2], total + total // 4, new.shape[-1])
            if length:
                buffer[..., :length, :] = held
            self.room[name] = buffer
        buffer[..., length:total, :] = new
        return buffer[..., :total, :]


def give_room(cache: Cache) -> None:
    """Let the plain layers of a growing cache be AXK1LatentCacheLayer; what they hold stays."""
    if getattr(cache, "layer_class_to_replicate", None) is DynamicLayer:
        cache.layer_class_to_replicate = AXK1LatentCacheLayer
    if getattr(cache, "offloading", False):
        return
    for index, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[index] = AXK1LatentCacheLayer()
            vars(cache.layers[index]).update(vars(layer))


# Several sequences that lie behind one another: of each, its tokens of this call, its tokens in all, and which of these
# (True) which of those may see, [T, S]; None where there is nothing to hide or all tokens are of this call.
Spans = Sequence[tuple[slice, slice, Tensor | None]]


class AXK1PagedLatents(Cache):
    """Continuous batching's cache in one call, as attention sees every cache: latents in, all tokens' latents out.

    Several sequences lie behind one another, in the call and in what comes out of the pages: `spans`.
    """

    def __init__(self, cache: Any, call: dict[str, Any]) -> None:
        """`call`: what continuous batching says of the call, the keyword arguments of the model's `forward`."""
        super().__init__(layers=[])  # positions come with the call, nothing here is asked for a length
        self.cache, self.call = cache, call
        ends_T = call["cu_seq_lens_q"].tolist()
        ends_S = call["cu_seq_lens_k"]
        if isinstance(ends_S, dict):  # by the kinds of layers, of which there is one; older transformers leave it out
            (ends_S,) = ends_S.values()
        device = call["cu_seq_lens_q"].device
        spans = []
        for (start_T, end_T), (start_S, end_S) in zip(pairwise(ends_T), pairwise(ends_S.tolist()), strict=True):
            T, S = end_T - start_T, end_S - start_S
            mask_TS = None if T in (1, S) else torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)
            spans.append((slice(start_T, end_T), slice(start_S, end_S), mask_TS))
        self.spans: Spans = spans
        # Older caches take two of the call's arguments by name, newer ones all of them together.
        taken = signature(cache.update).parameters.keys() & call.keys()
        self.by_name = {name: call[name] for name in taken}

    def update(self, latent_B1TL: Tensor, k_rope_B1TR: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Write the new tokens into the pages; return the latents and rotary keys of all tokens of all sequences."""
        widths = [latent_B1TL.shape[-1], k_rope_B1TR.shape[-1]]
        both = torch.cat([latent_B1TL, k_rope_B1TR], dim=-1)
        halves = F.pad(both, (0, both.shape[-1] % 2)).chunk(2, dim=-1)
        # All together as a copy: the cache puts this layer's own in their place.
        halves = self.cache.update(*halves, layer_idx, **(self.by_name or {"kwargs": dict(self.call)}))
        halves = [half.reshape(1, 1, -1, half.shape[-1]) for half in halves]  # older: [S, 1, ...]
        latent_B1SL, k_rope_B1SR, _ = torch.cat(halves, dim=-1).tensor_split((widths[0], sum(widths)), dim=-1)
        return latent_B1SL, k_rope_B1SR


class AXK1ContinuousBatchingManager(ContinuousBatchingManager):
    """transformers' manager, its pages measured for latents: it reads their size off the config, as of keys a head."""

    model: Any

    def _create_batch_processor(self) -> Any:
        model = self.model
        self.model = copy.copy(model)  # modules and weights are the same
        self.model.config = paged_geometry(model.config)
        try:
            return super()._create_batch_processor()
        finally:
            self.model = model


def paged_geometry(config: PreTrainedConfig) -> PreTrainedConfig:
    """Return the config by which transformers measures pages that hold latents: one head, half of both as its width.

    And call the attention one of the flash kind: transformers then makes no masks. They would be as long as all pages
    together; here each sequence is attended to by itself.
    """
    geometry = copy.copy(config)
    geometry.head_dim = (config.kv_lora_rank + config.qk_rope_head_dim + 1) // 2
    geometry.num_key_value_heads = 1
    geometry._attn_implementation = "flash_attention_2"
    return geometry
