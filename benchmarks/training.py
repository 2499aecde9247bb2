"""Training, forward and backward through the whole model: tokens a second, ours and transformers' native `axk1`.

    python benchmarks/training.py [--one-thread] [--out FOLDER]

The quickstart's model and one with wider experts, the same weights in both. Writes release/results/training.json.
"""

import statistics
from collections.abc import Callable, Iterator

import torch
from measure import alternate, ratio, write_runs
from transformers.models.axk1.configuration_axk1 import AXK1Config as NativeConfig
from transformers.models.axk1.modeling_axk1 import AXK1ForCausalLM as NativeAXK1ForCausalLM

from modeling_axk1 import AXK1Config, AXK1ForCausalLM
from modeling_axk1.model.presets import preset

SEED = 0
BATCHES = {"few tokens": (1, 128), "the quickstart's batch": (16, 256)}
VOCABULARY, TOKEN_IDS = 8192, {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
WIDER = {"moe_intermediate_size": 512, "hidden_size": 512}
REPEATS = 5


def both(config: AXK1Config) -> tuple[AXK1ForCausalLM, NativeAXK1ForCausalLM]:
    """Our model and the native one with the same weights, in training mode."""
    ours = AXK1ForCausalLM(config).train()
    native = NativeAXK1ForCausalLM(NativeConfig(**config.to_dict())).train()
    names = {name.replace("post_mlp_layernorm", "mlp.post_mlp_layernorm"): t for name, t in ours.state_dict().items()}
    _, unexpected = native.load_state_dict(names, strict=False)
    if extra := [name for name in unexpected if not name.startswith("model.layers.0.mlp.post_mlp_layernorm")]:
        raise RuntimeError(f"the native model has no place for {extra}")
    return ours, native


def measure(config: AXK1Config, shape: tuple[int, int], clock: Callable[[], float]) -> dict:
    """Alternate a step of both models on one batch."""
    ours, native = both(config)
    input_ids = torch.randint(0, config.vocab_size, shape)

    def step(model: torch.nn.Module) -> Callable[[], float]:
        def run() -> float:
            model.zero_grad()
            loss = model(input_ids, labels=input_ids, use_cache=False).loss
            loss.backward()
            return loss.item()

        return run

    seconds = alternate({"ours": step(ours), "native": step(native)}, REPEATS, clock=clock)
    return {
        "batch": list(shape),
        "parameters": sum(p.numel() for p in ours.parameters()),
        "ours_over_native_tokens_per_second": round(ratio(seconds, "native", "ours"), 2),
        "ours_tokens_per_second": round(input_ids.numel() / statistics.median(seconds["ours"])),
        "native_tokens_per_second": round(input_ids.numel() / statistics.median(seconds["native"])),
        "loss_difference": abs(step(ours)() - step(native)()),
    }


def runs(clock: Callable[[], float]) -> Iterator[dict]:
    """Yield both models with both batches."""
    base = {**preset("quickstart"), "vocab_size": VOCABULARY, **TOKEN_IDS}
    for name, settings in {"quickstart": base, "wider": base | WIDER}.items():
        for batch, shape in BATCHES.items():
            yield {"model": name, "tokens": batch, **measure(AXK1Config(**settings), shape, clock)}


if __name__ == "__main__":
    write_runs("training", __doc__, SEED, runs, wider=WIDER)
