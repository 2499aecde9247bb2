"""Which tensor goes into which shard, and from where: pure functions, to be read before a byte moves."""

import gc
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import TypeVar

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.header import in_file_order, make_header
from modeling_axk1.weights.steps import Bundle, Step, merged

DEFAULT_SHARD_BYTES = 5_000_000_000  # what the hub recommends
SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

PT_METADATA = MappingProxyType({"format": "pt"})  # without it transformers refuses a file

_Item = TypeVar("_Item")

_UNITS = {
    "": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}


@dataclass(frozen=True)
class Shard:
    """One file of a checkpoint: its name, its tensors in order, and the bytes of their data."""

    file_name: str
    tensors: tuple[str, ...]
    nbytes: int


@dataclass(frozen=True)
class PlannedShard:
    """A file to be written: its header, where each tensor starts in it, and the steps that fill it.

    `file_name` may begin with the folder of a rank.
    """

    file_name: str
    header: bytes
    starts: Mapping[str, int]
    steps: Sequence[Step]
    file_size: int

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors."""
        return self.file_size - len(self.header)


@dataclass(frozen=True)
class Plan:
    """Everything that will be written, in this order: shards, files taken from the source as they are, small files.

    `copied` maps a file's name here to its name there.
    """

    shards: Sequence[PlannedShard]
    copied: Mapping[str, str]
    files: Mapping[str, bytes]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(shard.nbytes for shard in self.shards)

    @property
    def tensors(self) -> int:
        """Number of tensors."""
        return sum(len(shard.starts) for shard in self.shards)


@contextmanager
def no_collection() -> Iterator[None]:
    """Spare a large plan the garbage collector, which would go through it again and again: it holds no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def lay_out(
    bundles: Sequence[Bundle],
    max_shard_bytes: int | None = DEFAULT_SHARD_BYTES,
    folder: str = "",
    metadata: Mapping[str, str] = PT_METADATA,
) -> tuple[list[PlannedShard], dict[str, bytes]]:
    """Put bundles into shards in the order given; return the shards, and the index unless there is only one.

    A shard ends where a bundle's group changes, or where the next would exceed `max_shard_bytes` (None: no limit).
    `folder` goes before all file names and ends with a slash. Raises WeightsError for no tensors, or one that comes
    twice.
    """
    if not bundles:
        raise WeightsError("a checkpoint must hold at least one tensor, got none")
    bundle_bytes = [sum(nbytes_of(*tensor) for tensor in bundle.tensors.values()) for bundle in bundles]
    runs = [list(run) for _, run in groupby(range(len(bundles)), key=lambda number: bundles[number].group)]
    groups = [
        group for run in runs for group in _fill([(number, bundle_bytes[number]) for number in run], max_shard_bytes)
    ]
    shards, listed, seen = [], [], set[str]()
    for number, group in enumerate(groups, start=1):
        tensors = {name: tensor for member in group for name, tensor in bundles[member].tensors.items()}
        if len(tensors) != sum(len(bundles[member].tensors) for member in group) or not seen.isdisjoint(tensors):
            raise WeightsError("a plan must hold every tensor once, got one twice")
        seen |= tensors.keys()
        file_name = shard_file_name(number, len(groups))
        steps = [step for member in group for step in bundles[member].steps]
        shards.append(_shard(folder + file_name, tensors, steps, metadata))
        listed.append(Shard(file_name, tuple(tensors), sum(bundle_bytes[member] for member in group)))
    if len(shards) < 2:
        return shards, {}
    index = make_index(listed, sum(bundle.parameters for bundle in bundles))
    return shards, {folder + INDEX_FILE: index.encode()}


def _shard(
    file_name: str, tensors: Mapping[str, tuple[str, tuple[int, ...]]], steps: list[Step], metadata: Mapping[str, str]
) -> PlannedShard:
    order = in_file_order({name: dtype for name, (dtype, _) in tensors.items()}, tensors)
    header = make_header({name: tensors[name] for name in order}, metadata)
    starts, end = {}, len(header)
    for name in order:
        starts[name] = end
        end += nbytes_of(*tensors[name])
    # Written as they lie: a disk likes it, and what is finished of a file is its beginning.
    steps.sort(key=lambda step: starts[step.tensor] + step.start)
    return PlannedShard(file_name, header, starts, tuple(merged(steps)), end)


def plan_shards(sizes: Mapping[str, int], max_shard_bytes: int = DEFAULT_SHARD_BYTES) -> list[Shard]:
    """Fill shards greedily in the order given; only a single larger tensor may exceed `max_shard_bytes`.

    `sizes` maps a tensor's name to its bytes. One shard is called model.safetensors and needs no index, several
    are called model-00001-of-0000N.safetensors, as transformers and the hub expect. No tensors give no shards.

    Example: sizes {"a": 6, "b": 5, "c": 4} with a limit of 9 give two shards, (a) and (b, c).
    """
    if max_shard_bytes < 1:
        raise WeightsError(f"max_shard_bytes must be at least 1, got {max_shard_bytes}")
    groups = _fill(list(sizes.items()), max_shard_bytes)
    return [
        Shard(shard_file_name(number, len(groups)), tuple(group), sum(sizes[name] for name in group))
        for number, group in enumerate(groups, start=1)
    ]


def _fill(sizes: Sequence[tuple[_Item, int]], limit: int | None) -> list[list[_Item]]:
    """Group items in the order given so that no group exceeds the limit, but for one larger item alone."""
    groups: list[list[_Item]] = []
    room = 0
    for item, nbytes in sizes:
        if not groups or (limit is not None and nbytes > room):
            groups.append([])
            room = limit or 0
        groups[-1].append(item)
        room -= nbytes
    return groups


def make_index(shards: Sequence[Shard], parameters: int) -> str:
    """Return the text of the index of `shards`."""
    weight_map = {name: shard.file_name for shard in shards for name in shard.tensors}
    metadata = {"total_parameters": parameters, "total_size": sum(shard.nbytes for shard in shards)}
    # What `indent=2` writes, of which Python has no fast version, and there may be 100,000 tensors.
    head, lines = (
        json.dumps(part, ensure_ascii=False, separators=(",\n    ", ": "))[1:-1]
        for part in (metadata, dict(sorted(weight_map.items())))
    )
    return f'{{\n  "metadata": {{\n    {head}\n  }},\n  "weight_map": {{\n    {lines}\n  }}\n}}\n'


def parse_size(text: str) -> int:
    """Read a size as people write it, "5GB" or "512 MiB", in bytes; raises UsageError for anything else."""
    match = re.fullmatch(r"([0-9]{1,15})\s*([A-Za-z]*)", text.strip())
    if not match or match[2].upper() not in _UNITS or int(match[1]) == 0:
        raise UsageError(f'a size must look like "5GB", "500MB" or "1GiB", got {text!r:.60}')
    return int(match[1]) * _UNITS[match[2].upper()]


def shard_file_name(number: int, count: int) -> str:
    """Return the name of shard `number`, from 1 to `count`, as transformers and the hub expect it."""
    return SINGLE_FILE if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"
