"""Compare the tensors of a checkpoint with those that its config asks for."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modeling_axk1.weights.checkpoint import Checkpoint
from modeling_axk1.weights.cut import Cut, Whole, cut_tensor
from modeling_axk1.weights.encodings import stored_tensors
from modeling_axk1.weights.header import TensorInfo
from modeling_axk1.weights.names import Layout, TensorSpec, expected_tensors

_FUSED = re.compile(r"\.mlp\.experts\.(gate_up_proj|down_proj)$")
_PER_EXPERT = re.compile(r"\.mlp\.experts\.[0-9]+\.")


@dataclass(frozen=True)
class Coverage:
    """What differs from the config: names only, in model order (`missing`) and in file order (the others).

    `dtypes` are those that a quantisation asks for, by name; `parameters` are the weights found, however stored.
    """

    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    misshapen: dict[str, TensorSpec] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    parameters: int = 0


def layout_of(names: Iterable[str]) -> str:
    """Say how routed experts are stored: "fused", "per-expert", or "unknown" for neither or a mixture."""
    names = list(names)
    fused = any(_FUSED.search(name) for name in names)
    per_expert = any(_PER_EXPERT.search(name) for name in names)
    if fused == per_expert:
        return "unknown"
    return "fused" if fused else "per-expert"


def coverage(checkpoint: Checkpoint) -> Coverage:
    """Compare names and shapes with the config, in the layout the checkpoint has (fused where it is unknown).

    A quantised checkpoint has the tensors that its quantisation asks for, a part of a model those that its cut leaves.
    The checkpoint must have a config of A.X K1; raises WeightsError when that config names no model.
    """
    config = checkpoint.config or {}
    found = {name: tensor for _, name, tensor in checkpoint.tensors()}
    layout: Layout = "per-expert" if layout_of(found) == "per-expert" else "fused"
    quantised = config.get("quantization_config") is not None
    expected = stored_tensors(config) if quantised else expected_tensors(config, layout)
    expected = expected if checkpoint.cut is None else _part_of(expected, checkpoint.cut, config)
    known = {name: expected[name] for name in found if name in expected}
    return Coverage(
        missing=[name for name, spec in expected.items() if name not in found and not spec.optional],
        extra=[name for name in found if name not in expected],
        misshapen={name: spec for name, spec in known.items() if spec.shape != found[name].shape},
        dtypes={name: spec.dtype for name, spec in known.items() if spec.dtype},
        parameters=sum(_parameters_in(tensor, known.get(name)) for name, tensor in found.items()),
    )


def _part_of(expected: Mapping[str, TensorSpec], cut: Cut, config: Mapping[str, Any]) -> dict[str, TensorSpec]:
    kinds = {name: (spec.dtype or "BF16", spec.shape) for name, spec in expected.items()}
    whole = Whole.of(config, kinds)
    held = {}
    for name, (dtype, shape) in kinds.items():
        if part := cut_tensor(cut, whole, name, dtype, shape):
            held[name] = replace(expected[name], shape=part[0])
    return held


def _parameters_in(tensor: TensorInfo, spec: TensorSpec | None) -> int:
    return tensor.elements if spec is None or spec.parameters is None else spec.parameters
