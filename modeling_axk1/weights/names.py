"""From a config to every tensor's name, shape and meaning. The one place that knows how A.X K1 names its weights.

Everything follows from the config's keys (those of `config.json`); no layer number and no width is written here.
Shapes are PyTorch's: a linear layer's weight is [out, in].

    D  hidden_size          H  num_attention_heads     V  vocab_size
    Q  q_lora_rank          L  kv_lora_rank            N, R  qk_nope_head_dim, qk_rope_head_dim
    W  v_head_dim           I  intermediate_size       E, F  n_routed_experts, moe_intermediate_size
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, NamedTuple

from modeling_axk1.errors import WeightsError

# Far above any model's numbers; they keep a hostile config from asking for an endless list of names.
MAX_LAYERS = 256
MAX_EXPERTS = 1_024
MAX_WIDTH = 2**40

Layout = Literal["fused", "per-expert"]


@dataclass(frozen=True)
class TensorSpec:
    """What a checkpoint must hold under one name.

    An `optional` tensor may be absent: no forward pass reads it, or absent means zero. A `dtype` is given where a
    quantisation decides it, elsewhere it is the checkpoint's own; so is the number of `parameters` that a tensor
    stands for, elsewhere that of its elements.
    """

    shape: tuple[int, ...]
    meaning: str
    optional: bool = False
    dtype: str | None = None
    parameters: int | None = None


class Parameters(NamedTuple):
    """Numbers of parameters: all of them, and those that one token meets."""

    total: int
    active: int


def is_axk1(config: Mapping[str, Any]) -> bool:
    """Whether a config names this architecture, under today's model_type "axk1" or January 2026's "AXK1"."""
    return config.get("model_type") in ("axk1", "AXK1")


def layer_kinds(config: Mapping[str, Any]) -> list[str]:
    """Return "dense" or "sparse" for every layer.

    `mlp_layer_types` (what transformers writes) or `first_k_dense_replace` and `moe_layer_freq` (what vLLM reads)
    decide; where a config has both they must agree, or two engines would build two different models of it.
    """
    layers = _number(config, "num_hidden_layers", 1, MAX_LAYERS)
    listed = config.get("mlp_layer_types")
    has_rule = "first_k_dense_replace" in config and "moe_layer_freq" in config
    by_rule = _kinds_by_rule(config, layers) if listed is None or has_rule else listed
    if listed is None:
        return by_rule
    if not isinstance(listed, list) or len(listed) != layers or not all(kind in ("dense", "sparse") for kind in listed):
        raise WeightsError(f'mlp_layer_types must list "dense" or "sparse" for each of the {layers} layers')
    for layer, (kind, ruled) in enumerate(zip(listed, by_rule, strict=True)):
        if kind != ruled:
            raise WeightsError(
                f"mlp_layer_types must agree with first_k_dense_replace and moe_layer_freq: "
                f"layer {layer} is {kind} by the first and {ruled} by the others"
            )
    return listed


def expected_tensors(config: Mapping[str, Any], layout: Layout = "fused") -> dict[str, TensorSpec]:
    """Return every tensor of a checkpoint, in model order.

    `config` is the content of a config.json; `layout` says how routed experts are stored: "fused" as in the
    release (one tensor per layer), or "per-expert" as in the upload of January 2026 and in transformers'
    `save_pretrained`. Raises WeightsError naming a key that is missing or out of range.

    Example: the release's config gives 976 names, from "model.embed_tokens.weight" to "lm_head.weight".
    """
    hidden = _width(config, "hidden_size")
    vocabulary = _width(config, "vocab_size")
    tensors = {"model.embed_tokens.weight": TensorSpec((vocabulary, hidden), "token embeddings, one row per token id")}
    kinds = layer_kinds(config)
    if _predictors(config):
        # Its kind follows from the rule alone: a list of layer types ends with the last layer.
        kinds = [*kinds, *_kinds_by_rule(config, len(kinds) + _predictors(config))[len(kinds) :]]
    for number, kind in enumerate(kinds):
        layer = _attention(config) | _norms(hidden, used_after_mlp=kind == "sparse")
        layer |= _sparse_mlp(config, layout) if kind == "sparse" else _dense_mlp(config)
        layer |= _prediction(hidden) if number >= config["num_hidden_layers"] else {}
        tensors |= {f"model.layers.{number}.{name}": spec for name, spec in layer.items()}
    tensors["model.norm.weight"] = TensorSpec((hidden,), "RMSNorm after the last layer")
    if not config.get("tie_word_embeddings", False):
        tensors["lm_head.weight"] = TensorSpec((vocabulary, hidden), "output projection to the vocabulary")
    return tensors


def parameters(config: Mapping[str, Any]) -> Parameters:
    """Count parameters, all and active per token, as the release counts itself (519 B and 33 B).

    Active is everything but the routed experts that a token's router does not choose, and but a multi-token prediction
    module, which only drafts. Embeddings and output projection count whole, and so does the unused norm of dense
    layers: for the release 32,779,339,776.
    """
    kinds = layer_kinds(config)
    sizes = {name: prod(spec.shape) for name, spec in expected_tensors(config).items()}
    drafting = tuple(f"model.layers.{len(kinds) + i}." for i in range(_predictors(config)))
    main = sum(size for name, size in sizes.items() if not name.startswith(drafting))
    experts = _number(config, "n_routed_experts", 1, MAX_EXPERTS)
    chosen = _number(config, "num_experts_per_tok", 1, experts)
    one_expert = 3 * _width(config, "hidden_size") * _width(config, "moe_intermediate_size")
    return Parameters(sum(sizes.values()), main - kinds.count("sparse") * (experts - chosen) * one_expert)


def _kinds_by_rule(config: Mapping[str, Any], layers: int) -> list[str]:
    first = _number(config, "first_k_dense_replace", 0, MAX_LAYERS)
    every = _number(config, "moe_layer_freq", 1, MAX_LAYERS)
    return ["sparse" if layer >= first and layer % every == 0 else "dense" for layer in range(layers)]


def _predictors(config: Mapping[str, Any]) -> int:
    return _number(config, "num_nextn_predict_layers", 0, 1) if "num_nextn_predict_layers" in config else 0


def _prediction(hidden: int) -> dict[str, TensorSpec]:
    """What a multi-token prediction module has beside a decoder layer; embedding and output head are the model's."""
    return {
        "enorm.weight": TensorSpec((hidden,), "multi-token prediction: RMSNorm of the next token's embedding"),
        "hnorm.weight": TensorSpec((hidden,), "multi-token prediction: RMSNorm of the last hidden state"),
        "eh_proj.weight": TensorSpec((hidden, 2 * hidden), "multi-token prediction: both joined, to the hidden width"),
        "shared_head.norm.weight": TensorSpec((hidden,), "multi-token prediction: RMSNorm before the output head"),
    }


