"""WEIGHTS.md: every tensor of a model repository, from the code that reads and checks checkpoints."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from modeling_axk1.weights.cut import layer_of, written_numbers
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.encodings import encoding_of, stored_tensors
from modeling_axk1.weights.names import Layout, TensorSpec, expected_tensors, parameters
from modeling_axk1.weights.sizes import human_bytes

_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


def tensors_of(config: Mapping[str, Any], layout: Layout = "fused") -> dict[str, TensorSpec]:
    """Return what a checkpoint with this config.json holds: stored parts where it is quantised."""
    return stored_tensors(config) if encoding_of(config) else expected_tensors(config, layout)


def dtype_of(config: Mapping[str, Any], spec: TensorSpec) -> str:
    """Return a tensor's dtype: what a quantisation decides, else the config's."""
    return spec.dtype or _DTYPES[str(config.get("dtype", config.get("torch_dtype", "bfloat16")))]


def weights_document(
    config: Mapping[str, Any], shards: Sequence[tuple[str, int, int]], layout: Layout = "fused"
) -> str:
    """Return WEIGHTS.md.

    `shards` are (file name, number of tensors, bytes of the file).
    """
    tensors = tensors_of(config, layout)
    sizes = {name: nbytes_of(dtype_of(config, spec), spec.shape) for name, spec in tensors.items()}
    weights = {name: prod(spec.shape) if spec.parameters is None else spec.parameters for name, spec in tensors.items()}
    count = parameters(config)
    encoding = encoding_of(config)
    lines = [
        "# Weights",
        "",
        f"{len(tensors):,} tensors, {count.total:,} parameters, of which {count.active:,} work on a token; "
        f"{sum(sizes.values()):,} bytes ({human_bytes(sum(sizes.values()))}) in {len(shards):,} "
        f"file{'s' * (len(shards) != 1)}. This page is generated from `config.json` by the code that checks the files.",
        "",
    ]
    if encoding:
        lines += [
            f"Stored as {encoding.name.upper()}: `quantization_config` in `config.json` says how, and lists what is "
            "not quantised. Routed experts are stored one by one.",
            "",
        ]
    lines += ["## Tensors", "", "N is a layer, E a routed expert.", ""]
    lines += _table(
        ("Tensor", "Meaning", "Layers N", "Shape", "Dtype", "Tensors", "Parameters", "Bytes"),
        3,
        _groups(config, tensors, weights, sizes),
    )
    lines += ["", "## Parameters of each layer", ""]
    lines += _table(("Layer", "Tensors", "Parameters", "Bytes"), 1, _layers(weights, sizes))
    lines += ["", "## Files", ""]
    lines += _table(
        ("File", "Tensors", "Bytes"), 1, [(f"`{name}`", f"{held:,}", f"{size:,}") for name, held, size in shards]
    )
    return "\n".join(lines) + "\n"


def _groups(
    config: Mapping[str, Any],
    tensors: Mapping[str, TensorSpec],
    weights: Mapping[str, int],
    sizes: Mapping[str, int],
) -> list[tuple[str, ...]]:
    """One row for all tensors whose names differ in numbers only and which are alike."""
    alike: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for name, spec in tensors.items():
        pattern = re.sub(r"\.experts\.[0-9]+\.", ".experts.E.", re.sub(r"\.layers\.[0-9]+\.", ".layers.N.", name))
        meaning = re.sub(r"expert [0-9]+", "expert E", spec.meaning)
        alike[pattern, meaning, spec.shape, dtype_of(config, spec)].append(name)
    return [
        (
            f"`{pattern}`",
            meaning,
            written_numbers(tuple(sorted({layer for layer in map(layer_of, names) if layer is not None}))) or "-",
            str(list(shape)),
            dtype,
            f"{len(names):,}",
            f"{sum(weights[name] for name in names):,}",
            f"{sum(sizes[name] for name in names):,}",
        )
        for (pattern, meaning, shape, dtype), names in alike.items()
    ]


def _layers(weights: Mapping[str, int], sizes: Mapping[str, int]) -> list[tuple[str, ...]]:
    rows: dict[int | None, list[str]] = defaultdict(list)
    for name in weights:
        rows[layer_of(name)].append(name)
    outside = rows.pop(None, [])
    ordered = [(str(layer), names) for layer, names in sorted(rows.items(), key=lambda row: row[0] or 0)]
    ordered += [("embeddings, last norm, output", outside)] if outside else []
    ordered.append(("all", list(weights)))
    return [
        (
            what,
            f"{len(names):,}",
            f"{sum(map(weights.__getitem__, names)):,}",
            f"{sum(map(sizes.__getitem__, names)):,}",
        )
        for what, names in ordered
    ]


def _table(header: Sequence[str], words: int, rows: Sequence[Sequence[str]]) -> list[str]:
    rule = [":---"] * words + ["---:"] * (len(header) - words)
    return [f"| {' | '.join(line)} |" for line in (header, rule, *rows)]
