"""The tables of the page about weights: from its benchmarks, and from the code that reads and checks checkpoints."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from math import prod
from typing import Any

from results import Table, Word, result

from modeling_axk1.model.configuration_axk1 import AXK1Config
from modeling_axk1.weights.cut import layer_of, written_numbers
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.encodings import encoding_named, quantised_config, stored_bytes, stored_tensors
from modeling_axk1.weights.names import TensorSpec, expected_tensors, parameters
from modeling_axk1.weights.sizes import human_bytes


def metadata(word: Word) -> Table:
    """Seconds that a terabyte's headers take."""
    rows = []
    for run in result("weights_metadata")["runs"]:
        seconds = run["median_seconds"]
        rows.append(
            [
                word(run["layout"]),
                f"{run['tensors']:,}",
                *(f"**{seconds[verb]:.1f} s**" for verb in ("inspect", "plan", "verify", "inspect over HTTP")),
                human_bytes(run["bytes_fetched_over_http"]),
                f"{seconds['safetensors reads every dtype and shape']:.1f} s",
            ]
        )
    header = ["Layout", "Tensors", "inspect", "plan", "verify --headers-only", "inspect over HTTP", "fetched"]
    return [*header, "the safetensors library"], rows, 1, "weights_metadata"


def writing(word: Word) -> Table:
    """Throughput of reshard and convert, over cp's."""
    warm, cold = (next(run for run in result("weights_write")["runs"] if run["cache"] == c) for c in ("warm", "cold"))
    peers = ("cp", "cp and sync", "transformers", "transformers and sync")

    def both(figures: Callable[[dict[str, Any]], dict[str, Any]], name: str, form: str) -> str:
        return " / ".join(form.format(figures(run)[name]) for run in (warm, cold) if name in figures(run))

    rows = [
        [
            word(name),
            both(lambda run: run["mb_per_s"], name, "{:,}"),
            *(f"**{both(lambda run, peer=peer: run['times_as_fast_as'][peer], name, '{:.2f}')}**" for peer in peers),
            f"{peak:,} MiB" if (peak := warm["peak_mib"][name]) else "",
        ]
        for name in warm["mb_per_s"]
    ]
    header = ["Command", "MB/s, warm / cold", *(f"Over {peer}" for peer in peers), "Peak memory"]
    return header, rows, 1, "weights_write"


def verifying(word: Word) -> Table:
    """Throughput of verify and manifest, over sha256sum's."""
    runs = result("weights_verify")["runs"]
    rows = [
        [word(name), *(f"**{run['times_as_fast_as_sha256sum'][name]:.2f}**" for run in runs)]
        + [f"{run['gb_per_s'][name]:.2f} GB/s" for run in runs if run["cache"] == "warm"]
        for name in runs[0]["gb_per_s"]
    ]
    header = ["Command", *(f"{run['layout']}, {run['cache']}" for run in runs)]
    header += [f"{run['layout']}, {run['cache']}, GB/s" for run in runs if run["cache"] == "warm"]
    return header, rows, 1, "weights_verify"


def encodings(word: Word) -> Table:
    """How far each encoding is off on Gaussian weights, and how fast it is."""
    rows = []
    for run in result("weights_encodings")["runs"]:
        faster = run["times_as_fast_as_peer"]
        rows.append(
            [
                run["encoding"].upper(),
                f"**{run['signal_to_noise_db']:.1f} dB**",
                f"{run['relative_rms']:.2g}",
                *(f"{run['mb_per_s'][way]:,} MB/s" for way in ("encodes", "decodes")),
                *(f"{faster[way]:.1f}" if way in faster else "" for way in ("encodes", "decodes")),
            ]
        )
    header = ["Form", "Noise below the weights", "Relative RMS", "Encodes", "Decodes"]
    header += ["Encodes, over compressed-tensors", "Decodes, over compressed-tensors"]
    return header, rows, 1, "weights_encodings"


@cache
def release(**changes: Any) -> dict[str, Any]:
    """The config of the published model, with `changes`."""
    return AXK1Config(**changes).to_dict()


def _tensor_table(word: Word, tensors: Mapping[str, TensorSpec]) -> Table:
    """One row for all tensors whose names differ in numbers only."""
    alike: dict[tuple[str, str], dict[str, TensorSpec]] = defaultdict(dict)
    for name, spec in tensors.items():
        pattern = re.sub(r"\.experts\.[0-9]+\.", ".experts.E.", re.sub(r"\.layers\.[0-9]+\.", ".layers.N.", name))
        alike[pattern, re.sub(r"expert [0-9]+", "expert E", spec.meaning)][name] = spec
    rows = []
    for (pattern, meaning), members in alike.items():
        layers = {layer for layer in map(layer_of, members) if layer is not None}
        shapes = {spec.shape for spec in members.values()}
        rows.append(
            [
                f"`{pattern}`",
                word(meaning),
                written_numbers(tuple(sorted(layers))),
                ", ".join(str(list(shape)) for shape in shapes),
                f"{len(members):,}",
                f"{sum(prod(spec.shape) for spec in members.values()):,}",
            ]
        )
    return ["Tensor", "Meaning", "Layers N", "Shape", "Tensors", "Parameters"], rows, 2, None


