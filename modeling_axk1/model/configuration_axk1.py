# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""Configuration of A.X K1. `AXK1Config()` with no arguments is the published 519-billion-parameter model.

This file travels to the hub beside modeling_axk1.py and imports nothing of this package.
"""

from typing import Any

from transformers.configuration_utils import PreTrainedConfig

# "by a third-party reading" of the technical report (arXiv 2601.09200): 32,768 trained positions, stretched four times.
_PUBLISHED_ROPE = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32768,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 0.0,
}
_ROPE_TYPES = ("default", "linear", "yarn")
_AT_LEAST_ONE = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "moe_intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "q_lora_rank",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
    "n_routed_experts",
    "n_shared_experts",
    "num_experts_per_tok",
    "n_group",
    "topk_group",
    "moe_layer_freq",
    "max_position_embeddings",
)
_TOKEN_IDS = ("bos_token_id", "pad_token_id", "eos_token_id")


class _PublishedId(int):
    """A token id of the published vocabulary that nobody asked for: a default, void in a smaller vocabulary."""


class AXK1Config(PreTrainedConfig):
    """What an A.X K1 is made of.

    Sizes (source: transformers' `models/axk1`, vLLM's AXK1 files, the release's README):

    Args:
        vocab_size: rows of the embedding and of the output head.
        hidden_size: width of the residual stream (D).
        intermediate_size: width of a dense layer's MLP.
        moe_intermediate_size: width of one routed expert (F); the shared expert is `n_shared_experts` times as wide.
        num_hidden_layers: decoder layers, dense and sparse together.
        num_attention_heads: heads (H); every head has keys and values of its own, so `num_key_value_heads` equals it.
        q_lora_rank: width of the compressed query.
        kv_lora_rank: width of the latent that the cache holds for keys and values of all heads (L).
        qk_nope_head_dim: part of a head's query and key without position.
        qk_rope_head_dim: part with rotary position; its key is shared by all heads (R).
        v_head_dim: width of a head's value.
        n_routed_experts: routed experts of a sparse layer (E).
        n_shared_experts: shared experts, merged into one MLP that every token passes.
        num_experts_per_tok: experts that a token visits, the top-k.
        n_group: groups the routed experts are divided into.
        topk_group: groups a token may choose experts from.
        routed_scaling_factor: factor on the routing weights after normalisation.
        norm_topk_prob: whether the chosen experts' weights are divided by their sum.
        use_router_bias: whether sparse layers own `e_score_correction_bias`, which shifts the choice of experts and
            not their weights. The published checkpoint has none; where it is absent it is zero.
        router_bias_update_rate: step of that bias after each optimiser step, up for experts that got fewer tokens than
            the mean and down for those that got more (DeepSeek-V3 used 0.001); 0 leaves it as it is.
        sequence_balance_weight: weight of the sequence-level balance loss in training (DeepSeek-V3 used 0.0001).
        first_k_dense_replace: the first layers that are dense.
        moe_layer_freq: of the layers after them, those whose index is a multiple of this are sparse.
        num_nextn_predict_layers: multi-token prediction modules, 0 (as published) or 1; a module is one more decoder
            layer, of index `num_hidden_layers`, that predicts the token after next.
        mtp_loss_weight: weight of its loss in training. That of the published model is not known; 0.3 is DeepSeek-V3's
            for the larger part of its training.
        scoring_func: "sigmoid"; kept for engines that ask.
        topk_method: "noaux_tc", the grouped choice described above; kept for engines that ask.
        rope_interleave: whether rotary pairs are neighbours (x0, x1), or halves (x0, x_R/2).
        rope_parameters: rotary embedding as transformers writes it; "default", "linear" and "yarn" are implemented.
        max_position_embeddings: context length in tokens.
        bos_token_id: `<|endoftext|>`. The three ids are those of the published vocabulary; in a smaller one, where
            there are no such tokens, they are None unless given.
        pad_token_id: `<|pad|>`.
        eos_token_id: `<|im_end|>`; generation stops on bos_token_id too (generation_config.json).

    Raises:
        ValueError: a value that this code does not implement, or that contradicts another; names rule and value.

    Example:
        >>> AXK1Config(num_hidden_layers=4, first_k_dense_replace=1).mlp_layer_types
        ['dense', 'sparse', 'sparse', 'sparse']

    """

    model_type = "axk1"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 (transformers reads it off the class)
    attribute_map = {"num_local_experts": "n_routed_experts", "num_mtp_layers": "num_nextn_predict_layers"}  # noqa: RUF012

    # How processes divide the model, for `from_pretrained(..., distributed_config=...)`. Attention is divided by heads:
    # what comes before them, and the cache, is the same for all heads and stays whole in every process.
    base_model_tp_plan = {  # noqa: RUF012
        "layers.*.self_attn.q_b_proj": "colwise",
        "layers.*.self_attn.kv_a_proj_with_mqa": "mla_kv_a_proj",  # adds up the heads' gradients of their shared key
        "layers.*.self_attn.kv_b_proj": "colwise",
        "layers.*.self_attn.o_proj": "rowwise",
        "layers.*.mlp.gate_proj": "colwise",
        "layers.*.mlp.up_proj": "colwise",
        "layers.*.mlp.down_proj": "rowwise",
        "layers.*.mlp.shared_experts.gate_proj": "colwise",
        "layers.*.mlp.shared_experts.up_proj": "colwise",
        "layers.*.mlp.shared_experts.down_proj": "rowwise",
        "layers.*.mlp.experts.gate_up_proj": "packed_colwise",
        "layers.*.mlp.experts.down_proj": "rowwise",
        "layers.*.mlp.experts": "moe_tp_experts",
    }
    base_model_ep_plan = {  # noqa: RUF012
        "layers.*.mlp.experts.gate_up_proj": "grouped_gemm",
        "layers.*.mlp.experts.down_proj": "grouped_gemm",
        "layers.*.mlp.experts": "ep_dispatch_experts",
    }

    vocab_size: int = 163840
    hidden_size: int = 7168
    intermediate_size: int = 18432
    moe_intermediate_size: int = 2048
    num_hidden_layers: int = 61
    num_attention_heads: int = 64
    num_key_value_heads: int | None = None
    q_lora_rank: int = 1536
    kv_lora_rank: int = 512
    qk_nope_head_dim: int = 128
    qk_rope_head_dim: int = 64
    v_head_dim: int = 128
    n_routed_experts: int = 192
    n_shared_experts: int = 1
    num_experts_per_tok: int = 8
    n_group: int = 8
    topk_group: int = 4
    routed_scaling_factor: float = 2.5
    norm_topk_prob: bool = True
    scoring_func: str = "sigmoid"
    topk_method: str = "noaux_tc"
    use_router_bias: bool = False
    router_bias_update_rate: float = 0.0
    sequence_balance_weight: float = 0.0
    num_nextn_predict_layers: int = 0
    mtp_loss_weight: float = 0.3
    first_k_dense_replace: int = None  # type: ignore[assignment]  # 1, unless mlp_layer_types says otherwise
    moe_layer_freq: int = None  # type: ignore[assignment]  # likewise
    hidden_act: str = "silu"
    attention_bias: bool = False
    attention_dropout: float = 0.0
    rms_norm_eps: float = 1e-6
    initializer_range: float = 0.02
    max_position_embeddings: int = 131072
    rope_parameters: dict[str, Any] = None  # type: ignore[assignment]  # filled in __post_init__
    rope_interleave: bool = True
    output_router_logits: bool = False
    use_cache: bool = True
    tie_word_embeddings: bool = False
    bos_token_id: int | None = _PublishedId(163691)
    pad_token_id: int | None = _PublishedId(163692)
    eos_token_id: int | list[int] | None = _PublishedId(163704)

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill what follows from other values, read older spellings, and refuse what does not fit together."""
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        self._read_rope(kwargs)
        self._read_layer_types(kwargs.pop("mlp_layer_types", None))
        for key in _TOKEN_IDS:
            if isinstance(token := getattr(self, key), _PublishedId):
                setattr(self, key, int(token) if token < self.vocab_size else None)
        # The January 2026 upload says "AXK1"; what is read becomes, and is saved as, today's "axk1".
        kwargs.pop("model_type", None)
        # Widths that follow from others: native transformers saves them, nobody may set them. What transformers' rotary
        # embedding calls head_dim is the part that is rotated.
        if (saved := kwargs.pop("qk_head_dim", self.qk_head_dim)) != self.qk_head_dim:
            raise ValueError(
                f"qk_head_dim must be qk_nope_head_dim + qk_rope_head_dim = {self.qk_head_dim}, got {saved}"
            )
        kwargs.pop("head_dim", None)
        self.head_dim = self.qk_rope_head_dim
        super().__post_init__(**kwargs)
        self.refuse_what_does_not_fit()

    @property
    def qk_head_dim(self) -> int:
        """Width of a head's query and key, the part without position and the rotated part together."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def mlp_layer_types(self) -> list[str]:
        """For each layer, "dense" or "sparse", as `first_k_dense_replace` and `moe_layer_freq` say."""
        return _layer_types(self.num_hidden_layers, self.first_k_dense_replace, self.moe_layer_freq)

    def is_sparse(self, layer_idx: int) -> bool:
        """Whether a layer is sparse by the same rule, which goes on past the last layer for multi-token prediction."""
        return _is_sparse(layer_idx, self.first_k_dense_replace, self.moe_layer_freq)

    def _read_rope(self, kwargs: dict[str, Any]) -> None:
        """Fill `rope_parameters` if nothing says what they are; refuse older keys that say something else."""
        older = dict(kwargs.get("rope_scaling") or {})
        if "type" in older:
            older["rope_type"] = older.pop("type")
        if kwargs.get("rope_theta") is not None:
            older["rope_theta"] = kwargs["rope_theta"]
        if self.rope_parameters is None and not older:
            self.rope_parameters = dict(_PUBLISHED_ROPE)  # a copy: transformers fills the dict in place
        for key, value in older.items():
            if (self.rope_parameters or {}).get(key, value) != value:
                raise ValueError(f"rope_parameters say {key} {self.rope_parameters[key]}, older keys say {value}")

    def _read_layer_types(self, layer_types: list[str] | None) -> None:
        """Settle which layers are sparse; `mlp_layer_types` is what transformers' native `axk1` writes."""
        if layer_types is None:
            self.first_k_dense_replace = 1 if self.first_k_dense_replace is None else self.first_k_dense_replace
            self.moe_layer_freq = 1 if self.moe_layer_freq is None else self.moe_layer_freq
            return
        if len(layer_types) != self.num_hidden_layers:
            raise ValueError(
                f"mlp_layer_types must name num_hidden_layers = {self.num_hidden_layers} layers, got {len(layer_types)}"
            )
        first, freq = _dense_rule(layer_types)
        for key, said in (("first_k_dense_replace", first), ("moe_layer_freq", freq)):
            if getattr(self, key) is None:
                setattr(self, key, said)
        if self.mlp_layer_types != layer_types:
            raise ValueError(
                f"mlp_layer_types must agree with first_k_dense_replace {self.first_k_dense_replace} and "
                f"moe_layer_freq {self.moe_layer_freq}, got {layer_types}"
            )

    def refuse_what_does_not_fit(self) -> None:
        """Raise ValueError with the rule and the value for what is not implemented or contradicts another value.

        Called when a config is made, and again when a model is: values may have been set in between.
        """
        for key in _AT_LEAST_ONE:
            value = getattr(self, key)
            if type(value) is not int or value < 1:  # not isinstance: True is an int
                raise ValueError(f"{key} must be an integer of at least 1, got {value!r}")
        group_size, rest = divmod(self.n_routed_experts, self.n_group)
        rope = self.rope_parameters
        processes = getattr(self, "distributed_config", None)  # from_pretrained puts it here
        tp_size, pp_size = (getattr(processes, size, None) or 1 for size in ("tp_size", "pp_size"))
        rules = [
            (rest == 0, f"n_routed_experts {self.n_routed_experts} is not divisible by n_group {self.n_group}"),
            (group_size >= 2, f"a group must hold at least 2 experts, got {group_size} (its best 2 are its score)"),
            (
                self.topk_group <= self.n_group,
                f"topk_group must be in [1, n_group = {self.n_group}], got {self.topk_group}",
            ),
            (
                self.num_experts_per_tok <= self.topk_group * group_size,
                f"num_experts_per_tok must be in [1, {self.topk_group * group_size}], the experts of topk_group = "
                f"{self.topk_group} groups, got {self.num_experts_per_tok}",
            ),
            (
                self.first_k_dense_replace >= 0,
                f"first_k_dense_replace must be at least 0, got {self.first_k_dense_replace}",
            ),
            (self.qk_rope_head_dim % 2 == 0, f"qk_rope_head_dim must be even, got {self.qk_rope_head_dim}"),
            (
                self.num_key_value_heads == self.num_attention_heads,
                f"num_key_value_heads must equal num_attention_heads {self.num_attention_heads} in latent attention, "
                f"got {self.num_key_value_heads}",
            ),
            (
                self.num_nextn_predict_layers in (0, 1),
                f"num_nextn_predict_layers must be 0 or 1, got {self.num_nextn_predict_layers}",
            ),
            *(
                (getattr(self, key) >= 0, f"{key} must be at least 0, got {getattr(self, key)}")
                for key in ("mtp_loss_weight", "router_bias_update_rate", "sequence_balance_weight")
            ),
            (
                self.use_router_bias or not self.router_bias_update_rate,
                f"router_bias_update_rate needs use_router_bias, got {self.router_bias_update_rate} without it",
            ),
            (
                self.num_attention_heads % tp_size == 0,
                f"num_attention_heads {self.num_attention_heads} is not divisible by tp_size {tp_size}",
            ),
            (pp_size == 1, f"pp_size must be 1, got {pp_size}: there is no pipeline of layers"),
            (self.scoring_func == "sigmoid", f'scoring_func must be "sigmoid", got "{self.scoring_func}"'),
            (self.topk_method == "noaux_tc", f'topk_method must be "noaux_tc", got "{self.topk_method}"'),
            (self.hidden_act == "silu", f'hidden_act must be "silu", got "{self.hidden_act}"'),
            (
                self.routed_scaling_factor > 0,
                f"routed_scaling_factor must be positive, got {self.routed_scaling_factor}",
            ),
            (self.rms_norm_eps > 0, f"rms_norm_eps must be positive, got {self.rms_norm_eps}"),
            (self.initializer_range >= 0, f"initializer_range must be at least 0, got {self.initializer_range}"),
            (0 <= self.attention_dropout < 1, f"attention_dropout must be in [0, 1), got {self.attention_dropout}"),
            (rope["rope_type"] in _ROPE_TYPES, f'rope_type must be one of {_ROPE_TYPES}, got "{rope["rope_type"]}"'),
            ((rope["rope_theta"] or 0) > 0, f"rope_theta must be positive, got {rope['rope_theta']}"),
            (
                rope["rope_type"] == "default" or (rope.get("factor") or 0) >= 1,
                f"the factor of {rope['rope_type']} rope must be at least 1, got {rope.get('factor')}",
            ),
            (
                rope["rope_type"] != "yarn" or (rope.get("beta_fast") or 32) > (rope.get("beta_slow") or 1),
                f"beta_fast must be above beta_slow, got {rope.get('beta_fast')} and {rope.get('beta_slow')}",
            ),
        ]
        for key in _TOKEN_IDS:
            tokens = getattr(self, key)
            for token in tokens if isinstance(tokens, list) else [tokens]:
                holds = token is None or 0 <= token < self.vocab_size
                rules.append((holds, f"{key} must be below vocab_size {self.vocab_size}, got {token}"))
        for holds, rule in rules:
            if not holds:
                raise ValueError(rule)


def _is_sparse(layer_idx: int, first_k_dense_replace: int, moe_layer_freq: int) -> bool:
    return layer_idx >= first_k_dense_replace and layer_idx % moe_layer_freq == 0


def _layer_types(num_layers: int, first_k_dense_replace: int, moe_layer_freq: int) -> list[str]:
    return ["sparse" if _is_sparse(i, first_k_dense_replace, moe_layer_freq) else "dense" for i in range(num_layers)]


def _dense_rule(layer_types: list[str]) -> tuple[int, int]:
    """Return (first_k_dense_replace, moe_layer_freq) of a list that transformers' native `axk1` wrote."""
    first_sparse = layer_types.index("sparse") if "sparse" in layer_types else len(layer_types)
    for freq in range(1, len(layer_types) + 1):
        if _layer_types(len(layer_types), first_sparse, freq) == list(layer_types):
            return first_sparse, freq
    raise ValueError(f"mlp_layer_types must follow first_k_dense_replace and moe_layer_freq, got {layer_types}")


__all__ = ["AXK1Config"]
