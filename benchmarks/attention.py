"""Attention of the release's shape against transformers' native `axk1`: decoding by context length, and prefill.

    python benchmarks/attention.py [--one-thread] [--out FOLDER]

One decoder layer with 64 heads, latent 512 and head widths 128/64/128, a small dense MLP, the same weights in both. A
decoding step is timed on a cache of random latents; prefill, in float32, with an empty one and in a process of its own,
whose memory is what the kernel counts (VmHWM) beyond the weights and the cache. Writes release/results/attention.json.
"""

import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measure import alternate, ratio, write_runs
from transformers.cache_utils import DynamicCache
from transformers.models.axk1.configuration_axk1 import AXK1Config as NativeConfig
from transformers.models.axk1.modeling_axk1 import AXK1ForCausalLM as NativeAXK1ForCausalLM

from modeling_axk1 import AXK1Config, AXK1ForCausalLM

SEED = 0
HIDDEN, HEADS = 2048, 64
KINDS = ("ours", "native")
# Of each dtype, the contexts for each batch size.
DECODING: dict[torch.dtype, dict[int, tuple[int, ...]]] = {
    torch.float32: {
        1: (1, 16, 64, 128, 512, 1024, 2048, 4096, 8192, 16384),
        4: (128, 1024, 4096, 16384),
    },
    torch.bfloat16: {1: (128, 1024, 4096, 16384)},
}
PROMPTS = (1024, 2048, 4096, 8192, 16384)


def model(kind: str, dtype: torch.dtype) -> Any:
    """Build ours or the native one; both have the weights that the seed gives ours."""
    torch.manual_seed(SEED)
    config = AXK1Config(
        vocab_size=256,
        hidden_size=HIDDEN,
        num_attention_heads=HEADS,
        intermediate_size=256,
        num_hidden_layers=1,
        first_k_dense_replace=1,
        bos_token_id=1,
        pad_token_id=0,
        eos_token_id=2,
    )
    ours = AXK1ForCausalLM(config).eval().to(dtype)
    if kind == "ours":
        return ours
    native = NativeAXK1ForCausalLM(NativeConfig(**config.to_dict())).eval().to(dtype)
    native.load_state_dict(ours.state_dict(), strict=False)
    return native


def filled_cache(of: Any, batch: int, length: int) -> DynamicCache:
    """A cache that holds so many random tokens."""
    torch.manual_seed(SEED)
    cache = DynamicCache(config=of.config)
    latents, rotary_keys = torch.randn(batch, 1, length, 512), torch.randn(batch, 1, length, 64)
    cache.update(latents.to(of.dtype), rotary_keys.to(of.dtype), 0)
    return cache


@torch.no_grad()
def decode(models: dict[str, Any], batch: int, context: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Alternate one step of each model, each on a cache of its own with the same numbers; compare what they say."""
    token = torch.full((batch, 1), 7)
    caches = {kind: filled_cache(of, batch, context) for kind, of in models.items()}
    logits: dict[str, torch.Tensor] = {}

    def step(kind: str) -> None:
        logits[kind] = models[kind](token, past_key_values=caches[kind], use_cache=True).logits

    # Native's longest steps take seconds, the shortest of both a few milliseconds.
    repeats = 20 if batch * context <= 1024 else 7 if batch * context <= 8192 else 3
    seconds = alternate({kind: partial(step, kind) for kind in models}, repeats, clock=clock)
    return {
        "ours_ms": round(1e3 * statistics.median(seconds["ours"]), 2),
        "native_ms": round(1e3 * statistics.median(seconds["native"]), 2),
        "native_over_ours": round(ratio(seconds, "native", "ours"), 2),
        "repeats": repeats,
        "max_abs_difference": (logits["ours"] - logits["native"]).abs().max().item(),
    }


def status(key: str) -> float:
    """A line of /proc/self/status, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


@torch.no_grad()
def prefill(kind: str, length: int, threads: int, clock: Callable[[], float]) -> tuple[float, float]:
    """Read one prompt; return seconds, and MiB at the peak beyond weights and cache."""
    torch.set_num_threads(threads)
    of = model(kind, torch.float32)
    prompt = torch.randint(3, 256, (1, length), generator=torch.Generator().manual_seed(SEED))
    of(prompt[:, :64], use_cache=True, logits_to_keep=1)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # VmHWM starts anew
    before, started = status("VmRSS"), clock()
    out = of(prompt, use_cache=True, logits_to_keep=1)
    seconds = clock() - started
    cache = sum(
        t.untyped_storage().nbytes() for layer in out.past_key_values.layers for t in (layer.keys, layer.values)
    )
    return seconds, status("VmHWM") - before - cache / 2**20


def fits(kind: str, length: int) -> bool:
    """Whether a prompt may be tried here: native holds all heads' scores at once, in float32, more than twice over."""
    peak = HEADS * length**2 * 4 * 2.5 if kind == "native" else 0
    return peak < 0.6 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def prefills(length: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Run `prefill` of both in turn, each time in a new process; native only where it fits."""
    tried = [kind for kind in KINDS if fits(kind, length)]
    repeats = 3 if length <= 4096 else 1
    runs: dict[str, list[tuple[float, float]]] = {kind: [] for kind in tried}
    for _ in range(repeats):
        for kind in tried:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                runs[kind].append(process.submit(prefill, kind, length, torch.get_num_threads(), clock).result())
    row: dict[str, Any] = {}
    for kind in KINDS:
        row[f"{kind}_seconds"] = round(statistics.median(s for s, _ in runs[kind]), 2) if kind in tried else None
        row[f"{kind}_mib"] = round(max(mib for _, mib in runs[kind]), 1) if kind in tried else "does not fit"
    return row


def runs(clock: Callable[[], float]) -> Iterator[dict[str, Any]]:
    """Yield decoding by dtype, batch and context, then prefill by length."""
    for dtype, batches in DECODING.items():
        models = {kind: model(kind, dtype) for kind in KINDS}
        for batch, contexts in batches.items():
            for context in contexts:
                case = {"pass": "decode", "dtype": str(dtype)[6:], "batch": batch, "context": context}
                yield {**case, **decode(models, batch, context, clock)}
    for length in PROMPTS:
        yield {"pass": "prefill", "dtype": "float32", "batch": 1, "tokens": length, **prefills(length, clock)}


if __name__ == "__main__":
    shape = {"layers": 1, "hidden": HIDDEN, "heads": HEADS, "latent": 512}
    write_runs("attention", __doc__, SEED, runs, shape=shape)