def tensors(word: Word) -> Table:
    """Every tensor of the release as it is published today."""
    return _tensor_table(word, expected_tensors(release()))


def single_experts(word: Word) -> Table:
    """What stands in the place of the fused tensors where experts are stored one by one."""
    fused = expected_tensors(release())
    single = expected_tensors(release(), "per-expert")
    return _tensor_table(word, {name: spec for name, spec in single.items() if name not in fused})


def absent(word: Word) -> Table:
    """What the architecture knows and the release has not; of the module for drafts, what no other layer has."""
    published = {re.sub("[0-9]+", "N", name) for name in expected_tensors(release())}
    known = expected_tensors(release(use_router_bias=True)) | expected_tensors(release(num_nextn_predict_layers=1))
    return _tensor_table(
        word, {name: spec for name, spec in known.items() if re.sub("[0-9]+", "N", name) not in published}
    )


def totals(word: Word) -> Table:
    """Tensors, parameters and bytes of the release and of its variants."""
    variants: dict[str, tuple[dict[str, Any], Any]] = {
        "published: experts fused": (release(), "fused"),
        "experts one by one": (release(), "per-expert"),
        "with router biases": (release(use_router_bias=True), "fused"),
        "with a layer for drafts": (release(num_nextn_predict_layers=1), "fused"),
    }
    rows = []
    for name, (config, layout) in variants.items():
        count = parameters(config)
        rows.append(
            [
                word(name),
                f"{len(expected_tensors(config, layout)):,}",
                f"{count.total:,}",
                f"{count.active:,}",
                f"{stored_bytes(config):,}",
            ]
        )
    return ["Checkpoint", "Tensors", "Parameters", "Active per token", "Bytes in BF16"], rows, 1, None


PRECISIONS = ("fp32", "bf16", "fp8", "int8", "int4")


@cache
def quantised_release(encoding: str) -> dict[str, Any]:
    """The config of the release stored in 8 or 4 bits."""
    return quantised_config(release(), encoding_named(encoding))


@cache
def stored_in(precision: str) -> dict[str, TensorSpec]:
    """The tensors of the release in a precision, each with its dtype."""
    if precision in ("fp32", "bf16"):
        dtype = {"fp32": "F32", "bf16": "BF16"}[precision]
        return {name: replace(spec, dtype=dtype) for name, spec in expected_tensors(release()).items()}
    return stored_tensors(quantised_release(precision))


@cache
def bytes_in(precision: str) -> int:
    """Bytes of these tensors; where no quantisation decides, they are in BF16."""
    return sum(nbytes_of(spec.dtype or "BF16", spec.shape) for spec in stored_in(precision).values())


def precisions(word: Word) -> Table:
    """What the release takes on a disk, by precision."""
    weights, bf16 = parameters(release()).total, bytes_in("bf16")
    rows = []
    for name in PRECISIONS:
        count, quantised = bytes_in(name), sum(spec.parameters or 0 for spec in stored_in(name).values())
        rows.append(
            [
                "BF16, FP16" if name == "bf16" else name.upper(),
                f"{len(stored_in(name)):,}",
                f"{count:,}",
                human_bytes(count),
                f"{count / 2**30:,.0f} GiB",
                f"{count / bf16:.1%}",
                f"{8 * count / weights:.2f}",
                f"{quantised / weights:.2%}" if quantised else "",
            ]
        )
    header = ["Stored in", "Tensors", "Bytes", "GB, TB", "GiB", "Of BF16", "Bits a parameter", "Parameters quantised"]
    return header, rows, 1, None


def configs(_: Word) -> str:
    """What config.json says of FP8 and of INT4, the list of what is not quantised cut short."""
    blocks = []
    for name, ignored in (("fp8", "modules_to_not_convert"), ("int4", "ignore")):
        said = quantised_release(name)["quantization_config"]
        said = said | {ignored: [said[ignored][0], "...", said[ignored][-1]]}
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in said.items())
        blocks.append(f'```json\n"quantization_config": {{\n{lines}\n}}\n```\n')
    return "\n".join(blocks)


TABLES: dict[str, Callable[[Word], Table | str]] = {
    function.__name__: function
    for function in (
        *(metadata, writing, verifying, encodings),
        *(totals, tensors, single_experts, absent, precisions, configs),
    )
}
