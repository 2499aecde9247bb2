"""Which tensor goes into which shard: a pure function of names, sizes and the limit, to be read before a byte moves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from modeling_axk1.errors import UsageError, WeightsError

DEFAULT_SHARD_BYTES = 5_000_000_000  # what the hub recommends
SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True)
class Shard:
    """One file of a checkpoint: its name, its tensors in order, and the bytes of their data."""

    file_name: str
    tensors: tuple[str, ...]
    nbytes: int


def plan_shards(sizes: Mapping[str, int], max_shard_bytes: int = DEFAULT_SHARD_BYTES) -> list[Shard]:
    """Fill shards greedily in the order given; only a single larger tensor may exceed `max_shard_bytes`.

    `sizes` maps a tensor's name to its bytes. One shard is called model.safetensors and needs no index, several
    are called model-00001-of-0000N.safetensors, as transformers and the hub expect. No tensors give no shards.

    Example: sizes {"a": 6, "b": 5, "c": 4} with a limit of 9 give two shards, (a) and (b, c).
    """
    if max_shard_bytes < 1:
        raise WeightsError(f"max_shard_bytes must be at least 1, got {max_shard_bytes}")
    groups: list[list[str]] = []
    room = 0
    for name, nbytes in sizes.items():
        if not groups or nbytes > room:
            groups.append([])
            room = max_shard_bytes
        groups[-1].append(name)
        room -= nbytes
    return [
        Shard(_file_name(number, len(groups)), tuple(group), sum(sizes[name] for name in group))
        for number, group in enumerate(groups, start=1)
    ]


def parse_size(text: str) -> int:
    """Read a size as people write it, "5GB" or "512 MiB", in bytes; raises UsageError for anything else."""
    match = re.fullmatch(r"([0-9]{1,15})\s*([A-Za-z]*)", text.strip())
    if not match or match[2].upper() not in _UNITS or int(match[1]) == 0:
        raise UsageError(f'a size must look like "5GB", "500MB" or "1GiB", got {text!r:.60}')
    return int(match[1]) * _UNITS[match[2].upper()]


def _file_name(number: int, count: int) -> str:
    return SINGLE_FILE if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"
