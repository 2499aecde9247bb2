"""A checkpoint as weights, however stored: routed experts one by one, a quantised weight with all its parts.

This is what two layouts and all encodings have in common, so conversions and comparisons begin here.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.checkpoint import Checkpoint
from modeling_axk1.weights.encodings import Encoding, encoding_of
from modeling_axk1.weights.header import TensorInfo
from modeling_axk1.weights.names import MAX_EXPERTS, is_axk1
from modeling_axk1.weights.order import base_of
from modeling_axk1.weights.runs import Run
from modeling_axk1.weights.steps import Form, Place

_FUSED = re.compile(r"(.*\.mlp\.experts)\.(gate_up_proj|down_proj)")
_SINGLE = re.compile(r"(.*\.mlp\.experts)\.(0|[1-9][0-9]{0,8})\.(gate_proj|up_proj|down_proj)\.weight")


@dataclass(frozen=True)
class Weight:
    """A weight and where it is: `parts` are those of its form, for a dtype just "weight"."""

    shape: tuple[int, ...]
    form: Form
    parts: Mapping[str, Place]


def weights_of(checkpoint: Checkpoint, source: int = 0) -> dict[str, Weight]:
    """Return every weight of a checkpoint by its name in the "per-expert" layout, in the order they are stored.

    Fused experts stay as they are where config.json names another model, which may fuse them in another way. `source`
    is the checkpoint's number among those that a plan reads. Raises WeightsError for a quantisation that is not known,
    or a quantised weight of which a part is missing.
    """
    encoding = encoding_of(checkpoint.config or {})
    apart = checkpoint.config is None or is_axk1(checkpoint.config)
    grouped: dict[str, dict[str, tuple[str, TensorInfo]]] = defaultdict(dict)
    for shard, name, info in checkpoint.tensors():
        grouped[base_of(name) if encoding else name][name] = (shard, info)
    weights: dict[str, Weight] = {}
    for base, tensors in grouped.items():
        if encoding and (tensors.keys() != {base} or tensors[base][1].dtype == "F8_E4M3"):
            found = {base: _quantised(base, tensors, encoding, source)}
        else:
            (shard, info) = tensors[base]
            found = _plain(base, info, shard, source, single_experts(base, info.shape) if apart else {})
        if not weights.keys().isdisjoint(found):
            raise WeightsError(f"{base} is stored fused and also one by one")
        weights |= found
    return weights


def single_experts(name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, int]]:
    """Return {name of one expert's matrix: its (first row, rows)} of a fused tensor; rows run through all experts.

    Empty for what is no fused tensor. Source: the release's own layout, gate rows before up rows. Raises WeightsError
    for more experts than any model has.

    Example: of `experts.gate_up_proj` [2, 6, D] the matrix `experts.1.up_proj.weight` has rows 9, 10 and 11.
    """
    match = _FUSED.fullmatch(name)
    if not match or len(shape) != 3 or (match[2] == "gate_up_proj" and shape[1] % 2):
        return {}
    if shape[0] > MAX_EXPERTS:
        raise WeightsError(f"{name} must hold at most {MAX_EXPERTS:,} experts, got {shape[0]:,}")
    matrices = ("gate_proj", "up_proj") if match[2] == "gate_up_proj" else ("down_proj",)
    rows = shape[1] // len(matrices)
    return {
        f"{match[1]}.{expert}.{matrix}.weight": ((expert * len(matrices) + number) * rows, rows)
        for expert in range(shape[0])
        for number, matrix in enumerate(matrices)
    }


def fused_tensors(names: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return {name: shape} of the fused tensors that experts stored one by one make, of {name: shape} of any tensors.

    Raises WeightsError when the experts of a layer are not 0, 1, 2, ..., each with matrices of one shape.
    """
    layers: dict[str, dict[int, dict[str, tuple[int, ...]]]] = defaultdict(lambda: defaultdict(dict))
    for name, shape in names.items():
        if match := _SINGLE.fullmatch(name):
            layers[match[1]][int(match[2])][match[3]] = shape
    fused: dict[str, tuple[int, ...]] = {}
    for experts, members in layers.items():
        if sorted(members) != list(range(len(members))):
            raise WeightsError(f"{experts} must be numbered from 0 without gaps to be fused, up to {max(members)}")
        first = members[0]
        alike = all(shapes == first for shapes in members.values()) and all(len(s) == 2 for s in first.values())
        if not alike or first.keys() != {"gate_proj", "up_proj", "down_proj"} or first["gate_proj"] != first["up_proj"]:
            raise WeightsError(
                f"{experts} must each have matrices gate_proj, up_proj and down_proj of one shape to be fused"
            )
        rows, columns = first["gate_proj"]
        fused[f"{experts}.gate_up_proj"] = (len(members), 2 * rows, columns)
        fused[f"{experts}.down_proj"] = (len(members), *first["down_proj"])
    return fused


def _plain(
    name: str, info: TensorInfo, shard: str, source: int, singles: Mapping[str, tuple[int, int]]
) -> dict[str, Weight]:
    if not singles:
        return {name: Weight(info.shape, info.dtype, {"weight": Place(shard, Run(info.start, info.nbytes), source)})}
    row_bytes = info.nbytes // max(1, prod(info.shape[:2]))
    return {
        single: Weight(
            (rows, info.shape[2]),
            info.dtype,
            {"weight": Place(shard, Run(info.start + first * row_bytes, rows * row_bytes), source)},
        )
        for single, (first, rows) in singles.items()
    }


def _quantised(base: str, tensors: Mapping[str, tuple[str, TensorInfo]], encoding: Encoding, source: int) -> Weight:
    leading = base if encoding.name == "fp8" else f"{base}_packed"
    if leading not in tensors or len(tensors[leading][1].shape) != 2:
        raise WeightsError(f"{leading} must be there and be a matrix, as its scales are")
    rows, columns = tensors[leading][1].shape
    shape = (rows, columns if encoding.name == "fp8" else columns * 32 // encoding.bits)
    parts = encoding.parts(base, shape)
    for name, (dtype, part_shape) in parts.items():
        if name not in tensors:
            raise WeightsError(f"{name} is missing: without it {leading} has no values")
        info = tensors[name][1]
        if (info.dtype, info.shape) != (dtype, part_shape):
            raise WeightsError(f"{name} must be {dtype} {list(part_shape)}, got {info.dtype} {list(info.shape)}")
    stem = len(base) - len("weight")
    return Weight(
        shape,
        encoding,
        {
            name[stem:]: Place(tensors[name][0], Run(tensors[name][1].start, tensors[name][1].nbytes), source)
            for name in parts
        },
    )
