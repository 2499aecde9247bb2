"""The same mathematics as modeling_axk1.py in plain loops: an oracle to compare with, never to run.

One sequence, one layer, one token, one head, one expert at a time, in float64, from nothing but a config and a
checkpoint's tensors. No cache, no batching, no masks: a token looks at itself and at those before it, by a loop.
Slow on purpose; written from the equations (DeepSeek-V2 section 2.1, DeepSeek-V3 section 2.1, YaRN section 3), not
from the fast path.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from modeling_axk1.model.configuration_axk1 import AXK1Config

Weights = Mapping[str, Tensor]


def reference_logits(weights: Weights, config: AXK1Config, input_ids: list[int]) -> Tensor:
    """Return the logits [T, V], float64, of one unpadded sequence."""
    weights = {name: tensor.double() for name, tensor in weights.items()}
    return _to_logits(weights, config, _last_hidden(weights, config, input_ids))


def reference_mtp_logits(weights: Weights, config: AXK1Config, input_ids: list[int]) -> Tensor:
    """Return the logits [T-1, V], float64, of the token after next: row i, from tokens 0 to i+1, is of token i+2."""
    weights = {name: tensor.double() for name, tensor in weights.items()}
    module = f"model.layers.{config.num_hidden_layers}"
    joined = []
    for h, following in zip(_last_hidden(weights, config, input_ids)[:-1], input_ids[1:], strict=True):
        embedding = _norm(weights["model.embed_tokens.weight"][following], weights[f"{module}.enorm.weight"], config)
        h = _norm(h, weights[f"{module}.hnorm.weight"], config)
        joined.append(weights[f"{module}.eh_proj.weight"] @ torch.cat([embedding, h]))
    ahead = _layer(weights, config, config.num_hidden_layers, joined)
    return _to_logits(weights, config, [_norm(h, weights[f"{module}.shared_head.norm.weight"], config) for h in ahead])


def _last_hidden(weights: Weights, config: AXK1Config, input_ids: list[int]) -> list[Tensor]:
    hidden = [weights["model.embed_tokens.weight"][token] for token in input_ids]
    for layer in range(config.num_hidden_layers):
        hidden = _layer(weights, config, layer, hidden)
    return [_norm(h, weights["model.norm.weight"], config) for h in hidden]


def _to_logits(weights: Weights, config: AXK1Config, hidden: list[Tensor]) -> Tensor:
    head = weights["model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"]
    return torch.stack([head @ h for h in hidden])


def _layer(weights: Weights, config: AXK1Config, layer: int, hidden: list[Tensor]) -> list[Tensor]:
    own = {
        name.removeprefix(f"model.layers.{layer}."): tensor
        for name, tensor in weights.items()
        if name.startswith(f"model.layers.{layer}.")
    }
    attended = _attention(own, config, [_norm(h, own["input_layernorm.weight"], config) for h in hidden])
    hidden = [h + a for h, a in zip(hidden, attended, strict=True)]
    result = []
    for h in hidden:
        x = _norm(h, own["post_attention_layernorm.weight"], config)
        if config.is_sparse(layer):
            y = _norm(_sparse_mlp(own, config, x), own["post_mlp_layernorm.weight"], config)
        else:
            y = _mlp(own["mlp.gate_proj.weight"], own["mlp.up_proj.weight"], own["mlp.down_proj.weight"], x)
        result.append(h + y)
    return result


def _norm(x: Tensor, weight: Tensor, config: AXK1Config) -> Tensor:
    return weight * x / torch.sqrt((x * x).mean() + config.rms_norm_eps)


def _attention(own: Weights, config: AXK1Config, hidden: list[Tensor]) -> list[Tensor]:
    H, N, C = config.num_attention_heads, config.qk_nope_head_dim, config.v_head_dim
    queries, keys, values = [], [], []
    for position, x in enumerate(hidden):
        compressed_query = _norm(_linear(own, "self_attn.q_a_proj", x), own["self_attn.q_a_layernorm.weight"], config)
        query = _linear(own, "self_attn.q_b_proj", compressed_query).view(H, -1)
        latent_and_rope_key = _linear(own, "self_attn.kv_a_proj_with_mqa", x)
        latent = _norm(latent_and_rope_key[: config.kv_lora_rank], own["self_attn.kv_a_layernorm.weight"], config)
        rope_key = _rotate(latent_and_rope_key[config.kv_lora_rank :], position, config)
        key_and_value = _linear(own, "self_attn.kv_b_proj", latent).view(H, N + C)
        queries.append([torch.cat([query[h, :N], _rotate(query[h, N:], position, config)]) for h in range(H)])
        keys.append([torch.cat([key_and_value[h, :N], rope_key]) for h in range(H)])
        values.append([key_and_value[h, N:] for h in range(H)])

    scale = _softmax_scale(config)
    outputs = []
    for t in range(len(hidden)):
        heads = []
        for h in range(H):
            scores = torch.stack([queries[t][h] @ keys[s][h] * scale for s in range(t + 1)])
            weights = torch.exp(scores - scores.max())
            weights = weights / weights.sum()
            heads.append(sum(weights[s] * values[s][h] for s in range(t + 1)))
        outputs.append(_linear(own, "self_attn.o_proj", torch.cat(heads)))
    return outputs


def _linear(own: Weights, name: str, x: Tensor) -> Tensor:
    y = own[f"{name}.weight"] @ x
    return y + own[f"{name}.bias"] if f"{name}.bias" in own else y


def _rotate(x: Tensor, position: int, config: AXK1Config) -> Tensor:
    """Turn pair i of `x` by position * frequency i; members stay in the place where they lie."""
    frequencies, temperature = rope_frequencies(config)
    half = len(x) // 2
    out = x.clone()
    for i, frequency in enumerate(frequencies):
        a, b = (2 * i, 2 * i + 1) if config.rope_interleave else (i, i + half)
        cos, sin = math.cos(position * frequency) * temperature, math.sin(position * frequency) * temperature
        out[a], out[b] = x[a] * cos - x[b] * sin, x[b] * cos + x[a] * sin
    return out


def rope_frequencies(config: AXK1Config) -> tuple[list[float], float]:
    """Return the frequency of each rotary pair and YaRN's factor on cosine and sine (arXiv 2309.00071, section 3)."""
    rope, dim = config.rope_parameters, config.qk_rope_head_dim
    base = [rope["rope_theta"] ** (-2 * i / dim) for i in range(dim // 2)]
    if rope["rope_type"] == "default":
        return base, 1.0
    if rope["rope_type"] == "linear":
        return [f / rope["factor"] for f in base], 1.0

    def pair_that_turns(rotations: float) -> float:
        """Index of the pair that makes so many turns within the trained context."""
        trained = rope["original_max_position_embeddings"]
        return dim * math.log(trained / (rotations * 2 * math.pi)) / (2 * math.log(rope["rope_theta"]))

    low = max(math.floor(pair_that_turns(rope.get("beta_fast") or 32)), 0)
    high = min(math.ceil(pair_that_turns(rope.get("beta_slow") or 1)), dim - 1)
    frequencies = []
    for i, frequency in enumerate(base):
        stretched = min(max((i - low) / (high - low if high != low else 0.001), 0.0), 1.0)
        frequencies.append(stretched * frequency / rope["factor"] + (1 - stretched) * frequency)
    mscale, mscale_all_dim = rope.get("mscale"), rope.get("mscale_all_dim")
    if mscale and mscale_all_dim:
        return frequencies, _mscale(rope["factor"], mscale) / _mscale(rope["factor"], mscale_all_dim)
    return frequencies, _mscale(rope["factor"], 1.0)


def _mscale(factor: float, mscale: float) -> float:
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0


def _softmax_scale(config: AXK1Config) -> float:
    scale = (config.qk_nope_head_dim + config.qk_rope_head_dim) ** -0.5
    rope = config.rope_parameters
    if rope["rope_type"] != "default" and rope.get("mscale_all_dim"):
        scale *= _mscale(rope["factor"], rope["mscale_all_dim"]) ** 2
    return scale


def _mlp(gate: Tensor, up: Tensor, down: Tensor, x: Tensor) -> Tensor:
    g = gate @ x
    return down @ (g / (1 + torch.exp(-g)) * (up @ x))


def _sparse_mlp(own: Weights, config: AXK1Config, x: Tensor) -> Tensor:
    gate, up, down = (own[f"mlp.shared_experts.{part}_proj.weight"] for part in ("gate", "up", "down"))
    y = _mlp(gate, up, down, x)
    router_bias = own.get("mlp.gate.e_score_correction_bias")
    for expert, weight in reference_route(own["mlp.gate.weight"] @ x, router_bias, config):
        gate, up = own["mlp.experts.gate_up_proj"][expert].chunk(2)
        y = y + weight * _mlp(gate, up, own["mlp.experts.down_proj"][expert], x)
    return y


def reference_route(logits: Tensor, bias: Tensor | None, config: AXK1Config) -> list[tuple[int, Tensor]]:
    """Return the (expert, weight) pairs of one token, from its router logits [E]; weights keep their gradient."""
    scores = 1 / (1 + torch.exp(-logits))
    choice = (scores if bias is None else scores + bias).tolist()
    size = config.n_routed_experts // config.n_group
    groups = [list(range(g * size, (g + 1) * size)) for g in range(config.n_group)]
    groups.sort(key=lambda group: sum(sorted((choice[e] for e in group), reverse=True)[:2]), reverse=True)
    permitted = [expert for group in groups[: config.topk_group] for expert in group]
    chosen = sorted(permitted, key=lambda e: choice[e], reverse=True)[: config.num_experts_per_tok]
    total = sum(scores[e] for e in chosen) + 1e-20 if config.norm_topk_prob else 1.0
    return [(e, scores[e] / total * config.routed_scaling_factor) for e in chosen]
