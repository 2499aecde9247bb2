"""Everything that can be wrong with a checkpoint, as a list: nothing stops at the first problem, nothing is repaired.

Loaders accept silently: missing norms, NaN, flipped bytes, tensors of another dtype, shards the index does not
know. Each of these is a line here, naming the tensor and the shard.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import WeightsError
from modeling_axk1.files import sha256_file
from modeling_axk1.progress import Advance, progress_bar
from modeling_axk1.weights.checkpoint import Checkpoint, reason, scan_checkpoint
from modeling_axk1.weights.coverage import coverage
from modeling_axk1.weights.header import Header
from modeling_axk1.weights.names import is_axk1
from modeling_axk1.weights.store import Folder, read_small
from modeling_axk1.weights.values import NonFinite

if TYPE_CHECKING:
    from hashlib import _Hash

CHUNK_BYTES = 1 << 20  # fits the cache, and a multiple of every element's width

_CONFIG_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64"}
# Kept in float32 beside bfloat16 weights: rounding it would change which experts are chosen.
_FLOAT32_TENSOR = ".e_score_correction_bias"


@dataclass
class VerifyReport:
    """What was found: `problems` must be empty; `notes` say what could not be checked and why."""

    path: str
    shards: int
    tensors: int
    parameters: int
    bytes: int
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(path: Path, *, values: bool = True, checksums: bool = True) -> VerifyReport:
    """Check the checkpoint in the folder `path`: headers, index, config, values, checksums.

    `values` looks for NaN and infinity in every float; `checksums` compares files with SHA256SUMS where the
    folder has one. Both read all bytes, together and once, in chunks. Raises WeightsError only when there is no folder.
    """
    folder = Folder(path)
    checkpoint = scan_checkpoint(folder)
    tensors = [tensor for _, _, tensor in checkpoint.tensors()]
    report = VerifyReport(
        path=str(path),
        shards=len(checkpoint.shards),
        tensors=len(tensors),
        parameters=sum(tensor.elements for tensor in tensors),
        bytes=sum(tensor.nbytes for tensor in tensors),
        problems=list(checkpoint.problems),
    )
    _check_config(checkpoint, report)
    sums = _sums(checkpoint, report) if checksums else None
    if values or sums is not None:
        _check_bytes(folder, checkpoint, report, sums, values=values)
    return report


def _check_config(checkpoint: Checkpoint, report: VerifyReport) -> None:
    config = checkpoint.config
    if config is None:
        if not checkpoint.store.exists("config.json"):
            report.problems.append("config.json is missing: which tensors there must be cannot be known")
        return
    if not is_axk1(config):
        report.notes.append(f"model_type is {config.get('model_type')!r:.60}, not axk1: names and shapes not checked")
        return
    if not checkpoint.shards:
        return
    try:
        differences = coverage(checkpoint)
    except WeightsError as error:
        report.problems.append(f"config.json: {error}")
        return
    report.parameters = differences.parameters
    report.problems += [f"{name} is missing" for name in differences.missing if name not in checkpoint.unread]
    places = {name: (shard, tensor) for shard, name, tensor in checkpoint.tensors()}
    for name in differences.extra:
        report.problems.append(f"{name} in {places[name][0]} is not a tensor of this config")
    for name, spec in differences.misshapen.items():
        shard, tensor = places[name]
        report.problems.append(
            f"{name} in {shard} must have shape {list(spec.shape)} by the config, got {list(tensor.shape)}"
        )
    _check_dtypes(checkpoint, report, differences.dtypes)


def _check_dtypes(checkpoint: Checkpoint, report: VerifyReport, quantised: dict[str, str]) -> None:
    """All tensors but the `quantised` ones have the config's dtype; without one there, the dtype of most."""
    config = checkpoint.config or {}
    stated = config.get("dtype", config.get("torch_dtype"))
    counts = Counter(tensor.dtype for _, name, tensor in checkpoint.tensors() if name not in quantised)
    wanted = _CONFIG_DTYPES.get(str(stated)) or max(counts, key=counts.__getitem__, default="")
    said_by = f"config.json says {stated}" if str(stated) in _CONFIG_DTYPES else f"most tensors are {wanted}"
    for shard, name, tensor in checkpoint.tensors():
        if name in quantised:
            if tensor.dtype != quantised[name]:
                report.problems.append(
                    f"{name} in {shard} must be {quantised[name]} by quantization_config, got {tensor.dtype}"
                )
        elif tensor.dtype != wanted and not (tensor.dtype == "F32" and name.endswith(_FLOAT32_TENSOR)):
            report.problems.append(f"{name} in {shard} is {tensor.dtype}, and {said_by}")


