"""The routed experts of one layer against the machine's roofline and against transformers' native `axk1`.

    python benchmarks/experts.py [--one-thread] [--out FOLDER]

The roofline is the longer of two times, both measured between the runs: reading the weights of the experts that are
hit, once, and multiplying as many numbers in a large product of matrices. Both classes hold the same tensors. Writes
release/results/experts.json.
"""

import statistics
from collections.abc import Callable, Iterator

import torch
from measure import alternate, flush, gemm_probe, ratio, read_probe, write_runs
from transformers.models.axk1.configuration_axk1 import AXK1Config as NativeConfig
from transformers.models.axk1.modeling_axk1 import AXK1Experts as NativeExperts

from modeling_axk1 import AXK1Config
from modeling_axk1.model.modeling_axk1 import AXK1Experts

SEED = 0
TOKENS = (1, 8, 64, 512)
# A layer of the release has 192 experts, 34 GB in float32; as many as fit in a small machine's memory stand for them.
SIZES = {
    "release": {"hidden_size": 7168, "moe_intermediate_size": 2048, "n_routed_experts": 16},
    "small": {"hidden_size": 1024, "moe_intermediate_size": 512, "n_routed_experts": 64},
}
REPEATS = 5


def both(
    size: dict, dtype: torch.dtype, tensors: dict[str, torch.Tensor] | None = None
) -> tuple[AXK1Experts, NativeExperts]:
    """Our experts and the native ones, each in its default implementation, over the same two tensors."""
    tensors = tensors or {}
    shared = {**size, "num_experts_per_tok": 8, "n_group": 1, "topk_group": 1}
    with torch.device("meta"):
        ours = AXK1Experts(AXK1Config(**shared, experts_implementation="eager"))
        native = NativeExperts(NativeConfig(**shared, experts_implementation="grouped_mm"))
    for name, parameter in ours.named_parameters():
        tensor = tensors.get(name)
        tensor = torch.empty(parameter.shape, dtype=dtype).normal_(std=0.02) if tensor is None else tensor.data
        weight = torch.nn.Parameter(tensor, requires_grad=False)
        setattr(ours, name, weight)
        setattr(native, name, weight)
    return ours, native


@torch.no_grad()
def measure(ours: AXK1Experts, native: NativeExperts, tokens: int, clock: Callable[[], float]) -> dict:
    """Alternate ours, native and the two probes of the roofline on one batch of `tokens`."""
    E, N, D = ours.gate_up_proj.shape
    dtype = ours.gate_up_proj.dtype
    hidden = torch.randn(tokens, D, dtype=dtype)
    scores, experts = torch.rand(tokens, E).topk(8, dim=-1)
    weights = scores / scores.sum(-1, keepdim=True)
    hit = experts.unique().numel()
    read_up, read_down = read_probe(ours.gate_up_proj[:hit]), read_probe(ours.down_proj[:hit])
    gemm, gemm_operations = gemm_probe(dtype)
    seconds = alternate(
        {
            "ours": lambda: ours(hidden, experts, weights),
            "native": lambda: native(hidden, experts, weights),
            "read": lambda: (read_up(), read_down()),
            "gemm": gemm,
        },
        REPEATS,
        before=flush(),
        clock=clock,
    )
    difference = (ours(hidden, experts, weights) - native(hidden, experts, weights)).abs().max().item()
    median = {name: statistics.median(values) for name, values in seconds.items()}
    operations = 2.0 * tokens * 8 * 3 * D * (N // 2)
    roofline = max(median["read"], operations / gemm_operations * median["gemm"])
    return {
        "tokens": tokens,
        "experts_hit": hit,
        "ours_over_roofline": round(median["ours"] / roofline, 2),
        "native_over_roofline": round(median["native"] / roofline, 2),
        "native_over_ours": round(ratio(seconds, "native", "ours"), 2),
        "ours_ms": round(1e3 * median["ours"], 2),
        "roofline_ms": round(1e3 * roofline, 2),
        "roofline_is": "memory" if roofline == median["read"] else "arithmetic",
        "max_abs_difference": difference,
    }


def runs(clock: Callable[[], float]) -> Iterator[dict]:
    """Yield every size in both types, for all numbers of tokens."""
    for name, size in SIZES.items():
        for dtype in (torch.float32, torch.bfloat16):
            ours, native = both(size, dtype)
            for tokens in TOKENS:
                yield {"size": name, **size, "dtype": str(dtype)[6:], **measure(ours, native, tokens, clock)}


if __name__ == "__main__":
    write_runs("experts", __doc__, SEED, runs)
