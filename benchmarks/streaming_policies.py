"""Which experts real text visits, which of them a cache holds, and how often the next layer's are guessed right.

    python benchmarks/streaming_policies.py [--minutes 6]

Three small models of A.X K1's architecture are trained on the sample corpus: the one of quickstart, and a wider one
with 64 experts a layer, of which a token visits eight in four of eight groups, as in the release; with and without the
bias that balances their load. Held-out text runs through each, and its routing is replayed through the policies of
modeling_axk1/model/streaming_axk1.py, of LFU with shorter and longer memories too, beside a set of experts fixed from a
profile of the training text, and Belady's optimum, which knows the future. All have the same slots: what is fixed
leaves those that a token's others pass through. Hits are counted in the second half of each text; what comes before
fills the cache.

The routing of small, briefly trained models is all that can be measured without the release's weights. A text's
routing is that of its tokens one by one: attention looks back only, so whole windows give the same.

Writes release/results/streaming_policies.json.
"""

import argparse
import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import RESULTS
from streaming_replay import belady, fixed, replay
from streaming_traces import Trace, trace

from modeling_axk1 import AXK1Config, AXK1ForCausalLM
from modeling_axk1.data.build import build
from modeling_axk1.data.dataset import read_documents
from modeling_axk1.environment import environment
from modeling_axk1.model.policies_axk1 import POLICIES, LeastFrequentlyUsed
from modeling_axk1.model.presets import preset
from modeling_axk1.shipped import shipped
from modeling_axk1.tokenizer.recipe import Recipe
from modeling_axk1.tokenizer.train import train as train_tokenizer
from modeling_axk1.train.batches import Batches, token_stream
from modeling_axk1.train.loop import Settings, train
from modeling_axk1.train.losses import next_token_loss

SEED = 0
VOCABULARY = 4096
BATCH, LENGTH = 8, 256
SHARES = (0.05, 0.1, 0.15, 0.25, 0.5, 0.75)
LANGUAGES = ("en", "ko", "code")
# Of one language after another, as in a conversation that goes from a question to code and back.
_TURN = 128
WIDE = {
    "moe_intermediate_size": 64,
    "num_hidden_layers": 6,
    "n_routed_experts": 64,
    "num_experts_per_tok": 8,
    "n_group": 8,
    "topk_group": 4,
}
# Ten times the rate that is usual for a million steps: here are hundreds.
BALANCED = {"use_router_bias": True, "router_bias_update_rate": 1e-2}
MODELS: dict[str, dict[str, Any]] = {"quickstart": {}, "wide": WIDE, "wide, balanced": {**WIDE, **BALANCED}}