def _sums(checkpoint: Checkpoint, report: VerifyReport) -> dict[str, str] | None:
    if not checkpoint.store.exists(SUMS_FILE):
        report.notes.append(f"no {SUMS_FILE} in the folder: no checksums compared")
        return None
    try:
        sums = parse_sums(read_small(checkpoint.store, SUMS_FILE))
    except (WeightsError, OSError) as error:
        report.problems.append(reason(error, SUMS_FILE))
        return None
    except ValueError as error:
        report.problems.append(str(error))
        return None
    report.problems += [f"{shard} is not listed in {SUMS_FILE}" for shard in checkpoint.shards if shard not in sums]
    return sums


def _check_bytes(
    folder: Folder, checkpoint: Checkpoint, report: VerifyReport, sums: dict[str, str] | None, *, values: bool
) -> None:
    sums = sums or {}
    total = sum(header.file_size for header in checkpoint.shards.values())
    with progress_bar("verifying", total=total) as advance:
        for shard, header in checkpoint.shards.items():
            digest = hashlib.sha256() if shard in sums else None
            try:
                report.problems += _read_shard(folder.path(shard), header, digest, advance, values=values)
            except OSError as error:
                report.problems.append(reason(error, shard))
                continue
            if digest and digest.hexdigest() != sums[shard]:
                report.problems.append(_wrong_sum(shard, sums[shard], digest.hexdigest()))
    for name in sorted(sums.keys() - checkpoint.shards.keys()):
        report.problems += _check_other_file(folder, name, sums[name])


def _read_shard(path: Path, header: Header, digest: "_Hash | None", advance: Advance, *, values: bool) -> list[str]:
    """Read a shard once from end to end, feeding `digest` and looking at every float; returns its problems."""
    problems: list[str] = []
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with path.open("rb") as file:
        start = file.read(header.data_start)
        if digest:
            digest.update(start)
        for name, tensor in header.tensors.items():
            found = NonFinite(tensor.dtype)
            for done in range(0, tensor.nbytes, CHUNK_BYTES):
                chunk = buffer[: min(CHUNK_BYTES, tensor.nbytes - done)]
                if file.readinto(chunk) != len(chunk):
                    return [*problems, f"{path.name} became shorter while it was read"]
                if digest:
                    digest.update(chunk)
                if values:
                    found.feed(chunk)
                advance(len(chunk), note=path.name)
            if found.count:
                problems.append(
                    f"{name} in {path.name}: {found.count:,} values are NaN or infinite, the first at {found.first:,}"
                )
    return problems


def _check_other_file(folder: Folder, name: str, expected: str) -> list[str]:
    try:
        path = folder.path(name)
        if not path.is_file():
            return [f"{name} is listed in {SUMS_FILE} and is missing"]
        actual = sha256_file(path)
    except (WeightsError, OSError) as error:
        return [reason(error, name)]
    return [] if actual == expected else [_wrong_sum(name, expected, actual)]


def _wrong_sum(name: str, expected: str, actual: str) -> str:
    return f"{name} must have SHA-256 {expected}, as {SUMS_FILE} says, got {actual}"
