"""Which experts a text visits in a model, and which of them the routers of earlier layers' hidden states foretell."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

AHEAD = (1, 2)


@dataclass(frozen=True)
class Trace:
    """Visits, a group of (layer, expert) for each token and layer in the order of computing, and shares guessed right.

    `guessed_right` is by how many layers a guess looks ahead: among the experts that a layer's router takes for a
    hidden state that enters the MLP so many layers before, the share that it then takes.
    """

    visits: list[list[tuple[int, int]]]
    guessed_right: dict[str, float]


@torch.no_grad()
def trace(model: Any, ids: np.ndarray, length: int) -> Trace:
    """Run `ids` through the model in windows of `length` tokens."""
    layers = [layer for layer in model.model.layers[: model.config.num_hidden_layers] if layer.is_sparse]
    numbers = [number for number, layer in enumerate(model.model.layers) if layer in layers]
    visits: list[list[tuple[int, int]]] = []
    right: dict[int, list[float]] = {ahead: [] for ahead in AHEAD}
    for start in range(0, len(ids), length):
        window = torch.from_numpy(ids[start : start + length].astype(np.int64))[None]
        entered = _entering(model, layers, window)
        chosen = [_chosen(layer, hidden_XD) for layer, hidden_XD in zip(layers, entered, strict=True)]
        for ahead in AHEAD:
            for place in range(len(layers) - ahead):
                guess_XK, taken_XK = _chosen(layers[place + ahead], entered[place]), chosen[place + ahead]
                right[ahead].append((guess_XK[:, :, None] == taken_XK[:, None]).any(-1).float().mean().item())
        for token in range(window.shape[1]):
            visits += [[(number, e) for e in c[token].tolist()] for number, c in zip(numbers, chosen, strict=True)]
    return Trace(visits, {str(ahead): round(float(np.mean(found)), 4) for ahead, found in right.items() if found})


def _entering(model: Any, layers: list[Any], window_BT: Tensor) -> list[Tensor]:
    """Run a window, and return what enters each layer's norm before its MLP, [X, D]."""
    entered: list[Tensor] = []
    hooks = [
        layer.post_attention_layernorm.register_forward_pre_hook(
            lambda _, inputs: entered.append(inputs[0].flatten(0, -2))
        )
        for layer in layers
    ]
    model(window_BT, use_cache=False)
    for hook in hooks:
        hook.remove()
    return entered


def _chosen(layer: Any, hidden_XD: Tensor) -> Tensor:
    """The experts that a layer takes for what enters the norm before its MLP, [X, K]."""
    return layer.mlp.gate(layer.post_attention_layernorm(hidden_XD))[2]
