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
        rope_interleave: whether rotary pairs are neighbours (x0, x1), or halves (x0, x_R/2).
        rope_parameters: rotary embedding as transformers writes it; "default", "linear" and "yarn" are implemented.
        max_position_embeddings: context length in tokens.
        bos_token_id: `<|endoftext|>`.
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
    use_router_bias: bool = False
    router_bias_update_rate: float = 0.0
    sequence_balance_weight: float = 0.0
    num_nextn_predict_layers: int = 0
    mtp_loss_weight: float = 0.3
    first_k_dense_replace: int = 1
    moe_layer_freq: int = 1
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
    bos_token_id: int | None = 163691
    pad_token_id: int | None = 163692
    eos_token_id: int | list[int] | None = 163704

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill what follows from other values, read older spellings, and refuse what does not fit together."""
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        if self.rope_parameters is None and not kwargs.get("rope_scaling") and "rope_theta" not in kwargs:
            # A copy: transformers fills the dict in place.
            self.rope_parameters = dict(_PUBLISHED_ROPE)
        if (layer_types := kwargs.pop("mlp_layer_types", None)) is not None:
            self.first_k_dense_replace, self.moe_layer_freq = _dense_rule(layer_types)
        # The January 2026 upload says "AXK1"; what is read becomes, and is saved as, today's "axk1".
        kwargs.pop("model_type", None)
        # What transformers' rotary embedding calls the head's width: the part that is rotated. A saved value is left
        # aside, so that it cannot contradict qk_rope_head_dim.
        kwargs.pop("head_dim", None)
        self.head_dim = self.qk_rope_head_dim
        super().__post_init__(**kwargs)
        self._refuse_what_does_not_fit()

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

    def _refuse_what_does_not_fit(self) -> None:
        group_size, rest = divmod(self.n_routed_experts, self.n_group)
        rules = [
            (rest == 0, f"n_routed_experts {self.n_routed_experts} is not divisible by n_group {self.n_group}"),
            (group_size >= 2, f"a group must hold at least 2 experts, got {group_size} (its best 2 are its score)"),
            (
                1 <= self.topk_group <= self.n_group,
                f"topk_group must be in [1, n_group = {self.n_group}], got {self.topk_group}",
            ),
            (
                1 <= self.num_experts_per_tok <= self.topk_group * group_size,
                f"num_experts_per_tok must be in [1, {self.topk_group * group_size}], the experts of topk_group = "
                f"{self.topk_group} groups, got {self.num_experts_per_tok}",
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
            (self.scoring_func == "sigmoid", f'scoring_func must be "sigmoid", got "{self.scoring_func}"'),
            (
                self.rope_parameters["rope_type"] in _ROPE_TYPES,
                f'rope_type must be one of {_ROPE_TYPES}, got "{self.rope_parameters["rope_type"]}"',
            ),
        ]
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