def texts(place: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the training text's tokens, and those of held-out text by language."""
    from transformers import PreTrainedTokenizerFast

    data, folder = place / "data", place / "tokenizer"
    build(shipped("data_cards/sample"), data)
    train_tokenizer([data], folder, Recipe(vocab_size=VOCABULARY))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    held_out = list(read_documents(data, "validation"))
    by_language = {
        language: token_stream((one.text for one in held_out if one.language == language), tokenizer)
        for language in LANGUAGES
    }
    return token_stream((one.text for one in read_documents(data, "train")), tokenizer), by_language


def taught(sizes: dict[str, Any], stream: np.ndarray, minutes: float, place: Path) -> tuple[AXK1ForCausalLM, Any]:
    """Train a model for so many minutes, and return it with what was measured on the way."""
    torch.manual_seed(SEED)
    config = AXK1Config(**{**preset("quickstart"), **sizes}, vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0)
    model = AXK1ForCausalLM(config)
    settings = Settings(steps=100_000, minutes=minutes, seed=SEED)
    history = train(model, Batches(stream, BATCH, LENGTH, SEED), next_token_loss, settings, place / "resume", sizes)
    return model, history


def turns(by_language: dict[str, np.ndarray], tokens: int) -> np.ndarray:
    """One language after another, a turn of each."""
    pieces: list[np.ndarray] = []
    for start in range(0, tokens, _TURN * len(by_language)):
        first = start // len(by_language)
        pieces += [stream[first : first + _TURN] for stream in by_language.values()]
    return np.concatenate(pieces)[:tokens]


# Of LFU, in tokens: it counts visits, and a token of the release makes ten times those of a small model.
HALF_LIVES = (100, 1000)


def hit_rates(visits: list[list[tuple[int, int]]], profile: Counter, layers: int, experts: int) -> Iterator[Any]:
    """For every size of a cache, what each policy finds in it."""
    least = len(visits[0])
    for share in SHARES:
        slots = max(least, round(share * experts))
        found = {name: replay(policy(slots), slots, visits) for name, policy in POLICIES.items()}
        for tokens in HALF_LIVES:
            found[f"lfu, {tokens} tokens"] = replay(LeastFrequentlyUsed(tokens * layers * least), slots, visits)
        found |= {"fixed from a profile": fixed(slots - least, profile, visits), "optimum": belady(slots, visits)}
        yield {"slots": slots, "share": round(slots / experts, 4), **{name: round(x, 4) for name, x in found.items()}}


def concentration(visits: list[list[tuple[int, int]]], experts: int) -> dict[str, float]:
    """How uneven visits are: of all visits, the share of the most visited experts; and as if how many shared evenly."""
    counts = sorted(Counter(key for group in visits for key in group).values(), reverse=True)
    total = sum(counts)
    entropy = -sum(count / total * math.log(count / total) for count in counts)
    shares = {f"top {share:.0%}": sum(counts[: round(share * experts)]) / total for share in (0.1, 0.25, 0.5)}
    return {name: round(x, 4) for name, x in {**shares, "evenly used": math.exp(entropy) / experts}.items()}


def of_model(name: str, sizes: dict[str, Any], stream: np.ndarray, texts_: dict[str, np.ndarray], options: Any) -> Any:
    """Train one model, and measure its routing on every text."""
    with tempfile.TemporaryDirectory() as place:
        model, history = taught(sizes, stream, options.minutes, Path(place))
    config = model.config
    layers, least = config.num_hidden_layers - config.first_k_dense_replace, config.num_experts_per_tok
    experts = layers * config.n_routed_experts
    profile = Counter(key for group in trace(model, stream[: options.tokens], LENGTH).visits for key in group)
    runs = []
    for language, ids in [*texts_.items(), ("in turns", turns(texts_, options.tokens))]:
        seen: Trace = trace(model, ids[: options.tokens], LENGTH)
        run = {"text": language, "tokens": len(ids[: options.tokens]), "guessed_right": seen.guessed_right}
        runs.append(run | {"concentration": concentration(seen.visits, experts)})
        runs[-1]["hit_rates"] = list(hit_rates(seen.visits, profile, layers, experts))
        print(name, language, seen.guessed_right, runs[-1]["hit_rates"][3], flush=True)
    return {
        "model": name,
        "experts_per_layer": config.n_routed_experts,
        "experts_per_token": least,
        "sparse_layers": layers,
        "steps": history.step,
        "tokens_trained_on": history.tokens,
        "loss": round(float(np.mean(history.losses[-20:])), 3),
        "load_over_even": round(float(np.mean(history.violations[-20:])), 3),
        "texts": runs,
    }


def main() -> None:
    """Train, replay and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6.0, help="of training each model")
    parser.add_argument("--tokens", type=int, default=3072, help="of each held-out text, at most")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        stream, held_out = texts(Path(place))
    result = {
        "command": "python benchmarks/streaming_policies.py",
        "seed": SEED,
        "minutes": options.minutes,
        "what": "routing of small models, trained for minutes on the sample corpus; not of the release",
        "models": [of_model(name, MODELS[name], stream, held_out, options) for name in options.models],
        **environment(),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (options.out / "streaming_policies.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
