"""Everything that can be wrong with a checkpoint, as a list: nothing stops at the first problem, nothing is repaired.

Loaders accept silently: missing norms, NaN, flipped bytes, tensors of another dtype, shards the index does not
know. Each of these is a line here, naming the tensor and the shard.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.checkpoint import Checkpoint, reason, scan_checkpoint
from modeling_axk1.weights.coverage import coverage
from modeling_axk1.weights.facts import Wanted
from modeling_axk1.weights.manifest import TensorEntry, compare_tensors, read_manifest
from modeling_axk1.weights.names import is_axk1
from modeling_axk1.weights.store import Folder, read_small
from modeling_axk1.weights.survey import Reading, Survey, is_there, survey

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


def verify(
    path: Path,
    *,
    values: bool = True,
    checksums: bool = True,
    manifest: Path | None = None,
    reading: Reading = Reading(),  # noqa: B008  # it is frozen
) -> VerifyReport:
    """Check the checkpoint in the folder `path`: headers, index, config, values, checksums.

    All that needs a file's bytes is found out while they are read once, in chunks.

    Args:
        path: folder with the weights and their config.json.
        values: look for NaN and infinity in every float.
        checksums: compare files with SHA256SUMS where the folder has one.
        manifest: a MANIFEST.json; its tensors must be here, bit by bit, in whatever shards.
        reading: on how many threads, in how much memory, and where to remember what was read.

    Raises WeightsError when there is no folder or `manifest` is none; everything else is a line of the report.

    Example: `verify(Path("A.X-K1-resharded"), manifest=Path("A.X-K1/MANIFEST.json")).problems`

    """
    folder = Folder(path)
    wanted_tensors = read_manifest(manifest).tensors if manifest else None
    checkpoint = scan_checkpoint(folder)
    tensors = [tensor for _, _, tensor in checkpoint.tensors()]
    report = VerifyReport(
        path=str(path),
        shards=len(checkpoint.shards),
        tensors=len(tensors),
        parameters=sum(tensor.elements for tensor in tensors),
        bytes=sum(tensor.nbytes for tensor in tensors),
        problems=checkpoint.complaints,
    )
    _check_config(checkpoint, report)
    sums = _sums(checkpoint, report) if checksums else None
    wanted = Wanted(sha256=sums is not None, tensors=wanted_tensors is not None, values=values)
    if wanted != Wanted():
        _check_bytes(folder, checkpoint, report, wanted, sums or {}, wanted_tensors, reading)
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
    folder: Folder,
    checkpoint: Checkpoint,
    report: VerifyReport,
    wanted: Wanted,
    sums: dict[str, str],
    wanted_tensors: Mapping[str, TensorEntry] | None,
    reading: Reading,
) -> None:
    others = sorted(sums.keys() - checkpoint.shards.keys())
    missing = [name for name in others if not is_there(folder, name)]
    files = checkpoint.shards | {name: None for name in others if name not in missing}
    found = survey(folder, files, wanted, reading, "verifying")
    for name in files:
        report.problems += _problems_of(name, found, sums)
    report.problems += [f"{name} is listed in {SUMS_FILE} and is missing" for name in missing]
    if wanted_tensors is not None:
        report.problems += compare_tensors(wanted_tensors, checkpoint, found.facts)
    report.notes += found.notes()
    found.close(done=report.ok)


def _problems_of(name: str, found: Survey, sums: dict[str, str]) -> list[str]:
    if name in found.problems:
        return [found.problems[name]]
    facts = found.facts[name]
    problems = [
        f"{tensor} in {name}: {count:,} values are NaN or infinite, the first at {first:,}"
        for tensor, (count, first) in (facts.nonfinite or {}).items()
    ]
    if name in sums and facts.sha256 != sums[name]:
        problems.append(f"{name} must have SHA-256 {sums[name]}, as {SUMS_FILE} says, got {facts.sha256}")
    return problems
