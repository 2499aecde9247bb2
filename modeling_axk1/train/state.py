"""The state of an interrupted run: weights, router biases and AdamW's moments as safetensors, the rest as JSON.

No pickle.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modeling_axk1.files import atomic_folder, atomic_write_text

_TENSORS, _FACTS = "state.safetensors", "state.json"


def save_state(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    fingerprint: dict[str, Any],
    history: dict[str, Any],
) -> None:
    """Replace the folder by the present state, whole or not at all."""
    from safetensors.torch import save_file

    tensors = {f"model.{name}": tensor.detach() for name, tensor in _tensors(model).items()}
    for name, parameter in model.named_parameters():
        tensors |= {f"optimizer.{name}.{key}": value for key, value in optimizer.state[parameter].items()}
    with atomic_folder(folder) as part:
        save_file(tensors, part / _TENSORS)
        atomic_write_text(part / _FACTS, json.dumps({"fingerprint": fingerprint, "history": history}))


def load_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: dict[str, Any]
) -> dict[str, Any] | None:
    """Put model and optimizer into the saved state and return its history; None when no state fits this run."""
    from safetensors.torch import load_file

    if not (folder / _FACTS).exists():
        return None
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    if facts["fingerprint"] != fingerprint:
        return None
    tensors = load_file(folder / _TENSORS)
    with torch.no_grad():
        for name, tensor in _tensors(model).items():
            tensor.copy_(tensors[f"model.{name}"])
        for name, parameter in model.named_parameters():
            optimizer.state[parameter] = _moments(tensors, name)
    return facts["history"]


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """All that training changes: parameters, tied ones once, and the buffers that a checkpoint holds."""
    stored = model.state_dict().keys()
    buffers = {name: buffer for name, buffer in model.named_buffers() if name in stored}
    return {**dict(model.named_parameters()), **buffers}


def _moments(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"optimizer.{name}."
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
