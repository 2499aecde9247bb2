# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""A.X K1, from top to bottom: norm, rotary position, latent attention, router, experts, layer, model, language model,
classifiers.

A token's way through one layer:

    hidden ── input_layernorm ── latent attention ──(+)── post_attention_layernorm ── MLP ── post_mlp_layernorm ──(+)──
         └───────────────────────────────────────────┘ └──────────────────────────────────────(sparse layers only)─┘

The MLP of the first layer is dense; every other layer has one shared expert that all tokens pass and many routed
experts, of which each token visits a few. `post_mlp_layernorm` is what A.X K1 adds to the DeepSeek-V3 design.

Shapes are written as suffixes:
    B batch   T tokens of this call   S tokens seen so far, this call's included   D hidden_size   V vocabulary
    H heads   Q q_lora_rank   L kv_lora_rank (the latent)   N qk_nope_head_dim   R qk_rope_head_dim   C v_head_dim
    X tokens of the whole batch, B*T   E routed experts   G groups of experts   K experts per token   F expert width
    P places, X*K: the pairs of a token and one of its experts, sorted by expert

Parameter names are those of the published checkpoint. Sources: DeepSeek-V2 (arXiv 2405.04434) for latent attention,
DeepSeek-V3 (arXiv 2412.19437) for the router, the A.X K1 technical report (arXiv 2601.09200) for the extra norm.
This file travels to the hub beside configuration_axk1.py, cache_axk1.py (where latents are kept), checkpoint_axk1.py
(what a checkpoint must hold), quantised_axk1.py (weights of 8 and 4 bits), generation_axk1.py (speculative decoding,
continuous batching) and streamed_axk1.py with its own (weights read on demand), and imports nothing else of this
package.
"""

import math
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache
from transformers.integrations import use_experts_implementation
from transformers.integrations.moe import grouped_mm_experts_forward
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import (
    GenericForSequenceClassification,
    GenericForTokenClassification,
    GradientCheckpointingLayer,
)
from transformers.modeling_outputs import MoeCausalLMOutputWithPast, MoeModelOutputWithPast
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.utils import can_return_tuple, logging
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .cache_axk1 import AXK1PagedLatents, Spans, give_room
from .checkpoint_axk1 import match_checkpoint
from .configuration_axk1 import AXK1Config
from .generation_axk1 import AXK1GenerationMixin
from .memory_axk1 import Streaming, asked_for
from .quantised_axk1 import take_over, taken_over

logger = logging.get_logger(__name__)


def at_least_float32(x: Tensor) -> Tensor:
    """Widen half precision to float32; what is float32 or wider stays as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class AXK1RMSNorm(nn.Module):
    """Divide by the root of the mean square, at least in float32, then scale."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = at_least_float32(x)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


class AXK1RotaryEmbedding(nn.Module):
    """Cosine and sine of every position's angle, one angle for each pair of rotary dimensions."""

    def __init__(self, config: AXK1Config) -> None:
        super().__init__()
        self.config = config
        inv_freq, self.attention_scaling = self.frequencies()
        self.register_buffer("inv_freq", inv_freq, persistent=False)

    def frequencies(self) -> tuple[Tensor, float]:
        """Return the R/2 frequencies and the factor on cosine and sine (YaRN's temperature; 1 otherwise)."""
        rope = self.config.rope_parameters
        if rope["rope_type"] != "default":
            return ROPE_INIT_FUNCTIONS[rope["rope_type"]](self.config)
        exponent = torch.arange(0, self.config.qk_rope_head_dim, 2, dtype=torch.float) / self.config.qk_rope_head_dim
        return rope["rope_theta"] ** -exponent, 1.0

    @torch.no_grad()
    def forward(self, hidden_BTD: Tensor, position_ids_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine, [B, 1, T, R/2] in the dtype of `hidden_BTD`; angles are float32."""
        angle = position_ids_BT[:, None, :, None].float() * self.inv_freq.float()
        cos, sin = angle.cos() * self.attention_scaling, angle.sin() * self.attention_scaling
        return cos.to(hidden_BTD.dtype), sin.to(hidden_BTD.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor, interleave: bool) -> Tensor:
    """Turn each pair of rotary dimensions by its angle.

    Pairs are neighbours (x0, x1) when `interleave`, else one from each half (x0, x_R/2). The result always has the
    pairs' first members before their second ones: queries and keys are permuted alike, so their products are the same.
    """
    first, second = (x[..., 0::2], x[..., 1::2]) if interleave else x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def masked(scores_BHTS: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Hide what a query must not see. The mask is added, or it is true for what is seen.

    It is left out only for a single query, and where queries and keys both start at the sequence's first token.
    """
    T, S = scores_BHTS.shape[-2:]
    if attention_mask is None:
        if T == 1:
            return scores_BHTS
        attention_mask = torch.ones(T, S, dtype=torch.bool, device=scores_BHTS.device).tril()
    if attention_mask.dtype == torch.bool:
        return scores_BHTS.masked_fill(~attention_mask, torch.finfo(scores_BHTS.dtype).min)
    return scores_BHTS + attention_mask


def eager_attention_forward(
    module: nn.Module,
    query_BHTK: Tensor,
    key_BHSK: Tensor,
    value_BHSC: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Attention written out, softmax at least in float32: returns [B, T, H, C] and the weights."""
    scores_BHTS = masked(query_BHTK @ key_BHSK.transpose(2, 3) * scaling, attention_mask)
    weights_BHTS = at_least_float32(scores_BHTS).softmax(dim=-1).to(query_BHTK.dtype)
    weights_BHTS = F.dropout(weights_BHTS, p=dropout, training=module.training)
    return (weights_BHTS @ value_BHSC).transpose(1, 2).contiguous(), weights_BHTS


def products(left_BMK: Tensor, right_BKN: Tensor) -> Tensor:
    """`torch.bmm`; on a CPU in half precision it would copy a transposed right side, so the left one is transposed."""
    if right_BKN.device.type == "cpu" and right_BKN.itemsize == 2 and right_BKN.stride(-1) != 1:
        return torch.bmm(right_BKN.mT, left_BMK.mT).mT.contiguous()
    return torch.bmm(left_BMK, right_BKN)


class AXK1Attention(nn.Module):
    """Multi-head latent attention: the cache holds one latent and one rotary key a token, for all heads together.

    Queries pass a bottleneck of their own. Keys and values of the heads are unfolded from the latent by `kv_b_proj`,
    whose rows are W_UK (a head's key without position) and W_UV (its value). The same attention is computed in
    whichever of three ways suits:

    - all heads at once, by transformers' attention functions: training, and whatever wraps or replaces `kv_b_proj`;
    - a few heads at a time: prefill, so that keys and values of all heads are never held for the whole sequence;
    - over the latents themselves: decoding. As (W_UK l) . q = l . (W_UK^T q), the query takes W_UK in and the sum over
      the latents takes W_UV out, and no key or value is ever unfolded (DeepSeek-V2, section 2.1.2).

    Under tensor parallelism each process computes some heads, H of them, and `o_proj` sums over the processes.
    """

    is_causal = True
    num_key_value_groups = 1  # each head has its own key and value; transformers' attention functions ask

    def __init__(self, config: AXK1Config, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.scaling = config.qk_head_dim**-0.5 * _yarn_softmax_factor(config.rope_parameters)
        D, H, bias = config.hidden_size, config.num_attention_heads, config.attention_bias
        self.q_a_proj = nn.Linear(D, config.q_lora_rank, bias=bias)
        self.q_a_layernorm = AXK1RMSNorm(config.q_lora_rank, config.rms_norm_eps)
        self.q_b_proj = nn.Linear(config.q_lora_rank, H * config.qk_head_dim, bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(D, config.kv_lora_rank + config.qk_rope_head_dim, bias=bias)
        self.kv_a_layernorm = AXK1RMSNorm(config.kv_lora_rank, config.rms_norm_eps)
        self.kv_b_proj = nn.Linear(config.kv_lora_rank, H * (config.qk_nope_head_dim + config.v_head_dim), bias=False)
        self.o_proj = nn.Linear(H * config.v_head_dim, D, bias=bias)

    def forward(
        self,
        hidden_BTD: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        config, (cos, sin) = self.config, position_embeddings
        q_latent_BTQ = self.q_a_layernorm(self.q_a_proj(hidden_BTD))
        latent_BTL, k_rope_BTR = self.kv_a_proj_with_mqa(hidden_BTD).split(
            [config.kv_lora_rank, config.qk_rope_head_dim], dim=-1
        )
        # As one head of four dimensions, every kind of cache of transformers can hold both.
        latent_B1SL = self.kv_a_layernorm(latent_BTL)[:, None]
        k_rope_B1SR = rotate(k_rope_BTR[:, None], cos, sin, config.rope_interleave)
        if past_key_values is not None:
            latent_B1SL, k_rope_B1SR = past_key_values.update(latent_B1SL, k_rope_B1SR, self.layer_idx)
        query_BHTK = self.queries(self.q_b_proj(q_latent_BTQ), cos, sin)
        if isinstance(past_key_values, AXK1PagedLatents):
            out_BTHC, weights_BHTS = self.attend_to_each(query_BHTK, latent_B1SL, k_rope_B1SR, past_key_values.spans)
        else:
            out_BTHC, weights_BHTS = self.attend_suitably(
                query_BHTK, latent_B1SL, k_rope_B1SR, attention_mask, **kwargs
            )
        return self.o_proj(out_BTHC.flatten(2)), weights_BHTS

    def attend_suitably(
        self,
        query_BHTK: Tensor,
        latent_B1SL: Tensor,
        k_rope_B1SR: Tensor,
        attention_mask: Tensor | None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend in the way that suits: [B, T, H, C], and the weights [B, H, T, S] where that way has them."""
        directly = self._may_use_weights_directly(query_BHTK.shape[1])
        if directly and self._is_cheaper_over_latents(query_BHTK.shape, latent_B1SL.shape[2]):
            whole = (slice(None), slice(None), attention_mask)
            return self.attend_over_latents(query_BHTK, latent_B1SL, k_rope_B1SR, [whole])
        if directly and self.implementation == "sdpa" and not torch.is_grad_enabled():
            return self.attend_by_head_groups(query_BHTK, latent_B1SL, k_rope_B1SR, attention_mask, **kwargs)
        key_BHSK, value_BHSC = self.unfold(self.kv_b_proj(latent_B1SL), k_rope_B1SR)
        return self.attend(query_BHTK, key_BHSK, value_BHSC, attention_mask, **kwargs)

    def attend_to_each(
        self, query_BHTK: Tensor, latent_B1SL: Tensor, k_rope_B1SR: Tensor, spans: Spans
    ) -> tuple[Tensor, None]:
        """Attend within each of several sequences that lie behind one another (continuous batching)."""
        sequences = [
            (query_BHTK[:, :, of_T], latent_B1SL[:, :, of_S], k_rope_B1SR[:, :, of_S], mask_TS)
            for of_T, of_S, mask_TS in spans
        ]
        if self._may_use_weights_directly(query_BHTK.shape[1]) and all(
            self._is_cheaper_over_latents(query.shape, latent.shape[2]) for query, latent, _, _ in sequences
        ):
            return self.attend_over_latents(query_BHTK, latent_B1SL, k_rope_B1SR, spans)[0], None
        parts = []
        for query, latent, k_rope, mask_TS in sequences:
            part_BTHC, _ = self.attend_suitably(
                query, latent, k_rope, mask_TS if mask_TS is None else mask_TS[None, None]
            )
            parts.append(part_BTHC)
        return torch.cat(parts, dim=1), None

    @property
    def implementation(self) -> str:
        """What from_pretrained(attn_implementation=...) chose; continuous batching may have put "paged|" before it."""
        return self.config._attn_implementation.removeprefix("paged|")

    def queries(self, q_BTM: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Cut the output of `q_b_proj` into heads and rotate their rotary parts: [B, H, T, N+R]."""
        config = self.config
        q_BHTK = q_BTM.unflatten(-1, (-1, config.qk_head_dim)).transpose(1, 2)
        q_nope_BHTN, q_rope_BHTR = q_BHTK.split([config.qk_nope_head_dim, config.qk_rope_head_dim], dim=-1)
        return torch.cat([q_nope_BHTN, rotate(q_rope_BHTR, cos, sin, config.rope_interleave)], dim=-1)

    def unfold(self, kv_B1SM: Tensor, k_rope_B1SR: Tensor) -> tuple[Tensor, Tensor]:
        """Cut the output of `kv_b_proj` into keys [B, H, S, N+R] and values [B, H, S, C]; heads share k_rope."""
        config = self.config
        kv_BHSM = kv_B1SM.squeeze(1).unflatten(-1, (-1, config.qk_nope_head_dim + config.v_head_dim)).transpose(1, 2)
        k_nope_BHSN, value_BHSC = kv_BHSM.split([config.qk_nope_head_dim, config.v_head_dim], dim=-1)
        return torch.cat([k_nope_BHSN, k_rope_B1SR.expand(-1, k_nope_BHSN.shape[1], -1, -1)], dim=-1), value_BHSC

    def attend(
        self, query_BHTK: Tensor, key_BHSK: Tensor, value_BHSC: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Attention by transformers' chosen function: [B, T, H, C], and the weights where that function gives them."""
        implementation = self.implementation
        attention: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention_forward)
        width = value_BHSC.shape[-1]
        if implementation == "sdpa" and value_BHSC.device.type == "cpu":
            # torch's fast CPU kernel wants values as wide as keys; without it all scores are held at once.
            value_BHSC = F.pad(value_BHSC, (0, max(0, key_BHSK.shape[-1] - width)))
        dropout = self.config.attention_dropout if self.training else 0.0
        out_BTHC, weights_BHTS = attention(
            self, query_BHTK, key_BHSK, value_BHSC, attention_mask, dropout=dropout, scaling=self.scaling, **kwargs
        )
        return out_BTHC[..., :width], weights_BHTS

    def attend_by_head_groups(
        self,
        query_BHTK: Tensor,
        latent_B1SL: Tensor,
        k_rope_B1SR: Tensor,
        attention_mask: Tensor | None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        """Unfold and attend a few heads at a time."""
        (B, H, T, _), w_HML = query_BHTK.shape, self._kv_b_by_heads()
        group = max(1, min(H, _HEAD_GROUP_BYTES // (latent_B1SL[..., 0].numel() * self.config.qk_head_dim * 4)))
        out_BTHC = query_BHTK.new_empty(B, T, H, self.config.v_head_dim)
        for first in range(0, H, group):
            heads = slice(first, first + group)
            key_BHSK, value_BHSC = self.unfold(F.linear(latent_B1SL, w_HML[heads].flatten(0, 1)), k_rope_B1SR)
            out_BTHC[:, :, heads], _ = self.attend(query_BHTK[:, heads], key_BHSK, value_BHSC, attention_mask, **kwargs)
        return out_BTHC, None

    def attend_over_latents(
        self,
        query_BHTK: Tensor,
        latent_B1SL: Tensor,
        k_rope_B1SR: Tensor,
        spans: Spans,
    ) -> tuple[Tensor, Tensor]:
        """Attend to the latents themselves, with W_UK folded into the query and W_UV applied to the result.

        All sequences (`spans`) pass W_UK and W_UV together; the weights returned are the last one's.
        """
        config = self.config
        B, H, T, _ = query_BHTK.shape
        w_uk_HNL, w_uv_HCL = self._kv_b_by_heads().split([config.qk_nope_head_dim, config.v_head_dim], dim=1)
        q_nope_BHTN, q_rope_BHTR = (query_BHTK * self.scaling).split(
            [config.qk_nope_head_dim, config.qk_rope_head_dim], dim=-1
        )
        q_latent_HXL = products(q_nope_BHTN.transpose(0, 1).flatten(1, 2), w_uk_HNL)
        q_latent_BHTL = q_latent_HXL.view(H, B, T, -1).transpose(0, 1)
        parts = []
        for of_T, of_S, mask in spans:
            part_BHTL, weights_BHTS = self.weigh_latents(
                q_latent_BHTL[:, :, of_T],
                q_rope_BHTR[:, :, of_T],
                latent_B1SL[:, 0, of_S],
                k_rope_B1SR[:, 0, of_S],
                mask,
            )
            parts.append(part_BHTL)
        out_BHTL = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        out_HXC = products(out_BHTL.transpose(0, 1).flatten(1, 2), w_uv_HCL.transpose(1, 2))
        return out_HXC.view(H, B, T, -1).permute(1, 2, 0, 3), weights_BHTS

    def weigh_latents(
        self,
        q_latent_BHTL: Tensor,
        q_rope_BHTR: Tensor,
        latent_BSL: Tensor,
        k_rope_BSR: Tensor,
        attention_mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the weighted sums of the latents [B, H, T, L] and the weights [B, H, T, S]; queries come scaled."""
        B, H, T, _ = q_latent_BHTL.shape
        # All heads look at the same latents: of one sequence, heads and tokens are rows (Y) of one product.
        scores_BYS = products(q_latent_BHTL.flatten(1, 2), latent_BSL.transpose(1, 2))
        scores_BYS = scores_BYS + products(q_rope_BHTR.flatten(1, 2), k_rope_BSR.transpose(1, 2))
        scores_BHTS = masked(scores_BYS.view(B, H, T, -1), attention_mask)
        weights_BHTS = at_least_float32(scores_BHTS).softmax(dim=-1).to(q_latent_BHTL.dtype)
        weights_BHTS = F.dropout(weights_BHTS, p=self.config.attention_dropout, training=self.training)
        return products(weights_BHTS.flatten(1, 2), latent_BSL).view(B, H, T, -1), weights_BHTS

    def _kv_b_by_heads(self) -> Tensor:
        """Return the weight of `kv_b_proj` as [H, N+C, L]: of this process's heads, where others have the rest."""
        weight = self.kv_b_proj.weight
        local = weight.to_local() if hasattr(weight, "to_local") else weight
        return local.unflatten(0, (-1, self.config.qk_nope_head_dim + self.config.v_head_dim))

    def _may_use_weights_directly(self, heads: int) -> bool:
        """Whether `kv_b_proj` is what it was made: a LoRA, a quantiser or an offloading hook adds to it.

        So does tensor parallelism, to its gradient: the latents' is summed over the heads of all processes.
        """
        return (
            self.implementation in ("eager", "sdpa")
            and type(self.kv_b_proj) is nn.Linear
            and not hasattr(self.kv_b_proj, "_hf_hook")
            and (heads == self.config.num_attention_heads or not torch.is_grad_enabled())
        )

    def _is_cheaper_over_latents(self, query_shape: torch.Size, S: int) -> bool:
        """Compare multiplications a head: over latents a product is longer, but nothing is unfolded for S tokens."""
        config, (B, H, T, _) = self.config, query_shape
        L, R, N, C = config.kv_lora_rank, config.qk_rope_head_dim, config.qk_nope_head_dim, config.v_head_dim
        over_latents = T * L * (N + C) + T * S * (2 * L + R)
        unfolded = S * L * (N + C) + T * S * (N + R + C)
        scores_fit = B * H * T * S * 4 <= _SCORE_BYTES
        return over_latents <= unfolded and scores_fit


# Largest keys of one head group in float32, and largest scores of an attention over latents, both in bytes.
_HEAD_GROUP_BYTES = 8 * 2**20
_SCORE_BYTES = 256 * 2**20


def _yarn_softmax_factor(rope: dict) -> float:
    """Factor on the softmax scale when YaRN moves its temperature there (`mscale_all_dim`; 0 leaves it on cos, sin)."""
    mscale, factor = rope.get("mscale_all_dim") or 0.0, rope.get("factor") or 1.0
    if rope["rope_type"] == "default" or not mscale or factor <= 1:
        return 1.0
    return (0.1 * mscale * math.log(factor) + 1.0) ** 2


class AXK1MLP(nn.Module):
    """A gated MLP: the dense layers' whole MLP and the sparse layers' shared expert."""

    def __init__(self, config: AXK1Config, intermediate_size: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, intermediate_size, bias=False)
        self.down_proj = nn.Linear(intermediate_size, config.hidden_size, bias=False)
        self.act_fn = ACT2FN[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class AXK1TopkRouter(nn.Module):
    """Choose K experts a token: sigmoid scores, a few groups first, then the best experts of those groups."""

    def __init__(self, config: AXK1Config) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, config.hidden_size))
        bias = torch.zeros(config.n_routed_experts) if config.use_router_bias else None
        self.register_buffer("e_score_correction_bias", bias)
        # Integers, which a cast of the model to half precision leaves exact.
        tokens_per_expert = torch.zeros(config.n_routed_experts, dtype=torch.long)
        self.register_buffer("tokens_per_expert", tokens_per_expert, persistent=False)

    def forward(self, hidden_XD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits [X, E], weights [X, K] (at least float32) and the chosen experts' indices [X, K]."""
        config = self.config
        logits_XE = F.linear(at_least_float32(hidden_XD), at_least_float32(self.weight))
        scores_XE = logits_XE.sigmoid()
        # The bias shifts who is chosen, never the weight of the chosen.
        choice_XE = scores_XE if self.e_score_correction_bias is None else scores_XE + self.e_score_correction_bias

        choice_XGE = choice_XE.unflatten(-1, (config.n_group, -1))
        group_score_XG = choice_XGE.topk(2, dim=-1).values.sum(dim=-1)
        groups_XG = group_score_XG.topk(config.topk_group, dim=-1, sorted=False).indices
        excluded_XG = torch.ones_like(group_score_XG, dtype=torch.bool).scatter(1, groups_XG, False)
        # -inf, not 0: with a negative bias a permitted expert may score below 0 and must still win.
        choice_XE = choice_XGE.masked_fill(excluded_XG[..., None], float("-inf")).flatten(-2)

        experts_XK = choice_XE.topk(config.num_experts_per_tok, dim=-1, sorted=False).indices
        weights_XK = scores_XE.gather(1, experts_XK)
        if config.norm_topk_prob:
            weights_XK = weights_XK / (weights_XK.sum(dim=-1, keepdim=True) + 1e-20)
        return logits_XE, weights_XK * config.routed_scaling_factor, experts_XK

    def count(self, experts_XK: Tensor, real_BT: Tensor) -> None:
        """Add a batch's choices to the load; `real_BT` is false for padding, which is no load to balance."""
        real_XK = real_BT.flatten()[:, None].expand_as(experts_XK).long()
        self.tokens_per_expert.index_add_(0, experts_XK.flatten(), real_XK.flatten())

    @torch.no_grad()
    def rebalance(self) -> Tensor:
        """Move the bias one step against the load, return the load [E] and count anew; once after an optimiser step.

        The load is the number of tokens that each expert got since the last call, over all processes and all batches
        whose gradients were accumulated. Experts below its mean get `router_bias_update_rate` more bias, those above it
        so much less (DeepSeek-V3 section 2.1.2; arXiv 2408.15664, algorithm 1). It is not a gradient and no part of
        `forward`: what is run for evaluation, or twice for gradient checkpointing, moves nothing.
        """
        load_E = self.tokens_per_expert.clone()
        self.tokens_per_expert.zero_()
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(load_E)
        if self.e_score_correction_bias is not None:
            shortfall_E = load_E.float().mean() - load_E
            self.e_score_correction_bias += self.config.router_bias_update_rate * shortfall_E.sign()
        return load_E


def sequence_balance_loss(logits_XE: Tensor, experts_XK: Tensor, real_BT: Tensor) -> Tensor:
    """Sum over experts of the share of choices times the share of scores, each within a sequence; mean over sequences.

    1 when balanced, more when the experts that score high are also those chosen often (DeepSeek-V3 equations 17 to 20;
    a choice counts as the router made it, groups and bias included). `real_BT` is true for tokens, false for padding.
    """
    (B, T), (E, K) = real_BT.shape, (logits_XE.shape[1], experts_XK.shape[1])
    scores_XE = logits_XE.sigmoid()
    share_BTE = (scores_XE / scores_XE.sum(dim=-1, keepdim=True)).view(B, T, E)
    chosen_BTE = torch.zeros_like(scores_XE).scatter(1, experts_XK, 1.0).view(B, T, E)
    length_B1 = real_BT.sum(dim=1, keepdim=True).clamp(min=1)
    choices_BE = (chosen_BTE * real_BT[..., None]).sum(dim=1) * (E / K) / length_B1
    scores_BE = (share_BTE * real_BT[..., None]).sum(dim=1) / length_B1
    return (choices_BE * scores_BE).sum(dim=-1).mean()


# One expert's consecutive rows among the sorted ones: its index, the first row, the row after its last.
Groups = list[tuple[int, int, int]]


class GroupedLinear(torch.autograd.Function):
    """Rows sorted by expert, each times the transposed matrix of its expert; experts without rows cost nothing.

    `apply(x_PK, weight_ENK, groups)` returns [P, N]; rows in no group give zeros. `weight[e]` is read as it lies.
    """

    @staticmethod
    def forward(ctx: Any, x_PK: Tensor, weight_ENK: Tensor, groups: Groups) -> Tensor:
        ctx.save_for_backward(x_PK, weight_ENK)
        ctx.groups = groups
        out_PN = only_groups_filled(x_PK, weight_ENK.shape[1], groups)
        for expert, start, end in groups:
            rows_times_transposed(x_PK, weight_ENK[expert], start, end, out_PN[start:end])
        return out_PN

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_PN: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x_PK, weight_ENK = ctx.saved_tensors
        grad_x_PK = grad_weight_ENK = None
        if ctx.needs_input_grad[0]:
            grad_x_PK = only_groups_filled(x_PK, x_PK.shape[1], ctx.groups)
            for expert, start, end in ctx.groups:
                torch.mm(grad_PN[start:end], weight_ENK[expert], out=grad_x_PK[start:end])
        if ctx.needs_input_grad[1]:
            grad_weight_ENK = torch.empty_like(weight_ENK)
            hit = {expert for expert, _, _ in ctx.groups}
            for expert in set(range(weight_ENK.shape[0])) - hit:
                grad_weight_ENK[expert] = 0
            for expert, start, end in ctx.groups:
                torch.mm(grad_PN[start:end].t(), x_PK[start:end], out=grad_weight_ENK[expert])
        return grad_x_PK, grad_weight_ENK, None


def only_groups_filled(like_PK: Tensor, width: int, groups: Groups) -> Tensor:
    """Return [P, width] for the groups to write into; what follows the last group is zero."""
    out = like_PK.new_empty(like_PK.shape[0], width)
    out[groups[-1][2] if groups else 0 :] = 0
    return out


def rows_times_transposed(x_PK: Tensor, weight_NK: Tensor, start: int, end: int, out_MN: Tensor) -> None:
    """Write `x_PK[start:end] @ weight_NK.T` into `out_MN`: on a CPU by the product that reads the weights fastest.

    For more than three rows a plain product first rearranges the weights into its own blocks, and takes 2 to 5 times
    the time of reading them once. Two products of torch do not: batched over small blocks of weights, for a handful
    of rows; and oneDNN's with the weights as the *left* factor, which it streams as they lie, 16 columns (here: rows)
    at a time. What else was tried: docs/en/tried-and-dropped.md.
    """
    rows, (N, K) = end - start, weight_NK.shape
    streams = (
        weight_NK.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and weight_NK.is_contiguous()
        and weight_NK.nbytes >= _STREAMED_BYTES
    )
    if streams and 4 <= rows <= 8 and N % 16 == 0 and weight_NK.dtype == torch.float32:
        x_JMK = x_PK[start:end].expand(N // 16, rows, K)
        out_JM16 = torch.bmm(x_JMK, weight_NK.view(N // 16, 16, K).transpose(1, 2))
        out_MN.view(rows, N // 16, 16).copy_(out_JM16.transpose(0, 1))
    elif streams and 8 < rows <= 192 and weight_NK.dtype in (torch.float32, torch.bfloat16):
        # The rows before or after this expert's fill up the 16; what they give is left out.
        padded = min(-(-rows // 16) * 16, x_PK.shape[0])
        first = min(start, x_PK.shape[0] - padded)
        product: Callable = torch.ops.mkldnn._linear_pointwise
        out_NM = product(weight_NK, x_PK[first : first + padded], None, "none", [], "")
        out_MN.copy_(out_NM[:, start - first : end - first].t())
    else:
        torch.mm(x_PK[start:end], weight_NK.t(), out=out_MN)


# Matrices smaller than this wait in a cache, where rearranging them costs no more than the calls around other products.
_STREAMED_BYTES = 16 * 2**20


class Spread(torch.autograd.Function):
    """`apply(x_XD, token_P, places_XK)`: each token's row to the K places in the sorted order, [P, D].

    It and `Collect` are each other's gradient. Indexing would do, but its gradient adds row by row.
    """

    @staticmethod
    def forward(ctx: Any, x_XD: Tensor, token_P: Tensor, places_XK: Tensor) -> Tensor:
        ctx.save_for_backward(token_P, places_XK)
        return x_XD.index_select(0, token_P)

    @staticmethod
    def backward(ctx: Any, grad_PD: Tensor) -> tuple[Tensor, None, None]:
        token_P, places_XK = ctx.saved_tensors
        return Collect.apply(grad_PD, token_P, places_XK), None, None


class Collect(torch.autograd.Function):
    """`apply(x_PD, token_P, places_XK)`: the sum of the K rows in each token's places, [X, D]."""

    @staticmethod
    def forward(ctx: Any, x_PD: Tensor, token_P: Tensor, places_XK: Tensor) -> Tensor:
        ctx.save_for_backward(token_P, places_XK)
        return F.embedding_bag(places_XK, x_PD, mode="sum")

    @staticmethod
    def backward(ctx: Any, grad_XD: Tensor) -> tuple[Tensor, None, None]:
        token_P, places_XK = ctx.saved_tensors
        return Spread.apply(grad_XD, token_P, places_XK), None, None


def sorted_by_expert(experts_XK: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor, Groups]:
    """Sort the pairs of a token and one of its experts by expert.

    Returns the pairs' indices in that order [P], their tokens [P], each token's places in the order [X, K], and the
    groups. An index of `num_experts` marks a token whose expert lives on another rank; it sorts last, into no group.
    """
    X, K = experts_XK.shape
    order_P = experts_XK.flatten().argsort()
    places_XK = torch.empty_like(order_P).scatter_(0, order_P, torch.arange(X * K, device=order_P.device)).view(X, K)
    counts = experts_XK.flatten().bincount(minlength=num_experts)[:num_experts]
    ends = counts.cumsum(0)
    groups = [(e, end - n, end) for e, (n, end) in enumerate(zip(counts.tolist(), ends.tolist(), strict=True)) if n]
    return order_P, order_P // K, places_XK, groups


@use_experts_implementation
class AXK1Experts(nn.Module):
    """All routed experts of a layer, fused as the checkpoint stores them: gate and up stacked, one tensor for all.

    transformers' experts interface may replace `forward` (grouped_mm, CUDA kernels, expert parallelism); what stands
    here is its "eager" implementation, the default where there is no accelerator.
    """

    def __init__(self, config: AXK1Config) -> None:
        super().__init__()
        self.num_experts, D, F_ = config.n_routed_experts, config.hidden_size, config.moe_intermediate_size
        self.gate_up_proj = nn.Parameter(torch.empty(self.num_experts, 2 * F_, D))
        self.down_proj = nn.Parameter(torch.empty(self.num_experts, D, F_))
        self.act_fn = ACT2FN[config.hidden_act]
        # Low-rank changes of a parameter, by its name, while an adapter is active: factors [E, N, r], [E, r, K], scale.
        self.low_rank: dict[str, list[tuple[Tensor, Tensor, float]]] = {}

    def forward(self, hidden_XD: Tensor, experts_XK: Tensor, weights_XK: Tensor) -> Tensor:
        """Return the weighted sum [X, D] of each token's experts: sorted by expert once, one product an expert.

        A place P is one of the X*K pairs of a token and an expert, in the order of experts.
        """
        if torch.compiler.is_compiling() and not self.low_rank:
            # The groups' sizes depend on the data, which a whole graph cannot hold.
            return grouped_mm_experts_forward(self, hidden_XD, experts_XK, weights_XK)
        order_P, token_P, places_XK, groups = sorted_by_expert(experts_XK, self.num_experts)
        x_PD = Spread.apply(hidden_XD.to(self.gate_up_proj.dtype), token_P, places_XK)
        h_PF = self._apply_gate(self.project("gate_up_proj", x_PD, groups))
        # Weighting before the down projection, which is linear, spares keeping its output for the weights' gradient.
        h_PF = h_PF * weights_XK.flatten().index_select(0, order_P)[:, None].to(h_PF.dtype)
        y_PD = self.project("down_proj", h_PF, groups)
        return Collect.apply(y_PD, token_P, places_XK).to(hidden_XD.dtype)

    def project(self, name: str, x_PK: Tensor, groups: Groups) -> Tensor:
        """Multiply sorted rows by their experts' matrices of the parameter `name`, its low-rank changes included."""
        out_PN = GroupedLinear.apply(x_PK, getattr(self, name), groups)
        for up_ENR, down_ERK, scale in self.low_rank.get(name, ()):
            low_PR = GroupedLinear.apply(x_PK, down_ERK, groups)
            out_PN = out_PN + GroupedLinear.apply(low_PR * scale, up_ENR, groups)
        return out_PN


class AXK1MoE(nn.Module):
    """Sparse MLP: what the shared expert says of every token, plus what the routed experts say of theirs."""

    def __init__(self, config: AXK1Config) -> None:
        super().__init__()
        self.gate = AXK1TopkRouter(config)
        self.experts = AXK1Experts(config)
        self.shared_experts = AXK1MLP(config, config.moe_intermediate_size * config.n_shared_experts)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        hidden_XD = hidden_BTD.flatten(0, 1)
        _, weights_XK, experts_XK = self.gate(hidden_XD)
        routed_XD = self.experts(hidden_XD, experts_XK, weights_XK)
        return routed_XD.view_as(hidden_BTD) + self.shared_experts(hidden_BTD)


class AXK1DecoderLayer(GradientCheckpointingLayer):
    """Attention, then an MLP, each with a norm before it; the sparse MLP's output is normed once more.

    Dense layers own `post_mlp_layernorm` too, and do not use it: the published checkpoint stores it for all layers.
    """

    def __init__(self, config: AXK1Config, layer_idx: int) -> None:
        super().__init__()
        self.is_sparse = config.is_sparse(layer_idx)
        self.self_attn = AXK1Attention(config, layer_idx)
        self.mlp = AXK1MoE(config) if self.is_sparse else AXK1MLP(config, config.intermediate_size)
        self.input_layernorm = AXK1RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = AXK1RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_mlp_layernorm = AXK1RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        hidden_BTD: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> Tensor:
        hidden_BTD = self.attend(hidden_BTD, position_embeddings, attention_mask, past_key_values, **kwargs)
        mlp_BTD = self.mlp(self.post_attention_layernorm(hidden_BTD))
        if self.is_sparse:
            mlp_BTD = self.post_mlp_layernorm(mlp_BTD)
        return hidden_BTD + mlp_BTD

    def attend(self, hidden_BTD: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return what enters the MLP's norm: the layer's input and what attention makes of it."""
        return hidden_BTD + self.self_attn(self.input_layernorm(hidden_BTD), *args, **kwargs)[0]


class AXK1SharedHead(nn.Module):
    """The norm before the output head; the head itself is the model's own. Named as DeepSeek-V3's checkpoint has it."""

    def __init__(self, config: AXK1Config) -> None:
        super().__init__()
        self.norm = AXK1RMSNorm(config.hidden_size, config.rms_norm_eps)


class AXK1MultiTokenPredictor(AXK1DecoderLayer):
    """One more decoder layer, which looks a token further (DeepSeek-V3 section 2.2).

    From the model's last hidden state of a token and the embedding of the token after it, both normed, joined and
    projected, it makes the hidden state from which the output head predicts the token after that one.

    Embedding and output head are the model's, and not stored a second time: at full size their copies, which
    DeepSeek-V3's checkpoint has as `embed_tokens` and `shared_head.head` of this layer, would be 2.3 billion parameters
    that must equal others. Where they are absent, transformers' loader takes the model's own, and so does vLLM's of
    DeepSeek-V3. For A.X K1 vLLM 0.32 has no drafts: it passes over the module and serves the model alone.
    """

    def __init__(self, config: AXK1Config, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.self_attn.layer_idx = 0  # its latents lie in a cache of their own
        self.enorm = AXK1RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.hnorm = AXK1RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.eh_proj = nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        self.shared_head = AXK1SharedHead(config)

    def forward(  # type: ignore[override]
        self, hidden_BTD: Tensor, next_embeds_BTD: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        joined_BTD = self.eh_proj(torch.cat([self.enorm(next_embeds_BTD), self.hnorm(hidden_BTD)], dim=-1))
        return self.shared_head.norm(super().forward(joined_BTD, *args, **kwargs))


@dataclass
class AXK1ModelOutput(MoeModelOutputWithPast):
    """`MoeModelOutputWithPast`, and `router_experts`: for each sparse layer the chosen experts' indices, [X, K]."""

    router_experts: tuple[Tensor, ...] | None = None

    def routings(self, real_BT: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return, for each sparse layer, logits [X, E], chosen experts [X, K], and which tokens are real [B, T]."""
        recorded = zip(self.router_logits or (), self.router_experts or (), strict=True)
        return [(logits_XE, experts_XK, real_BT) for logits_XE, experts_XK in recorded]


@dataclass
class AXK1CausalLMOutput(MoeCausalLMOutputWithPast):
    """`MoeCausalLMOutputWithPast`, and the parts of a training loss before their weights.

    `mtp_loss` is the mean cross-entropy of the token after next, `aux_loss` the sum of all layers' sequence-level
    balance losses.
    """

    mtp_loss: Tensor | None = None


# What a call of `from_pretrained` was asked to read on demand, for `_load_pretrained_model`, which it ends in.
_STREAMING: ContextVar[Streaming | None] = ContextVar("axk1_streaming", default=None)


class AXK1PreTrainedModel(PreTrainedModel):
    """What all A.X K1 models share: the config class, initial values, and what transformers may do with them."""

    config: AXK1Config
    config_class = AXK1Config
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    # transformers reads these lists off the class.
    _no_split_modules = ["AXK1DecoderLayer", "AXK1MultiTokenPredictor"]  # noqa: RUF012
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _keep_in_fp32_modules_strict = ["e_score_correction_bias"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": AXK1DecoderLayer,
        "attentions": AXK1Attention,
        "router_logits": OutputRecorder(AXK1TopkRouter, index=0),
        "router_experts": OutputRecorder(AXK1TopkRouter, index=2),
    }

    # A checkpoint may lack these (and only these, `match_checkpoint` sees to it): zeros, and a norm that nobody uses.
    _keys_to_ignore_on_load_missing = [r"e_score_correction_bias$", r"post_mlp_layernorm\.weight$"]  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [r"rotary_emb\.inv_freq$"]  # noqa: RUF012

    streamed: Any = None  # what is read on demand, of a model loaded with `memory` or `expert_memory`

    def __init__(self, config: AXK1Config) -> None:
        config.refuse_what_does_not_fit()
        super().__init__(config)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a model as transformers does; weights stored in 8 or 4 bits are decoded to the model's dtype.

        A shard that cannot be read is named even if config.json has no dtype.

        Args:
            pretrained_model_name_or_path: as in transformers; so are all other arguments but these.
            *args: as in transformers.
            **kwargs: `memory="12GiB"` bounds the process: routed experts, and what does not fit beside them, are read
                from the shards when a token needs them, and nothing is written. `expert_memory="8GiB"` bounds the
                routed experts alone and loads everything else as usual. `streaming={...}` sets the other fields of
                `Streaming`. Logits are those of the model in memory, bit for bit where weights are stored in its dtype.

        """
        streaming = asked_for(kwargs)
        kwargs = take_over(cls.config_class, pretrained_model_name_or_path, kwargs)
        args = (pretrained_model_name_or_path, *args)
        token = _STREAMING.set(streaming)
        try:
            return super().from_pretrained(*args, **kwargs)
        except SafetensorError:
            # transformers opened the first shard to learn the dtype, and does not say which file it was. With a dtype
            # given, `match_checkpoint` is the first to open the shards, and says so.
            super().from_pretrained(*args, **{**kwargs, "dtype": torch.float32})
            raise
        finally:
            _STREAMING.reset(token)

    @staticmethod
    def _load_pretrained_model(
        model: "AXK1PreTrainedModel", state_dict: dict | None, checkpoint_files: list[str] | None, load_config: Any
    ) -> tuple[Any, dict]:
        """Hold the checkpoint against the model before a tensor is read, then load it as transformers does.

        `from_pretrained` calls this once the model stands, still without weights. A conversion mapping registered by
        class name or model_type would also reach transformers' native `axk1`, whose names are the same; this does not.
        """
        files, quantisation = checkpoint_files or [], taken_over(model.config)
        is_quantized = load_config.hf_quantizer is not None and load_config.hf_quantizer.pre_quantized
        streaming = _STREAMING.get()
        if state_dict is None and not is_quantized and all(file.endswith(".safetensors") for file in files):
            found = match_checkpoint(model, files, load_config, quantisation)
            if streaming is not None:
                from .attach_axk1 import stream_weights  # which is made of this file's parts

                devices = {torch.device(device).type for device in (load_config.device_map or {}).values()}
                if streaming.memory is not None and devices - {"cpu"}:
                    raise ValueError("memory bounds a process that computes on the CPU; with a GPU give expert_memory")
                model.streamed = model.base_model.streamed = stream_weights(model, found, streaming)
            # Where all can be used as they lie in the files, that is what transformers does by itself.
            if streaming is not None or not all(tensor.as_stored for tensor in found.values()):
                state_dict = found
        elif streaming is not None:
            raise ValueError("memory and expert_memory need a checkpoint of safetensors, and no quantizer's argument")
        loaded = PreTrainedModel._load_pretrained_model(model, state_dict, checkpoint_files, load_config)
        if streaming is not None:
            model.requires_grad_(False)  # there is nothing to train: most weights are not here
        return loaded

    def save_pretrained(self, *args: Any, **kwargs: Any) -> Any:
        """Save as transformers does; raises ValueError for a streamed model, whose weights are in its shards."""
        if self.streamed is not None:
            raise ValueError("a model loaded with memory or expert_memory cannot be saved: its shards are its weights")
        return super().save_pretrained(*args, **kwargs)

    def get_correct_experts_implementation(self, requested_experts: str | None) -> str:
        """Unless asked for another: our own experts where there is no accelerator, else transformers' default."""
        if requested_experts is None and not torch.accelerator.is_available():
            requested_experts = "eager"
        return super().get_correct_experts_implementation(requested_experts)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        std = self.config.initializer_range
        if isinstance(module, AXK1TopkRouter):
            init.normal_(module.weight, mean=0.0, std=std)
            init.zeros_(module.tokens_per_expert)
            if module.e_score_correction_bias is not None:
                init.zeros_(module.e_score_correction_bias)
        elif isinstance(module, AXK1Experts):
            init.normal_(module.gate_up_proj, mean=0.0, std=std)
            init.normal_(module.down_proj, mean=0.0, std=std)
        elif isinstance(module, AXK1RotaryEmbedding):
            init.copy_(module.inv_freq, module.frequencies()[0])


class AXK1Model(AXK1PreTrainedModel):
    """Embedding, the decoder layers, a last norm: token ids to hidden states.

    A multi-token prediction module is one more of `layers`, which `forward` leaves out and `look_ahead` runs.
    """

    def __init__(self, config: AXK1Config) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(AXK1DecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.layers.extend(
            AXK1MultiTokenPredictor(config, config.num_hidden_layers + i)
            for i in range(config.num_nextn_predict_layers)
        )
        self.norm = AXK1RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary_emb = AXK1RotaryEmbedding(config)
        self.gradient_checkpointing = False
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        hidden_to_keep: int = 0,
        **kwargs: Any,
    ) -> AXK1ModelOutput:
        """Run the decoder.

        Args:
            input_ids: [B, T] token ids; or give `inputs_embeds`, [B, T, D].
            attention_mask: [B, S], 1 for tokens and 0 for padding on either side.
            position_ids: [B, T]; counted on from the cache when absent.
            past_key_values: latents and rotary keys of earlier tokens, of any transformers cache class.
            inputs_embeds: [B, T, D] in place of `input_ids`.
            use_cache: make a cache when none is given.
            hidden_to_keep: return only the last so many positions (0: all).
            **kwargs: output_router_logits, output_router_experts, output_hidden_states, output_attentions, return_dict.

        Raises:
            ValueError: both or neither of `input_ids` and `inputs_embeds`, or ids outside the vocabulary (on a CPU;
                elsewhere the device's own assertion stops the program, as looking first would cost a wait per token).

        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds, and not both")
        tokens = inputs_embeds if input_ids is None else input_ids
        assert tokens is not None
        if "cache" in kwargs:  # continuous batching's, with much more that only the cache understands
            past_key_values, kwargs = AXK1PagedLatents(kwargs.pop("cache"), kwargs), {}
        if past_key_values is None and use_cache:
            past_key_values = DynamicCache(config=self.config)

        def inputs(piece: slice) -> tuple[Tensor]:
            return (self.embed(tokens[:, piece]) if inputs_embeds is None else tokens[:, piece],)

        last_BTD = self._in_pieces(
            self._decode, inputs, tokens, attention_mask, position_ids, past_key_values, hidden_to_keep, **kwargs
        )
        return AXK1ModelOutput(last_hidden_state=last_BTD, past_key_values=past_key_values)

    def _decode(self, hidden_BTD: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        for layer in self.layers[: self.config.num_hidden_layers]:
            hidden_BTD = layer(hidden_BTD, *args, **kwargs)
        return self.norm(hidden_BTD)

    def embed(self, input_ids: Tensor) -> Tensor:
        """Look token ids up: [B, T] to [B, T, D]."""
        try:
            return self.embed_tokens(input_ids)
        except IndexError:
            low, high = input_ids.min().item(), input_ids.max().item()
            rows = self.embed_tokens.num_embeddings
            raise ValueError(f"token ids must be in [0, {rows}), got some from {low} to {high}") from None

    def warn_beyond_context(self, position_ids: Tensor) -> None:
        """Warn once of positions the model was not made for. On a CPU only: elsewhere a look would wait for the device,
        and `generate` gives a reminder of its own.
        """
        if torch.compiler.is_compiling() or position_ids.device.type != "cpu" or position_ids.numel() == 0:
            return
        context = self.config.max_position_embeddings
        if position_ids.max().item() >= context:
            # Once for each text of its own: the length in it would make every further token a new warning.
            logger.warning_once(
                f"a sequence is longer than max_position_embeddings {context}: what the model says beyond its context "
                "is not to be trusted"
            )

    @capture_outputs
    def look_ahead(
        self,
        hidden_BTD: Tensor,
        next_embeds_BTD: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> AXK1ModelOutput:
        """Run the multi-token prediction module: hidden states from which the head predicts the token after next.

        Args:
            hidden_BTD: `last_hidden_state` of tokens, as `forward` gave it.
            next_embeds_BTD: embeddings of the tokens that follow each of them.
            attention_mask: as in `forward`, of the tokens that `hidden_BTD` belongs to.
            position_ids: as in `forward`, likewise.
            past_key_values: a cache of the module's own, not the one of `forward`.
            **kwargs: as in `forward`.

        """

        def inputs(piece: slice) -> tuple[Tensor, Tensor]:
            return hidden_BTD[:, piece], next_embeds_BTD[:, piece]

        module = self.layers[self.config.num_hidden_layers]
        ahead_BTD = self._in_pieces(module, inputs, hidden_BTD, attention_mask, position_ids, past_key_values, **kwargs)
        return AXK1ModelOutput(last_hidden_state=ahead_BTD, past_key_values=past_key_values)

    def _in_pieces(
        self,
        run: Callable[..., Tensor],
        inputs: Callable[[slice], tuple[Tensor, ...]],
        tokens: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        past_key_values: Cache | None,
        hidden_to_keep: int = 0,
        **kwargs: Any,
    ) -> Tensor:
        """Run layers over `tokens` [B, T, ...], a long prompt piece by piece; return their hidden states [B, T, D].

        `run` takes what `inputs` gives for a piece of them, then the rotation, the mask and the cache.
        """
        T = tokens.shape[1]
        pieces = self._prefill_pieces(T, attention_mask, past_key_values, kwargs)
        if past_key_values is None and len(pieces) > 1:
            past_key_values = DynamicCache(config=self.config)
        seen = 0
        if past_key_values is not None:
            seen = past_key_values.get_seq_length()
            give_room(past_key_values)
        if position_ids is None:
            position_ids = (torch.arange(T, device=tokens.device) + seen)[None]
        self.warn_beyond_context(position_ids)

        def around(piece: slice, hidden_BTD: Tensor) -> tuple[Any, ...]:
            # A prompt's mask is longer than what its first pieces have seen.
            part_mask = attention_mask if len(pieces) == 1 else _first_columns(attention_mask, seen + piece.stop)
            mask, position_embeddings = self._mask_and_rotation(
                hidden_BTD, part_mask, position_ids[..., piece], past_key_values
            )
            return position_embeddings, mask, past_key_values

        last = []
        if self.streamed is not None and len(pieces) > 1 and run == self._decode:
            parts_BTD = self.streamed.decode(self, [(piece, *inputs(piece)) for piece in pieces], around, **kwargs)
        else:
            parts_BTD = (
                run(*parts, *around(piece, parts[0]), **kwargs) for piece in pieces for parts in [inputs(piece)]
            )
        for piece, part_BTD in zip(pieces, parts_BTD, strict=True):
            if piece.stop > T - hidden_to_keep or not hidden_to_keep:
                last.append(part_BTD)
        last_BTD = last[0] if len(last) == 1 else torch.cat(last, dim=1)
        # Of rows whose strides are another text's, a linear layer in bfloat16 on a CPU would copy its weights first.
        return last_BTD[:, -hidden_to_keep:].flatten(0, 1).unflatten(0, (last_BTD.shape[0], -1))

    def _mask_and_rotation(
        self,
        hidden_BTD: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor,
        past_key_values: Cache | None,
    ) -> tuple[Tensor | None, tuple[Tensor, Tensor]]:
        """Return the causal mask in the form that the attention in use wants, and the rotation of every position."""
        if isinstance(past_key_values, AXK1PagedLatents):
            return None, self.rotary_emb(hidden_BTD, position_ids)  # each of its sequences has a mask of its own
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=hidden_BTD,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        return mask, self.rotary_emb(hidden_BTD, position_ids)

    def _prefill_pieces(
        self, T: int, attention_mask: Tensor | None, past_key_values: Cache | None, kwargs: dict[str, Any]
    ) -> list[slice]:
        """Cut a long prompt into pieces that pass the layers one after another, through the cache.

        So memory beside weights and cache does not grow with the prompt. Not where gradients or the layers' outputs
        are wanted, nor with a mask that is made already, nor what continuous batching has cut.
        """
        whole = (
            torch.is_grad_enabled()
            or torch.compiler.is_compiling()
            or self.config._attn_implementation != "sdpa"
            or (attention_mask is not None and attention_mask.ndim != 2)
            or isinstance(past_key_values, AXK1PagedLatents)
            or any(kwargs.get(f"output_{name}", getattr(self.config, f"output_{name}", False)) for name in _RECORDED)
        )
        size = T if whole else _PREFILL_CHUNK
        return [slice(start, min(start + size, T)) for start in range(0, T, size)]


# Tokens of a prompt that pass the layers together, and what would have to be put together again from the pieces.
_PREFILL_CHUNK = 1024
_RECORDED = ("hidden_states", "attentions", "router_logits", "router_experts")


def _first_columns(mask_BS: Tensor | None, columns: int) -> Tensor | None:
    """Of a whole prompt's padding mask, what the prompt's first pieces have seen."""
    return None if mask_BS is None else mask_BS[:, :columns]


class AXK1ForCausalLM(AXK1PreTrainedModel, AXK1GenerationMixin):
    """A.X K1 as a language model: hidden states to logits over the vocabulary.

    Example:
        >>> model = AXK1ForCausalLM.from_pretrained("path/to/checkpoint")
        >>> model.generate(**tokenizer("Hello", return_tensors="pt"), max_new_tokens=20)

    """

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012 (only if config ties them)
    _tp_plan = {"lm_head": "colwise_gather_output"}  # noqa: RUF012
    _fsdp_plan = {"lm_head": "keep_full_weight"}  # noqa: RUF012

    def __init__(self, config: AXK1Config) -> None:
        super().__init__(config)
        self.model = AXK1Model(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> AXK1CausalLMOutput:
        """Run the model; the other arguments are those of `AXK1Model.forward`.

        `labels`: [B, T] token ids to predict, each from the tokens before it; -100 is left out of the loss. In training
        mode the loss has two more parts, as the config weighs them: that of multi-token prediction and the
        sequence-level balance; and the routers count each expert's tokens, padding left out. (Under gradient
        checkpointing the balance loss has a gradient with `use_reentrant=False`, transformers' default.)
        `logits_to_keep`: only the last so many positions' logits (0: all), or the positions in this 1-D tensor.
        """
        learning = self.training and labels is not None
        if learning:
            # What the layers return to this level is seen once, however often checkpointing runs a layer.
            kwargs |= {"output_router_logits": True, "output_router_experts": True}
        keep_last = logits_to_keep if isinstance(logits_to_keep, int) else 0
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            hidden_to_keep=keep_last,
            **kwargs,
        )
        hidden_BTD = outputs.last_hidden_state
        logits_BTV = self.lm_head(hidden_BTD if isinstance(logits_to_keep, int) else hidden_BTD[:, logits_to_keep])
        loss = mtp_loss = balance_loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits_BTV, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        if learning:
            mtp_loss, balance_loss = self._further_losses(
                outputs, input_ids, inputs_embeds, labels, attention_mask, position_ids, **kwargs
            )
            loss = loss + self.config.mtp_loss_weight * mtp_loss + self.config.sequence_balance_weight * balance_loss
        return AXK1CausalLMOutput(
            loss=loss,
            mtp_loss=mtp_loss,
            aux_loss=balance_loss,
            logits=logits_BTV,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            router_logits=outputs.router_logits,
        )

    def _further_losses(
        self,
        outputs: AXK1ModelOutput,
        input_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        labels_BT: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of multi-token prediction and of balance, 0 where the config has none; count the load."""
        mtp_loss = balance_loss = outputs.last_hidden_state.new_zeros(())
        real_BT, cut_mask = torch.ones_like(labels_BT, dtype=torch.bool), None
        if attention_mask is not None and attention_mask.ndim == 2:
            real_BT, cut_mask = attention_mask.bool(), attention_mask[:, :-1]
        elif attention_mask is not None:  # made by the caller, of queries and keys
            cut_mask = attention_mask[..., :-1, :-1]
        routings = outputs.routings(real_BT)

        if self.config.num_nextn_predict_layers:
            # Of each token but the last: its hidden state, the embedding after it, and the label after that.
            embeds_BTD = self.model.embed(input_ids) if inputs_embeds is None else inputs_embeds
            ahead = self.model.look_ahead(
                outputs.last_hidden_state[:, :-1],
                embeds_BTD[:, 1:],
                cut_mask,
                position_ids[:, :-1] if position_ids is not None else None,
                **kwargs,
            )
            target_BT = F.pad(labels_BT[:, 2:], (0, 1), value=-100).masked_fill(~real_BT[:, :-1], -100)
            # At least 1, so that a batch with labels at its second token only has a loss, of 0.
            kwargs.setdefault("num_items_in_batch", (target_BT != -100).sum().clamp(min=1))
            mtp_loss = self.loss_function(
                logits=self.lm_head(ahead.last_hidden_state),
                labels=labels_BT,
                shift_labels=target_BT,
                vocab_size=self.config.vocab_size,
                **kwargs,
            )
            routings += ahead.routings(real_BT[:, :-1] & real_BT[:, 1:])

        routers = [module for module in self.modules() if isinstance(module, AXK1TopkRouter)]
        for router, (logits_XE, experts_XK, real) in zip(routers, routings, strict=True):
            router.count(experts_XK, real)
            if self.config.sequence_balance_weight:
                balance_loss = balance_loss + sequence_balance_loss(logits_XE, experts_XK, real)
        return mtp_loss, balance_loss


class AXK1ForSequenceClassification(GenericForSequenceClassification, AXK1PreTrainedModel):
    """A.X K1 with scores for the whole sequence, read off its last token that is not padding."""

    def __init__(self, config: AXK1Config) -> None:
        # Not the mixin's own, which asks AutoModel for the base model: exported code stands alone.
        super(GenericForSequenceClassification, self).__init__(config)
        self.num_labels = config.num_labels
        self.model = AXK1Model(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)
        self.post_init()


class AXK1ForTokenClassification(GenericForTokenClassification, AXK1PreTrainedModel):
    """A.X K1 with scores for each token."""

    def __init__(self, config: AXK1Config) -> None:
        super(GenericForTokenClassification, self).__init__(config)
        self.num_labels = config.num_labels
        self.model = AXK1Model(config)
        self.dropout = nn.Dropout(getattr(config, "classifier_dropout", None) or 0.0)
        self.score = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()


__all__ = [
    "AXK1ForCausalLM",
    "AXK1ForSequenceClassification",
    "AXK1ForTokenClassification",
    "AXK1Model",
    "AXK1PreTrainedModel",
]
