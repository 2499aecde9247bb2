"""Attention of the release's shape against transformers' native `axk1`: decoding by context length, and prefill.

    python benchmarks/attention.py

One decoder layer with 64 heads, latent 512 and head widths 128/64/128, a small dense MLP, float32, the same weights in
both. A decoding step is timed on a cache of random latents; prefill with an empty one. Memory is what the kernel
counts (VmHWM) in a process of its own, beyond what was there before, cache included and told apart. Writes
release/results/attention.json.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from measure import write_result
from transformers.cache_utils import DynamicCache
from transformers.models.axk1.configuration_axk1 import AXK1Config as NativeConfig
from transformers.models.axk1.modeling_axk1 import AXK1ForCausalLM as NativeAXK1ForCausalLM

from modeling_axk1 import AXK1Config, AXK1ForCausalLM

SEED = 0
HIDDEN = 2048
CONTEXTS = [(1, 1), (1, 128), (1, 1024), (1, 4096), (1, 16384), (4, 128), (4, 1024), (4, 4096), (4, 16384)]
PREFILL_SPEED, PREFILL_MEMORY = 4096, 16384


def model(kind: str) -> Any:
    """Build ours or the native one; both have the weights that the seed gives ours."""
    torch.manual_seed(SEED)
    config = AXK1Config(
        vocab_size=256,
        hidden_size=HIDDEN,
        intermediate_size=256,
        num_hidden_layers=1,
        first_k_dense_replace=1,
        bos_token_id=1,
        pad_token_id=0,
        eos_token_id=2,
    )
    ours = AXK1ForCausalLM(config).eval()
    if kind == "ours":
        return ours
    native = NativeAXK1ForCausalLM(NativeConfig(**config.to_dict())).eval()
    native.load_state_dict(ours.state_dict(), strict=False)
    return native


def filled_cache(of: Any, batch: int, length: int) -> DynamicCache:
    """A cache that holds so many random tokens."""
    torch.manual_seed(SEED)
    cache = DynamicCache(config=of.config)
    cache.update(torch.randn(batch, 1, length, 512), torch.randn(batch, 1, length, 64), 0)
    return cache


@torch.no_grad()
def decode(models: dict[str, Any], batch: int, context: int) -> dict[str, Any]:
    """Time one step of each model on the same cache, in turn; and compare what they say."""
    token = torch.full((batch, 1), 7)
    caches = {kind: filled_cache(of, batch, context) for kind, of in models.items()}
    seconds: dict[str, list[float]] = {kind: [] for kind in models}
    for round_ in range(4 if context * batch > 8192 else 8):
        logits = {}
        for kind, of in models.items():
            started = time.perf_counter()
            logits[kind] = of(token, past_key_values=caches[kind], use_cache=True).logits
            if round_:
                seconds[kind].append(time.perf_counter() - started)
    median = {kind: statistics.median(times) for kind, times in seconds.items()}
    return {
        "batch": batch,
        "context": context,
        "ours_ms": round(median["ours"] * 1e3, 2),
        "native_ms": round(median["native"] * 1e3, 2),
        "ratio": round(median["native"] / median["ours"], 2),
        "logits_max_abs_diff": float((logits["ours"] - logits["native"]).abs().max()),
    }


def status(key: str) -> float:
    """A line of /proc/self/status, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


@torch.no_grad()
def prefill(kind: str, length: int) -> None:
    """In a process of its own: one prompt, timed and weighed; prints JSON."""
    of = model(kind)
    prompt = torch.randint(3, 256, (1, length), generator=torch.Generator().manual_seed(SEED))
    of(prompt[:, :64], use_cache=True, logits_to_keep=1)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # VmHWM starts anew
    before, started = status("VmRSS"), time.perf_counter()
    out = of(prompt, use_cache=True, logits_to_keep=1)
    seconds = time.perf_counter() - started
    cache = sum(
        t.untyped_storage().nbytes() for layer in out.past_key_values.layers for t in (layer.keys, layer.values)
    )
    beyond = status("VmHWM") - before - cache / 2**20
    print(json.dumps({"seconds": round(seconds, 2), "mib_beyond_cache": round(beyond, 1)}))


def prefill_elsewhere(kind: str, length: int) -> dict[str, Any]:
    """Run `prefill` in a new process."""
    command = [sys.executable, __file__, "prefill", kind, str(length)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def main() -> None:
    """Measure everything and write it down."""
    models = {kind: model(kind) for kind in ("ours", "native")}
    decoding = [decode(models, *case) for case in CONTEXTS]
    del models
    speed: dict[str, list[dict]] = {"ours": [], "native": []}
    for _ in range(3):
        for kind, runs in speed.items():
            runs.append(prefill_elsewhere(kind, PREFILL_SPEED))
    median = {kind: statistics.median(run["seconds"] for run in runs) for kind, runs in speed.items()}
    result = {
        "command": "python benchmarks/attention.py",
        "shape": {
            "layers": 1,
            "hidden": HIDDEN,
            "heads": 64,
            "latent": 512,
            "dtype": "float32",
            "threads": torch.get_num_threads(),
        },
        "decode": decoding,
        "prefill": {
            "tokens": PREFILL_SPEED,
            "ours_seconds": median["ours"],
            "native_seconds": median["native"],
            "ratio": round(median["native"] / median["ours"], 2),
            "ours_mib_beyond_cache": max(run["mib_beyond_cache"] for run in speed["ours"]),
            "native_mib_beyond_cache": max(run["mib_beyond_cache"] for run in speed["native"]),
        },
        "long_prefill": {"tokens": PREFILL_MEMORY, **prefill_elsewhere("ours", PREFILL_MEMORY)},
        "seed": SEED,
    }
    write_result("attention", result)


if __name__ == "__main__":
    if sys.argv[1:2] == ["prefill"]:
        prefill(sys.argv[2], int(sys.argv[3]))
    else:
        main()