def _attention(config: Mapping[str, Any]) -> dict[str, TensorSpec]:
    hidden, heads = _width(config, "hidden_size"), _width(config, "num_attention_heads")
    query_rank, latent = _width(config, "q_lora_rank"), _width(config, "kv_lora_rank")
    nope, rope = _width(config, "qk_nope_head_dim"), _width(config, "qk_rope_head_dim")
    value = _width(config, "v_head_dim")
    tensors = {
        "q_a_proj.weight": TensorSpec((query_rank, hidden), "queries, down to their latent"),
        "q_a_layernorm.weight": TensorSpec((query_rank,), "RMSNorm of the query latent"),
        "q_b_proj.weight": TensorSpec((heads * (nope + rope), query_rank), "queries, up to heads of [no-rope, rope]"),
        "kv_a_proj_with_mqa.weight": TensorSpec(
            (latent + rope, hidden), "keys and values, down to the cached latent and the rope key all heads share"
        ),
        "kv_a_layernorm.weight": TensorSpec((latent,), "RMSNorm of the key-value latent"),
        "kv_b_proj.weight": TensorSpec((heads * (nope + value), latent), "latent, up to heads of [no-rope key, value]"),
        "o_proj.weight": TensorSpec((hidden, heads * value), "heads, back to the hidden width"),
    }
    if config.get("attention_bias", False):
        for name in ("q_a_proj", "kv_a_proj_with_mqa", "o_proj"):
            tensors[f"{name}.bias"] = TensorSpec(tensors[f"{name}.weight"].shape[:1], f"bias of {name}")
    return {f"self_attn.{name}": spec for name, spec in tensors.items()}


def _norms(hidden: int, *, used_after_mlp: bool) -> dict[str, TensorSpec]:
    after_mlp = "RMSNorm of the MLP's output" if used_after_mlp else "unused: a dense layer's output is not normalised"
    return {
        "input_layernorm.weight": TensorSpec((hidden,), "RMSNorm before attention"),
        "post_attention_layernorm.weight": TensorSpec((hidden,), "RMSNorm before the MLP"),
        "post_mlp_layernorm.weight": TensorSpec((hidden,), after_mlp, optional=not used_after_mlp),
    }


def _dense_mlp(config: Mapping[str, Any]) -> dict[str, TensorSpec]:
    hidden, width = _width(config, "hidden_size"), _width(config, "intermediate_size")
    return _gated("mlp", hidden, width, "dense MLP")


def _sparse_mlp(config: Mapping[str, Any], layout: Layout) -> dict[str, TensorSpec]:
    hidden, width = _width(config, "hidden_size"), _width(config, "moe_intermediate_size")
    experts = _number(config, "n_routed_experts", 1, MAX_EXPERTS)
    shared = _number(config, "n_shared_experts", 1, MAX_EXPERTS)
    tensors = {"mlp.gate.weight": TensorSpec((experts, hidden), "router: one score per expert")}
    if config.get("use_router_bias", False):
        tensors["mlp.gate.e_score_correction_bias"] = TensorSpec(
            (experts,), "added to the scores for choosing only; zero where absent", optional=True
        )
    if layout == "fused":
        tensors["mlp.experts.gate_up_proj"] = TensorSpec(
            (experts, 2 * width, hidden), "routed experts: gate rows, then up rows"
        )
        tensors["mlp.experts.down_proj"] = TensorSpec((experts, hidden, width), "routed experts: down")
    else:
        for expert in range(experts):
            tensors |= _gated(f"mlp.experts.{expert}", hidden, width, f"routed expert {expert}")
    return tensors | _gated("mlp.shared_experts", hidden, shared * width, "shared expert")


def _gated(prefix: str, hidden: int, width: int, owner: str) -> dict[str, TensorSpec]:
    return {
        f"{prefix}.gate_proj.weight": TensorSpec((width, hidden), f"{owner}: gate, through SiLU"),
        f"{prefix}.up_proj.weight": TensorSpec((width, hidden), f"{owner}: up, times the gate"),
        f"{prefix}.down_proj.weight": TensorSpec((hidden, width), f"{owner}: down"),
    }


def _width(config: Mapping[str, Any], key: str) -> int:
    return _number(config, key, 1, MAX_WIDTH)


def _number(config: Mapping[str, Any], key: str, low: int, high: int) -> int:
    if key not in config:
        raise WeightsError(f"the config must have {key}, and it has not")
    value = config[key]
    if type(value) is not int or not low <= value <= high:
        raise WeightsError(f"{key} must be an integer in [{low}, {high}], got {value!r:.60}")
    return value
