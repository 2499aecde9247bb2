# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""Weights stored in 8 or 4 bits, decoded while they are read: the model is the ordinary one, on any machine.

    fp8          X.weight E4M3, X.weight_scale_inv: one scale for a block of weights, as DeepSeek-V3 stores it
    int8, int4   X.weight_packed, X.weight_scale, X.weight_shape: whole numbers in 32-bit words and one scale for some
                 inputs, as compressed-tensors stores them ("pack-quantized")

This file travels to the hub beside modeling_axk1.py and imports nothing of this package.
"""

import copy
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.configuration_utils import PreTrainedConfig

_HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")
_SCALES = ("F32", "BF16", "F16")
_WORD_BITS = 32
# Of float16's bits: all but the highest of the exponent, and the mantissa's first three. As an int16.
_SIGN_AND_E4M3 = 0xBF80 - 0x1_0000


class StoredTensor(NamedTuple):
    """A tensor as its shard's header announces it."""

    file: str
    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name} in {Path(self.file).name}"

    def read(self, opened: Callable[[str], Any], rows: slice, columns: Any = ()) -> Tensor:
        """Return these rows and columns, of the file that `opened` gives."""
        return opened(self.file).get_slice(self.name)[(rows, *columns)]


class Quantisation(NamedTuple):
    """How a checkpoint stores its weights: this many `rows` and `columns` share a scale."""

    bits: int
    rows: int
    columns: int

    @property
    def is_float(self) -> bool:
        """Whether the stored numbers are E4M3 rather than whole ones; blocks of rows are theirs alone."""
        return self.rows > 1

    def scale_rows(self, rows: slice) -> slice:
        """Return the rows of scales that belong to these rows of numbers."""
        return slice(rows.start // self.rows, ceil(rows.stop / self.rows))


class EncodedTensor(NamedTuple):
    """A weight [out, in] that is stored as numbers and scales; it reads as float32."""

    numbers: StoredTensor
    scales: StoredTensor
    shape: tuple[int, int]
    quantisation: Quantisation
    dtype: str = "F32"

    def __str__(self) -> str:
        return str(self.numbers)

    def read(self, opened: Callable[[str], Any], rows: slice, columns: Any) -> Tensor:
        """Return these rows and columns, as `StoredTensor.read` does; whole rows are decoded."""
        numbers_rC = self.numbers.read(opened, rows)
        scale_rg = self.scales.read(opened, self.quantisation.scale_rows(rows))
        return _decoded(numbers_rC, scale_rg, rows.start, self.quantisation)[(slice(None), *columns)]


Stored = StoredTensor | EncodedTensor


class EncodedWeight(NamedTuple):
    """A weight [N, K] in memory as it is stored, decoded a few rows at a time."""

    numbers_NW: Tensor
    scales_ng: Tensor
    quantisation: Quantisation

    @property
    def rows(self) -> int:
        """N."""
        return self.numbers_NW.shape[0]

    def to(self, device: torch.device, non_blocking: bool = False) -> "EncodedWeight":
        """Return the weight on another device."""
        numbers_NW, scales_ng = (part.to(device, non_blocking=non_blocking) for part in self[:2])
        return EncodedWeight(numbers_NW, scales_ng, self.quantisation)

    def decoded(self, rows: slice, dtype: torch.dtype) -> Tensor:
        """Return these rows as `dtype`, each number rounded once."""
        scale_rg = self.scales_ng[self.quantisation.scale_rows(rows)]
        return _decoded(self.numbers_NW[rows], scale_rg, rows.start, self.quantisation).to(dtype)


def _decoded(numbers_rC: Tensor, scale_rg: Tensor, first_row: int, of: Quantisation) -> Tensor:
    """Return rows as float32: the numbers, times the scales that `Quantisation.scale_rows` gives for them."""
    scale_rg = scale_rg.to(torch.float32).repeat_interleave(of.rows, 0)
    scale_rg = scale_rg[first_row % of.rows :][: len(numbers_rC)]
    decoded_rC = _float32_of_e4m3(numbers_rC) if of.is_float else _whole_numbers(numbers_rC, of.bits)
    groups = decoded_rC.shape[1] // of.columns  # of FP8 the last block may be cut short
    decoded_rC[:, : groups * of.columns].unflatten(1, (groups, of.columns)).mul_(scale_rg[:, :groups, None])
    decoded_rC[:, groups * of.columns :] *= scale_rg[:, groups:]
    return decoded_rC


def _float32_of_e4m3(codes: Tensor) -> Tensor:
    """Return what `codes.to(torch.float32)` does, in a third of its time: moved to float16's bits, times 2^8."""
    bits = codes.view(torch.int8).to(torch.int16).bitwise_left_shift_(7)  # two copies of the sign, exponent, mantissa
    values = bits.bitwise_and_(_SIGN_AND_E4M3).view(torch.float16).to(torch.float32).mul_(256)
    low, high = values.aminmax()
    if max(high, -low) == 480:  # the one code that is NaN
        values[values.abs() == 480] = torch.nan
    return values


def _whole_numbers(words_rW: Tensor, bits: int) -> Tensor:
    bytes_ = words_rW.contiguous().view(torch.uint8)  # the first number is in the lowest bits
    if bits == 4:
        bytes_ = torch.stack((bytes_ & 15, bytes_ >> 4), dim=-1).flatten(-2)
    return bytes_.to(torch.float32).sub_(1 << (bits - 1))


def take_over(config_class: type[PreTrainedConfig], path: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keep transformers from giving a quantised checkpoint to a quantizer, which would need a package or a GPU more.

    `kwargs` are `from_pretrained`'s. If the checkpoint at `path` is stored as this file can decode, they come back with
    its config, without "quantization_config"; `taken_over` tells later what that said. A quantisation asked for by
    argument, and any that is not known here, is transformers' affair as before.
    """
    if path is None or kwargs.get("quantization_config") is not None or kwargs.get("gguf_file") is not None:
        return kwargs
    config = kwargs.get("config")
    if isinstance(config, PreTrainedConfig):
        if _quantisation_of(getattr(config, "quantization_config", None)) is None:
            return kwargs
        config, rest = copy.deepcopy(config), kwargs
    else:
        hub = {key: kwargs[key] for key in _HUB_ARGUMENTS if key in kwargs}
        try:
            values, _ = config_class.get_config_dict(config or path, **hub)
        except OSError:  # no config.json: an adapter's folder, or nothing at all, and transformers says which
            return kwargs
        if _quantisation_of(values.get("quantization_config")) is None:
            return kwargs
        kept = hub | {key: kwargs[key] for key in ("dtype", "torch_dtype") if key in kwargs}
        others = {key: value for key, value in kwargs.items() if key not in kept and key != "config"}
        config, rest = config_class.from_dict(values, return_unused_kwargs=True, **others)
        rest |= kept
    config._taken_over = _quantisation_of(config.quantization_config)
    del config.quantization_config
    # transformers would take the first tensor's type for the model's, and that may be an eight-bit one.
    config.dtype = config.dtype or torch.bfloat16
    return {**rest, "config": config}


def taken_over(config: PreTrainedConfig) -> Quantisation | None:
    """Return, once, how the checkpoint is stored that `take_over` made this config for."""
    return config.__dict__.pop("_taken_over", None)


def _quantisation_of(said: Any) -> Quantisation | None:
    """Read "quantization_config" of config.json; None for one that this file cannot decode."""
    if not isinstance(said, dict):
        return None
    if said.get("quant_method") == "fp8":
        block = said.get("weight_block_size")
        if not isinstance(block, list | tuple) or len(block) != 2:
            return None
        return Quantisation(8, *block) if all(type(size) is int and size > 1 for size in block) else None
    groups = said.get("config_groups")
    if said.get("quant_method") != "compressed-tensors" or not isinstance(groups, dict) or len(groups) != 1:
        return None
    group = next(iter(groups.values()))
    weights = group.get("weights") or {}
    size: Any = weights.get("group_size")
    is_known = (
        (group.get("format") or said.get("format")) == "pack-quantized"
        and (weights.get("type"), weights.get("strategy"), weights.get("symmetric")) == ("int", "group", True)
        and weights.get("num_bits") in (4, 8)
        and not weights.get("actorder")
        and not group.get("input_activations")
        and type(size) is int
        and size > 0
    )
    return Quantisation(weights["num_bits"], 1, size) if is_known else None


def join_parts(
    stored: dict[str, StoredTensor], quantisation: Quantisation | None
) -> tuple[dict[str, Stored], list[str]]:
    """Put the parts of every encoded weight together under the weight's own name, by their headers alone.

    Returns:
        The tensors, and a line for each part that is missing, or of another shape or type than it must be.

    """
    joined: dict[str, Stored] = dict(stored)
    if quantisation is None:
        return joined, []
    problems = []
    for name, numbers in stored.items():
        if len(numbers.shape) != 2:
            continue
        if quantisation.is_float and numbers.dtype == "F8_E4M3" and name.endswith(".weight"):
            weight, scale_name, others = name, f"{name}_scale_inv", []
            shape = numbers.shape
        elif not quantisation.is_float and name.endswith(".weight_packed"):
            weight = name.removesuffix("_packed")
            scale_name, others = f"{weight}_scale", [f"{weight}_shape"]
            shape = (*numbers.shape[:-1], numbers.shape[-1] * _WORD_BITS // quantisation.bits)
            if numbers.dtype != "I32":
                problems.append(f"{numbers} must be I32, got {numbers.dtype}")
        else:
            continue
        missing = [part for part in (scale_name, *others) if joined.pop(part, None) is None]
        problems += [f"{part} is missing" for part in missing]
        scales = stored.get(scale_name, numbers)
        if scale_name not in missing:
            per_scale = [ceil(size / each) for size, each in zip(shape, quantisation[1:], strict=True)]
            if list(scales.shape) != per_scale:
                problems.append(f"{scales} must have shape {per_scale}, got {list(scales.shape)}")
            if scales.dtype not in _SCALES:
                problems.append(f"{scales} must be one of {', '.join(_SCALES)}, got {scales.dtype}")
        del joined[name]
        joined[weight] = EncodedTensor(numbers, scales, shape, quantisation)
    return joined, problems


__all__ = [
    "EncodedTensor",
    "EncodedWeight",
    "Quantisation",
    "Stored",
    "StoredTensor",
    "join_parts",
    "take_over",
    "taken_over",
]
