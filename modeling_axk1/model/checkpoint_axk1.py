# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""How a checkpoint's tensors become the model's: matched by the shards' headers before anything is read, then used as
they lie in the files wherever that is possible.

This file travels to the hub beside modeling_axk1.py and imports nothing of this package.
"""

import math
import re
import sys
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers.core_model_loading import WeightRenaming
from transformers.modeling_utils import PreTrainedModel

from .quantised_axk1 import Quantisation, Stored, StoredTensor, join_parts

_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_HEADS = ("lm_head.", "score.")
_PIECE_BYTES = 2**25
_SHOWN_PROBLEMS = 10


# Where in a whole tensor a stored one begins: its first index in each dimension of the whole.
Place = tuple[int, ...]


class CheckpointTensor:
    """A tensor of the model, to be read from one stored tensor or put together from many.

    transformers' loader takes it for a slice of safetensors: `[...]` reads it. A tensor stored whole and in the type
    that is asked for is the file's own memory, mapped and not copied. Any other is filled, and decoded where it is
    encoded, piece by piece: beyond the result, no more than a piece is ever in memory. A process that holds a share of
    the model asks for a share of the tensor, and no more is read.
    """

    def __init__(self, parts: list[tuple[Stored, Place]], shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.parts, self.shape, self.dtype = parts, shape, dtype
        first = parts[0][0]
        is_plain = len(parts) == 1 and isinstance(first, StoredTensor)
        self.as_stored = first if is_plain and dtype == _FLOATS[first.dtype] else None

    def get_shape(self) -> list[int]:
        """Return the shape, as a slice of safetensors does."""
        return list(self.shape)

    def get_dtype(self) -> str:
        """Return the stored type's name, as a slice of safetensors does."""
        return self.parts[0][0].dtype

    def __getitem__(self, index: Any) -> Tensor:
        if isinstance(self.as_stored, StoredTensor):
            return _open(self.as_stored.file).get_slice(self.as_stored.name)[index]
        sides = index if isinstance(index, tuple) else (index,)
        sides += (slice(None),) * (len(self.shape) - len(sides))
        if all(isinstance(side, slice) for side in sides):
            return self._read([range(size)[side] for size, side in zip(self.shape, sides, strict=True)])
        return self._read([range(size) for size in self.shape])[index]  # `...`, or lists of indices

    def _read(self, box: list[range]) -> Tensor:
        """Return what lies in `box`, a range of indices for each dimension."""
        result = torch.empty([len(side) for side in box], dtype=self.dtype)
        opened_once = cache(partial(_open, mapped=False))
        for stored, place in self.parts:
            fewer = len(place) - len(stored.shape)  # an expert's tensor has no dimension for experts
            both = [
                range(max(first, side.start), min(first + size, side.stop))
                for first, size, side in zip(place, (1,) * fewer + stored.shape, box, strict=True)
            ]
            if not all(both):
                continue
            target = result[_within(both, [side.start for side in box])][(0,) * fewer]
            first_rows, *columns = _within(both, place)[fewer:]
            rows = max(1, _PIECE_BYTES // (self.dtype.itemsize * math.prod(stored.shape[1:])))
            for start in range(0, len(target), rows):
                piece = slice(first_rows.start + start, min(first_rows.start + start + rows, first_rows.stop))
                # What is one piece is read from the open file, which costs no look at its header; a part of a larger
                # one through a mapping that is dropped at once, as reading would read all of it.
                opened = opened_once if rows >= stored.shape[0] else _open
                target[start : start + rows] = stored.read(opened, piece, columns)
        return result


def _within(box: list[range], origin: Sequence[int]) -> tuple[slice, ...]:
    """Return the slices that cut `box` out of a tensor which begins at `origin`."""
    return tuple(slice(side.start - first, side.stop - first) for side, first in zip(box, origin, strict=True))


def _open(file: str, mapped: bool = True) -> Any:
    # Windows counts a mapping of a file as memory in use.
    return safe_open(file, framework="pt", backend="mmap" if mapped and sys.platform != "win32" else "pread")


def match_checkpoint(
    model: PreTrainedModel, files: list[str], load_config: Any, quantisation: Quantisation | None = None
) -> dict[str, CheckpointTensor]:
    """Find every tensor of `model` in the shards, by their headers alone; `quantisation` says how weights are encoded.

    Routed experts may be stored fused, as the model holds them, or one by one (`experts.E.gate_proj.weight`, as in the
    upload of January 2026 and in what transformers' native `axk1` saves).

    Returns:
        Where each tensor comes from, by the model's own names.

    Raises:
        ValueError: a shard cannot be read, or tensors are missing, left over, of another shape or not floating point;
            names them with their shards. What may be missing: the router's bias, a dense layer's unused norm, a whole
            layer for multi-token prediction, a classifier's head. What may be left over: such a layer, and heads.

    """
    index = (load_config.sharded_metadata or {}).get("weight_map", {})
    headers = _read_headers(files, index)
    for renaming in load_config.weight_mapping or ():
        if isinstance(renaming, WeightRenaming):  # such as the argument `key_mapping` asks for
            headers = {renaming.rename_source_key(name)[0]: tensor for name, tensor in headers.items()}
    stored, problems = join_parts(headers, quantisation)
    _adopt_router_bias(model, stored)
    expected, buffers = model.state_dict(), dict(model.named_buffers())
    stored = _spell_alike(stored, expected, model.base_model_prefix + ".")
    main_layers = set(range(model.config.num_hidden_layers))
    mtp_layers = {_layer_of(name) for name in stored if ".eh_proj." in name} - main_layers

    found: dict[str, CheckpointTensor] = {}
    for name, blank in expected.items():
        places = {name: ((0,) * blank.ndim, tuple(blank.shape))}
        if name not in stored and not stored.keys().isdisjoint(one_by_one := _experts_one_by_one(name, blank.shape)):
            places = one_by_one
        parts = []
        for source, (place, shape) in places.items():
            tensor = stored.pop(source, None)
            if tensor is None:
                if not _may_be_missing(model, source, mtp_layers):
                    home = f" from {index[source]}, where the index places it" if source in index else ""
                    problems.append(f"{source} is missing{home}")
            elif tensor.shape != shape and not (load_config.ignore_mismatched_sizes and len(places) == 1):
                problems.append(f"{tensor} must have shape {list(shape)}, got {list(tensor.shape)}")
            elif tensor.dtype not in _FLOATS:
                problems.append(f"{tensor} must be one of {', '.join(_FLOATS)}, got {tensor.dtype}")
            else:
                parts.append((tensor, place))
        if len(parts) == len(places):
            # Buffers keep their precision, and quantizers choose their own.
            keep = name in buffers or load_config.hf_quantizer is not None
            shape = parts[0][0].shape if len(parts) == 1 else tuple(blank.shape)
            found[name] = CheckpointTensor(parts, shape, _FLOATS[parts[0][0].dtype] if keep else blank.dtype)
    problems += [
        f"{tensor} is no tensor of this model"
        for name, tensor in stored.items()
        if not name.startswith(_HEADS) and _layer_of(name) not in mtp_layers
    ]
    _raise(problems, "the checkpoint does not fit the model that its config describes")
    return found


def _read_headers(files: list[str], index: dict[str, str]) -> dict[str, StoredTensor]:
    """Return {name: tensor} of all shards; raise ValueError if one cannot be read or disagrees with the index."""
    for file in index.values():
        if Path(file).name != file:
            raise ValueError(f"a shard must lie beside the index, got {file}")
    stored: dict[str, StoredTensor] = {}
    problems = []
    for file in files:
        try:
            with safe_open(file, framework="pt") as shard:
                slices = {name: shard.get_slice(name) for name in shard.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{Path(file).name} cannot be read, it may be truncated or damaged: {error}") from error
        for name, part in slices.items():
            tensor = StoredTensor(file, name, tuple(part.get_shape()), part.get_dtype())
            if name in stored:
                problems.append(f"{tensor} is also in {Path(stored[name].file).name}")
            elif index and index.get(name) != Path(file).name:
                problems.append(f"{tensor} is placed by the index in {index.get(name, 'no shard')}")
            stored[name] = tensor
    _raise(problems, "the shards and their index disagree")
    return stored


def _raise(problems: list[str], rule: str) -> None:
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        shown = problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise ValueError("\n  ".join([f"{rule}:", *shown]))


def _spell_alike(stored: dict[str, Stored], expected: dict[str, Tensor], prefix: str) -> dict[str, Stored]:
    """Give or take the base model's name before every tensor: it loads alone from a whole model's checkpoint."""
    ours, theirs = (any(name.startswith(prefix) for name in names) for names in (expected, stored))
    if ours and not theirs:
        return {name if name.startswith(_HEADS) else prefix + name: tensor for name, tensor in stored.items()}
    if theirs and not ours:
        return {name.removeprefix(prefix): tensor for name, tensor in stored.items()}
    return stored


def _experts_one_by_one(name: str, shape: torch.Size) -> dict[str, tuple[Place, tuple[int, ...]]]:
    """Return, of a layer's fused experts, {name of one expert's tensor: (its place in the fused one, its shape)}."""
    experts, _, fused = name.rpartition(".")
    if fused == "down_proj" and experts.endswith(".experts"):
        return {f"{experts}.{e}.down_proj.weight": ((e, 0, 0), tuple(shape[1:])) for e in range(shape[0])}
    if fused == "gate_up_proj" and experts.endswith(".experts"):
        F_, D = shape[1] // 2, shape[2]
        return {
            f"{experts}.{e}.{half}_proj.weight": ((e, first, 0), (F_, D))
            for e in range(shape[0])
            for half, first in (("gate", 0), ("up", F_))
        }
    return {}


def _may_be_missing(model: PreTrainedModel, name: str, mtp_layers: set[int]) -> bool:
    layer = _layer_of(name)
    if name in getattr(model, "all_tied_weights_keys", {}) or name.startswith("score."):
        return True
    if layer >= model.config.num_hidden_layers:
        return layer not in mtp_layers
    if name.endswith(".post_mlp_layernorm.weight"):
        return model.config.mlp_layer_types[layer] == "dense"
    return name.endswith(".e_score_correction_bias")


def _layer_of(name: str) -> int:
    """Return the number in a tensor's name, -1 if it belongs to no layer."""
    match = re.search(r"\blayers\.(\d+)\.", name)
    return int(match[1]) if match else -1


def _adopt_router_bias(model: PreTrainedModel, stored: dict[str, Stored]) -> None:
    """Let the routers own a bias if the checkpoint has one, as every checkpoint that native `axk1` saves has."""
    if not any(name.endswith(".e_score_correction_bias") for name in stored):
        return
    model.config.use_router_bias = True
    for module in model.modules():
        if getattr(module, "e_score_correction_bias", module) is None:
            module.e_score_correction_bias = torch.zeros(len(module.weight), device=module.weight.device)


__all__ = ["match_checkpoint"]
