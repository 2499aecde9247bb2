"""MANIFEST.json: what every file and every tensor of a checkpoint must be, bit by bit.

    {
    "version": 1,
    "files": {
     "config.json": {"size": 1024, "sha256": "..."},
     ...
    },
    "tensors": {
     "lm_head.weight": {"shard": "model-00260-of-00260.safetensors", "dtype": "BF16", "shape": [163840, 7168],
                        "sha256": "..."},
     ...
    }
    }

UTF-8, one line for each entry (this example is folded), files and tensors sorted by name: equal checkpoints give equal
bytes, and `diff` shows what changed. `files` are all below the folder but MANIFEST.json itself, SHA256SUMS and
model.sig, which are made of it. A tensor's digest is that of its bytes as they lie in the file, without name, dtype or
shape, so that a tensor keeps it when it moves into another shard or is renamed; dtype and shape stand beside it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modeling_axk1.errors import WeightsError
from modeling_axk1.files import leads_out
from modeling_axk1.weights.checkpoint import Checkpoint
from modeling_axk1.weights.facts import Facts
from modeling_axk1.weights.header import MAX_HEADER_BYTES
from modeling_axk1.weights.strict_json import check_name, parse_object

VERSION = 1

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """A file's size in bytes and the SHA-256 of them."""

    size: int
    sha256: str


@dataclass(frozen=True)
class TensorEntry:
    """Where a tensor lies, what it is, and the SHA-256 of its bytes."""

    shard: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What MANIFEST.json holds."""

    files: Mapping[str, FileEntry]
    tensors: Mapping[str, TensorEntry]

    def text(self) -> str:
        """Return the file's text; equal manifests give equal text."""
        parts = _part("files", {**self.files}), _part("tensors", {**self.tensors})
        return f'{{\n"version": {VERSION},\n{parts[0]},\n{parts[1]}\n}}\n'


def read_manifest(path: Path) -> Manifest:
    """Read a MANIFEST.json; raises WeightsError saying which rule it breaks, or OSError."""
    if path.stat().st_size > MAX_HEADER_BYTES:
        raise WeightsError(f"{path.name} must be at most {MAX_HEADER_BYTES:,} bytes, got {path.stat().st_size:,}")
    return parse_manifest(path.read_bytes(), path.name)


def parse_manifest(raw: bytes, what: str) -> Manifest:
    """Validate the bytes of a manifest called `what`; raises WeightsError saying which rule they break."""
    value = parse_object(raw, what)
    if value.get("version") != VERSION:
        raise WeightsError(f"{what}: version must be {VERSION}, got {value.get('version')!r:.60}")
    if value.keys() != {"version", "files", "tensors"}:
        raise WeightsError(f"{what} must have version, files and tensors, and nothing else")
    files, tensors = value["files"], value["tensors"]
    if not isinstance(files, dict) or not isinstance(tensors, dict):
        raise WeightsError(f"{what}: files and tensors must be objects")
    return Manifest(
        {name: _file(name, entry, what) for name, entry in files.items()},
        {name: _tensor(name, entry, what) for name, entry in tensors.items()},
    )


def tensor_entries(checkpoint: Checkpoint, facts: Mapping[str, Facts]) -> dict[str, TensorEntry]:
    """Return the entries of a checkpoint's tensors, as far as `facts`, by shard, tell their digests."""
    return {
        name: TensorEntry(shard, tensor.dtype, tensor.shape, digests[name])
        for shard, name, tensor in checkpoint.tensors()
        if shard in facts and (digests := facts[shard].tensors) is not None
    }


def compare_tensors(
    expected: Mapping[str, TensorEntry], checkpoint: Checkpoint, facts: Mapping[str, Facts]
) -> list[str]:
    """Return one line for every tensor that is not as a manifest says, in whatever shard it lies.

    Tensors that are here and could not be read are left to the line that says why.
    """
    here = tensor_entries(checkpoint, facts)
    there = {name for _, name, _ in checkpoint.tensors()} | checkpoint.unread
    problems = [f"{name} is missing: the manifest lists it" for name in expected.keys() - there]
    problems += [f"{name} in {here[name].shard} is not in the manifest" for name in here.keys() - expected.keys()]
    for name in expected.keys() & here.keys():
        wanted, got = expected[name], here[name]
        if (wanted.dtype, wanted.shape) != (got.dtype, got.shape):
            problems.append(
                f"{name} in {got.shard} must be {wanted.dtype} of shape {list(wanted.shape)} by the manifest, "
                f"got {got.dtype} of shape {list(got.shape)}"
            )
        elif wanted.sha256 != got.sha256:
            problems.append(
                f"{name} in {got.shard} must have SHA-256 {wanted.sha256}, as the manifest says, got {got.sha256}"
            )
    return sorted(problems)


def _part(title: str, entries: Mapping[str, FileEntry | TensorEntry]) -> str:
    lines = [f"\n {_json(name)}: {_json(asdict(entry))}" for name, entry in sorted(entries.items())]
    return f'"{title}": {{{",".join(lines)}\n}}'


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _file(name: str, entry: Any, what: str) -> FileEntry:
    check_name(name, what)
    if leads_out(name):
        raise WeightsError(f"{what}: a path must stay inside the folder, got {name:.60}")
    if not isinstance(entry, dict) or entry.keys() != {"size", "sha256"}:
        raise WeightsError(f"{what}: {name} must have size and sha256, and nothing else")
    if type(entry["size"]) is not int or entry["size"] < 0:
        raise WeightsError(f"{what}: the size of {name} must be a number of bytes, got {entry['size']!r:.60}")
    return FileEntry(entry["size"], _digest(name, entry, what))


def _tensor(name: str, entry: Any, what: str) -> TensorEntry:
    check_name(name, what)
    if not isinstance(entry, dict) or entry.keys() != {"shard", "dtype", "shape", "sha256"}:
        raise WeightsError(f"{what}: {name} must have shard, dtype, shape and sha256, and nothing else")
    shard, dtype, shape = entry["shard"], entry["dtype"], entry["shape"]
    if not isinstance(shard, str) or not isinstance(dtype, str):
        raise WeightsError(f"{what}: shard and dtype of {name} must be strings")
    check_name(shard, what)
    check_name(dtype, what)
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise WeightsError(f"{what}: the shape of {name} must be a list of sizes, got {shape!r:.60}")
    return TensorEntry(shard, dtype, tuple(shape), _digest(name, entry, what))


def _digest(name: str, entry: dict[str, Any], what: str) -> str:
    digest = entry["sha256"]
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise WeightsError(f"{what}: sha256 of {name} must be 64 hex digits, got {digest!r:.70}")
    return digest
