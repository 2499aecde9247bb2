"""The tables of the page about choosing a variant: what weights and the cache of a context take, from configs alone."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from results import Table, Word
from weights_page import bytes_in, release, stored_in

from modeling_axk1.model.configuration_axk1 import AXK1Config
from modeling_axk1.model.presets import preset
from modeling_axk1.quickstart import Settings
from modeling_axk1.weights.cut import Division, Whole, cut_tensor, rank_cut
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.names import parameters
from modeling_axk1.weights.sizes import human_bytes

STORED = ("bf16", "fp8", "int8", "int4")
CONTEXTS = (4_096, 32_768, 131_072)
# GiB of memory: what one has on a desk, in a node and in four.
MACHINES = {"24 GB": 24, "64 GB": 64, "192 GB": 192, "8 x 80 GB": 640, "8 x 141 GB": 1128, "32 x 80 GB": 2560}
DIVISIONS: tuple[tuple[str, Division, int], ...] = (
    ("8 tensor ranks", "tensor-rank", 8),
    ("32 tensor ranks", "tensor-rank", 32),
    ("8 expert ranks", "expert-rank", 8),
    ("32 expert ranks", "expert-rank", 32),
)
SMALL = ("quickstart", "nano", "tiny")
_GIB = 2**30
_VOLUME = 4_000_000_000

KOREAN = {
    "Weights": "가중치",
    "With 4,096 tokens": "4,096토큰까지",
    "With 32,768 tokens": "32,768토큰까지",
    "With 131,072 tokens": "131,072토큰까지",
    "Smallest of these machines": "이 가운데 가장 작은 기계",
    "none": "없음",
    "Context, tokens": "문맥, 토큰",
    "Latents of one sequence": "시퀀스 하나의 잠재 벡터",
    "Of 16 sequences": "시퀀스 16개",
    "Keys and values of all heads instead": "모든 헤드의 키와 값을 두었다면",
    "Machine": "기계",
    **{name: name for name in MACHINES},
    **{name.upper(): name.upper() for name in STORED},
    "Divided among": "나누는 방법",
    "8 tensor ranks": "텐서 랭크 8개",
    "32 tensor ranks": "텐서 랭크 32개",
    "8 expert ranks": "전문가 랭크 8개",
    "32 expert ranks": "전문가 랭크 32개",
    "Volumes of 4 GB": "4 GB 볼륨 수",
    "Preset": "프리셋",
    "Weights, FP32": "가중치, FP32",
    "Weights, BF16": "가중치, BF16",
    "Its context, tokens": "문맥, 토큰",
    "Latents of a full context, FP32": "문맥을 다 채운 잠재 벡터, FP32",
}


def latent_bytes(config: Mapping[str, Any], tokens: int, each: int = 2) -> int:
    """Bytes that the cache of one sequence holds: of every token and layer one latent and one rotary key."""
    numbers = config["kv_lora_rank"] + config["qk_rope_head_dim"]
    return numbers * config["num_hidden_layers"] * tokens * each


def unfolded_bytes(config: Mapping[str, Any], tokens: int, each: int = 2) -> int:
    """Bytes of the keys and values of all heads, which an ordinary cache would hold."""
    head = config["qk_nope_head_dim"] + config["qk_rope_head_dim"] + config["v_head_dim"]
    return head * config["num_attention_heads"] * config["num_hidden_layers"] * tokens * each


def whole(word: Word) -> Table:
    """Weights, and weights with the cache of one sequence, by precision; the machine that holds the longest."""
    rows = []
    for name in STORED:
        totals = [bytes_in(name) + latent_bytes(release(), tokens) for tokens in CONTEXTS]
        fitting = [machine for machine, gib in MACHINES.items() if totals[-1] <= gib * _GIB]
        rows.append(
            [
                name.upper(),
                f"{bytes_in(name) / _GIB:,.0f} GiB",
                *(f"{total / _GIB:,.0f} GiB" for total in totals),
                fitting[0] if fitting else word("none"),
            ]
        )
    header = ["Stored in", "Weights", *(f"With {tokens:,} tokens" for tokens in CONTEXTS)]
    return [*header, "Smallest of these machines"], rows, 1, None


def context(_: Word) -> Table:
    """The cache of a context in BF16, and what it would be without latents."""
    rows = [
        [
            f"{tokens:,}",
            human_bytes(latent_bytes(release(), tokens)),
            human_bytes(16 * latent_bytes(release(), tokens)),
            human_bytes(unfolded_bytes(release(), tokens)),
        ]
        for tokens in (1, *CONTEXTS)
    ]
    header = ["Context, tokens", "Latents of one sequence", "Of 16 sequences", "Keys and values of all heads instead"]
    return header, rows, 0, None


def machines(_: Word) -> Table:
    """How many tokens of cache, in BF16, have room beside the weights, all memory taken as one; whole thousands."""
    rows = []
    for machine, gib in MACHINES.items():
        room = [(gib * _GIB - bytes_in(name)) // latent_bytes(release(), 1) for name in STORED]
        rows.append([machine, *(f"{tokens // 1000 * 1000:,}" if tokens > 0 else "" for tokens in room)])
    return ["Machine", *(name.upper() for name in STORED)], rows, 1, None


def ranks(word: Word) -> Table:
    """GiB of weights on each rank; only BF16 has tensor ranks, because they would cut through scales."""
    rows = []
    for named, division, count in DIVISIONS:
        sizes = [
            f"{bytes_on_rank(name, division, count) / _GIB:,.1f} GiB"
            if division == "expert-rank" or name == "bf16"
            else ""
            for name in STORED
        ]
        rows.append([word(named), *sizes])
    return ["Divided among", *(name.upper() for name in STORED)], rows, 1, None


def carried(_: Word) -> Table:
    """What has to be carried: bytes of weights, and how many volumes of 4 GB that are."""
    rows = [
        [name.upper(), f"{bytes_in(name):,}", human_bytes(bytes_in(name)), f"{-(-bytes_in(name) // _VOLUME):,}"]
        for name in STORED
    ]
    return ["Stored in", "Bytes", "GB, TB", "Volumes of 4 GB"], rows, 1, None


@cache
def bytes_on_rank(precision: str, division: Division, count: int) -> int:
    """Bytes of weights that the first of `count` ranks holds; the others hold as much."""
    tensors = stored_in(precision)
    kinds = {name: (spec.dtype or "BF16", spec.shape) for name, spec in tensors.items()}
    model = Whole.of(release(), kinds)
    cut = rank_cut(model, division, 0, count)
    total = 0
    for name, (dtype, shape) in kinds.items():
        if held := cut_tensor(cut, model, name, dtype, shape):
            total += nbytes_of(dtype, held[0])
    return total


def small(_: Word) -> Table:
    """The models of the same architecture that are trained here, with quickstart's vocabulary."""
    rows = []
    for name in SMALL:
        config = AXK1Config(**preset(name), vocab_size=Settings().vocab_size).to_dict()
        count, context = parameters(config), config["max_position_embeddings"]
        rows.append(
            [
                f"`{name}`",
                f"{count.total:,}",
                f"{count.active:,}",
                human_bytes(4 * count.total),
                human_bytes(2 * count.total),
                f"{context:,}",
                human_bytes(latent_bytes(config, context, 4)),
            ]
        )
    header = ["Preset", "Parameters", "Active per token", "Weights, FP32", "Weights, BF16", "Its context, tokens"]
    return [*header, "Latents of a full context, FP32"], rows, 1, None


TABLES: dict[str, Callable[[Word], Table]] = {
    function.__name__: function for function in (whole, context, machines, ranks, carried, small)
}
