"""What an adapter on the routed experts costs: ours against our base, and native with peft against the native base.

    python benchmarks/lora.py [--one-thread] [--out FOLDER]

One layer's experts, rank 16 on both parameters; backward too at the small size, because native's needs several
copies of the experts. Writes release/results/lora.json.
"""

import statistics
from collections.abc import Callable, Iterator

import torch
from experts import both
from measure import alternate, write_runs
from peft import LoraConfig, get_peft_model
from torch import nn

from modeling_axk1.train.lora import with_fused_experts

SEED = 0
TOKENS = (8, 64, 512)
SIZES = {
    "release": {"hidden_size": 7168, "moe_intermediate_size": 2048, "n_routed_experts": 8},
    "small": {"hidden_size": 1024, "moe_intermediate_size": 512, "n_routed_experts": 64},
}
REPEATS = 3


class Layer(nn.Module):
    """peft adapts what stands inside a module, never the module itself."""

    def __init__(self, experts: nn.Module) -> None:
        super().__init__()
        self.experts = experts

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Run the experts."""
        return self.experts(*inputs)


def adapted(experts: nn.Module, prepare: Callable[[LoraConfig], LoraConfig]) -> nn.Module:
    """The experts with adapters whose factors are not zero."""
    names = ["experts.gate_up_proj", "experts.down_proj"]
    model = get_peft_model(Layer(experts), prepare(LoraConfig(r=16, target_modules=[], target_parameters=names)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.fill_(1e-3)
    return model


def steps(model: nn.Module, inputs: tuple[torch.Tensor, ...], backward: bool) -> Callable[[], object]:
    """Return a function that runs the model forward, and backward too if asked."""

    def run() -> None:
        with torch.set_grad_enabled(backward):
            out = model(*inputs)
        if backward:
            out.sum().backward()

    return run


def measure(size: dict, tokens: int, clock: Callable[[], float], backward: bool) -> dict:
    """Alternate both bases and both adapted layers on one batch."""
    ours, native = both(size, torch.float32)
    ours_lora, native_lora = adapted(ours, with_fused_experts), adapted(native, lambda config: config)
    # The bases run before the adapters were put in: the same tensors in modules of their own.
    base_ours, base_native = both(size, torch.float32, tensors=dict(ours.named_parameters()))
    scores, experts = torch.rand(tokens, size["n_routed_experts"]).topk(8, dim=-1)
    inputs = (torch.randn(tokens, size["hidden_size"], requires_grad=backward), experts, scores)
    models = {"ours": base_ours, "native": base_native, "ours_lora": ours_lora, "native_lora": native_lora}
    seconds = alternate({name: steps(m, inputs, backward) for name, m in models.items()}, REPEATS, clock=clock)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    with torch.no_grad():
        difference = (ours_lora(*inputs) - native_lora(*inputs)).abs().max().item()
    return {
        "tokens": tokens,
        "pass": "forward and backward" if backward else "forward",
        "ours_adapted_over_base": round(median["ours_lora"] / median["ours"], 2),
        "native_adapted_over_base": round(median["native_lora"] / median["native"], 2),
        "native_adapted_over_ours_adapted": round(median["native_lora"] / median["ours_lora"], 2),
        "ours_adapted_ms": round(1e3 * median["ours_lora"], 1),
        "max_abs_difference": difference,
    }


def runs(clock: Callable[[], float]) -> Iterator[dict]:
    """Yield both sizes for all numbers of tokens."""
    for name, size in SIZES.items():
        for tokens in TOKENS:
            for backward in (False, True) if name == "small" else (False,):
                yield {"size": name, **size, **measure(size, tokens, clock, backward)}


if __name__ == "__main__":
    write_runs("lora", __doc__, SEED, runs, rank=16)
