"""A checkpoint of holes: true names, headers and sizes, no weights, next to nothing on the disk."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from modeling_axk1.errors import WeightsError
from modeling_axk1.files import atomic_write_text
from modeling_axk1.weights.encodings import stored_tensors
from modeling_axk1.weights.header import make_header
from modeling_axk1.weights.names import Layout, expected_tensors
from modeling_axk1.weights.plan import INDEX_FILE, PT_METADATA, Shard, make_index, shard_file_name
from modeling_axk1.weights.write import RawTensor, WriteReport

RELEASE_SHARDS = 260


def write_sparse_checkpoint(
    folder: Path,
    config: Mapping[str, Any],
    shards: int = RELEASE_SHARDS,
    layout: Layout = "fused",
    *,
    dry_run: bool = False,
) -> WriteReport:
    """Write the checkpoint that `config` asks for into `folder`, every tensor a hole that reads as zeros.

    With it people rehearse before they move a terabyte: whether their storage takes files of 11 GB, whether their
    tools read 260 headers, what a reshard would do. For the release's config it has 976 tensors, 518,983,059,456
    parameters and 1.04 TB by its sizes, and takes a few MB of a disk that knows sparse files. Copy it with care: `cp`
    keeps the holes, most other tools fill them with zeros.

    Tensors are bfloat16, or what the config's quantization_config makes of them (`layout` says nothing then), and lie
    whole in one of `shards` files. Raises WeightsError when there are fewer tensors than that, or a checkpoint in the
    folder already. With `dry_run` the report comes and nothing is written.
    """
    specs = stored_tensors(config) if "quantization_config" in config else expected_tensors(config, layout)
    tensors = {name: RawTensor(spec.dtype or "BF16", spec.shape, b"") for name, spec in specs.items()}
    sizes = {name: tensor.nbytes for name, tensor in tensors.items()}
    groups = _spread(sizes, shards)
    if found := next(folder.glob("*.safetensors*"), None):
        raise WeightsError(f"the folder must not hold a checkpoint yet, but {found} is there; use an empty folder")
    files = [
        Shard(shard_file_name(number, shards), tuple(sorted(group)), sum(sizes[name] for name in group))
        for number, group in enumerate(groups, start=1)
    ]
    parameters = sum(spec.parameters or 0 if spec.dtype else prod(spec.shape) for spec in specs.values())
    report = WriteReport(files, len(tensors), parameters, sum(sizes.values()))
    if dry_run:
        return report
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(folder / "config.json", json.dumps(dict(config), indent=2) + "\n")
    for shard in files:
        header = make_header({name: (tensors[name].dtype, tensors[name].shape) for name in shard.tensors}, PT_METADATA)
        with (folder / shard.file_name).open("wb") as file:
            file.write(header)
            file.truncate(len(header) + shard.nbytes)
    if shards > 1:
        atomic_write_text(folder / INDEX_FILE, make_index(files, report.parameters))
    return report


def _spread(sizes: Mapping[str, int], shards: int) -> list[list[str]]:
    """Divide tensors among shards: one larger than an even share is alone in its own, the others fill the rest."""
    if not 1 <= shards <= len(sizes):
        raise WeightsError(f"shards must be in [1, {len(sizes):,}], the number of tensors, got {shards:,}")
    alone: list[str] = []
    others = list(sizes)
    while others:
        unplaced = sum(sizes[name] for name in others)
        share = unplaced / (shards - len(alone))
        giants = [name for name in others if sizes[name] > share]
        if not giants:
            break
        alone += giants
        others = [name for name in others if sizes[name] <= share]
    groups: list[list[str]] = []
    room = 0.0
    for position, name in enumerate(others):
        shards_left = shards - len(alone) - len(groups)
        must_open = len(others) - position == shards_left  # one tensor for each
        if must_open or (room < sizes[name] / 2 and shards_left):
            groups.append([])
            room = unplaced / shards_left
        groups[-1].append(name)
        room -= sizes[name]
        unplaced -= sizes[name]
    position_of = {name: position for position, name in enumerate(sizes)}
    return sorted([*([name] for name in alone), *groups], key=lambda group: position_of[group[0]])
