"""Which experts a text visits: counted once, kept in a file, and used to hold the hottest of them in memory.

    counted = count_visits(model, token_ids)            # {layer: {expert: visits}}
    profile = Profile.of(model.config, counted, tokens)
    profile.write(Path("profile.json"))
    load(place, memory="16GiB", hot=read_profile(path).for_model(model.config).hot())

A profile is a file to share: it names the model by a digest of what its config says of routing and shapes, so that
it serves every form of the same model (BF16, FP8, INT4), and holds nothing of the text but counts. Two models trained
differently from one config have one digest: whose profile it is, is said by whoever shares it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from modeling_axk1.errors import UsageError
from modeling_axk1.files import atomic_write_text

# Tokens that pass a streamed model together: each expert is read once for them.
PART = 4096
KIND = "axk1 routing profile"
VERSION = 1
_KEYS = {"kind", "version", "model", "tokens", "layers"}
# What decides how many experts there are and which of them a token may visit.
_SHAPE = (
    "vocab_size",
    "hidden_size",
    "moe_intermediate_size",
    "num_hidden_layers",
    "first_k_dense_replace",
    "moe_layer_freq",
    "n_routed_experts",
    "num_experts_per_tok",
    "n_group",
    "topk_group",
)

Visits = Mapping[int, Mapping[int, int]]


def model_digest(config: Any) -> str:
    """Return the SHA-256 of what a config says of routing and shapes, in the same way however its weights are stored.

    `config` is an AXK1Config. Paths, dtypes and quantisation do not count.
    """
    said = {name: getattr(config, name) for name in _SHAPE}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Profile:
    """How often each expert of each layer was visited by `tokens` tokens.

    Attributes:
        model: `model_digest` of the model that was asked.
        tokens: how many tokens were counted.
        visits: {layer: {expert: visits}}; experts that nobody visited are left out.

    """

    model: str
    tokens: int
    visits: Visits

    @classmethod
    def of(cls, config: Any, visits: Visits, tokens: int) -> "Profile":
        """Return the profile of a model with this config."""
        return cls(model_digest(config), tokens, visits)

    def hot(self) -> tuple[tuple[int, int], ...]:
        """Return (layer, expert) of all that were visited, the most visited first.

        All layers are in one order: a token visits equally many experts of each, so a visit saved is worth the same
        in all of them.
        """
        flat = [
            (-count, layer, expert) for layer, of_layer in self.visits.items() for expert, count in of_layer.items()
        ]
        return tuple((layer, expert) for _, layer, expert in sorted(flat))

    def concentration(self, experts: int, shares: Sequence[float] = (0.1, 0.25, 0.5)) -> dict[float, float]:
        """Return {share of all routed experts: share of visits that the most visited ones of them take}.

        `experts` is the number of routed experts of all layers, those included that nobody visited. Routing without
        any preference would give every share back as it is.
        """
        counts = sorted((count for of_layer in self.visits.values() for count in of_layer.values()), reverse=True)
        total = max(1, sum(counts))
        return {share: sum(counts[: round(share * experts)]) / total for share in shares}

    def for_model(self, config: Any) -> "Profile":
        """Return the profile itself; raises UsageError if it was counted with another model."""
        if self.model != model_digest(config):
            raise UsageError(
                f"a profile must belong to the model: this one is of model {self.model[:12]}, "
                f"and the model is {model_digest(config)[:12]}"
            )
        return self

    def as_json(self) -> dict[str, Any]:
        """Return what the file holds; experts of a layer stand in their order of visits."""
        layers = {
            str(layer): {
                str(expert): count for expert, count in sorted(of_layer.items(), key=lambda one: (-one[1], one))
            }
            for layer, of_layer in sorted(self.visits.items())
        }
        return {"kind": KIND, "version": VERSION, "model": self.model, "tokens": self.tokens, "layers": layers}

    def write(self, path: Path) -> None:
        """Write the file, wholly or not at all."""
        atomic_write_text(path, json.dumps(self.as_json(), indent=1) + "\n")


def read_profile(path: Path) -> Profile:
    """Read a profile that `write` wrote; raises UsageError, saying what is wrong, for any other file."""
    try:
        said = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("kind") != KIND:
        raise UsageError(f"{path} is no profile: `axk1 weights profile` writes one")
    if said.get("version") != VERSION:
        raise UsageError(f"{path}: a profile's version must be {VERSION}, got {said.get('version')!r:.40}")
    if said.keys() != _KEYS:
        raise UsageError(f"{path}: a profile must hold {', '.join(sorted(_KEYS))}, got {', '.join(sorted(said)):.200}")
    if not isinstance(said["model"], str) or not isinstance(said["layers"], dict):
        raise UsageError(f"{path}: model must be a digest, and layers must be objects by number")
    try:
        visits = {
            _number(layer): {_number(expert): _count(count) for expert, count in of_layer.items()}
            for layer, of_layer in said["layers"].items()
        }
        return Profile(said["model"], _count(said["tokens"]), visits)
    except (AttributeError, ValueError) as error:
        raise UsageError(f"{path}: layers, experts and counts must be whole numbers from 0 on: {error}") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and str(int(text)) == text):
        raise ValueError(f"got {text!r:.40}")
    return int(text)


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"got {value!r:.40}")
    return value


def read_texts(paths: Sequence[Path]) -> list[str]:
    """Return the texts of files: a whole file is one, of a .jsonl file the "text" of each line.

    Raises UsageError, naming file and line, for what is no such text, and OSError for a file that cannot be read.
    """
    texts = []
    for path in paths:
        try:
            content = path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} must be text in UTF-8, got other bytes at {error.start:,}") from None
        if path.suffix != ".jsonl":
            texts.append(content)
            continue
        for number, line in enumerate(content.splitlines(), 1):
            try:
                said = json.loads(line)["text"]
            except (ValueError, TypeError, KeyError, RecursionError):
                said = None
            if not isinstance(said, str):
                raise UsageError(f'{path}, line {number}: must be an object with a string "text", got {line:.60}')
            texts.append(said)
    return texts


@contextmanager
def counting(model: Any) -> Iterator[dict[int, dict[int, int]]]:
    """Give {layer: {expert: visits}}, which fills while the model computes within the block.

    The model must not guess ahead (`streaming={"guess": False}`): a guess asks the routers too.
    """
    found: dict[int, dict[int, int]] = {}

    def count(layer: int, module: Any, inputs: Any, outputs: Any) -> None:
        experts, counts = outputs[2].unique(return_counts=True)
        of_layer = found.setdefault(layer, {})
        for expert, number in zip(experts.tolist(), counts.tolist(), strict=True):
            of_layer[expert] = of_layer.get(expert, 0) + number

    layers = model.base_model.layers[: model.config.num_hidden_layers]
    hooks = [
        layer.mlp.gate.register_forward_hook(partial(count, number))
        for number, layer in enumerate(layers)
        if layer.is_sparse
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def count_visits(
    model: Any, ids: Sequence[int], length: int = PART, advance: Any = lambda amount: None
) -> dict[int, dict[int, int]]:
    """Return {layer: {expert: visits}} of a text's tokens, which pass the model `length` at a time.

    `advance` is told how many tokens passed. Each part reads nearly all experts once if it is long: so few long parts
    cost less than many short ones.
    """
    import torch

    with counting(model) as found, torch.no_grad():
        for start in range(0, len(ids), length):
            part = list(ids[start : start + length])
            model.base_model(torch.tensor([part]), use_cache=False)
            advance(len(part))
    return found
