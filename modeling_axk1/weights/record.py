"""Write down what a checkpoint is: MANIFEST.json and SHA256SUMS, from one reading of every byte."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from modeling_axk1.checksums import SUMS_FILE, write_digests
from modeling_axk1.errors import WeightsError
from modeling_axk1.files import atomic_write_text
from modeling_axk1.weights.checkpoint import open_checkpoint
from modeling_axk1.weights.facts import Wanted
from modeling_axk1.weights.listing import MANIFEST_FILE, SIGNATURE_FILE, list_files
from modeling_axk1.weights.manifest import FileEntry, Manifest, tensor_entries
from modeling_axk1.weights.store import Folder
from modeling_axk1.weights.survey import Reading, survey


@dataclass
class RecordReport:
    """What was written down, or would be (`dry_run`); `sha256` is the manifest's own, None before it is made."""

    path: str
    files: int
    tensors: int
    bytes: int
    dry_run: bool
    sha256: str | None = None
    notes: list[str] = field(default_factory=list)


def record(
    path: Path,
    *,
    dry_run: bool = False,
    reading: Reading = Reading(),  # noqa: B008  # it is frozen
) -> RecordReport:
    """Write MANIFEST.json, then SHA256SUMS, over every file in the folder `path` and every tensor of its checkpoint.

    Equal folders give equal bytes. SHA256SUMS lists the manifest too; neither lists model.sig, which is made last.

    Args:
        path: folder with a sound checkpoint.
        dry_run: say how much would be read, and write nothing.
        reading: on how many threads, in how much memory, and where to remember what was read.

    Raises WeightsError for an unsound checkpoint or a file that cannot be read, OSError when writing fails; the folder
    is then as before.

    Example: `record(Path("A.X-K1")).sha256`

    """
    folder = Folder(path)
    checkpoint = open_checkpoint(folder)
    listing = list_files(folder)
    refuse(listing.problems)
    names = [name for name in listing.files if name not in (MANIFEST_FILE, SUMS_FILE, SIGNATURE_FILE)]
    report = RecordReport(
        path=str(path),
        files=len(names),
        tensors=sum(len(header.tensors) for header in checkpoint.shards.values()),
        bytes=sum(folder.size(name) for name in names),
        dry_run=dry_run,
    )
    if dry_run:
        return report
    check_writable(path)
    files = {name: checkpoint.shards.get(name) for name in names}
    found = survey(folder, files, Wanted(sha256=True, tensors=True), reading, "digesting")
    try:
        refuse(list(found.problems.values()))
        digests = found.digests()
        manifest = Manifest(
            {name: FileEntry(found.sizes[name], digests[name]) for name in names},
            tensor_entries(checkpoint, found.facts),
        )
        text = manifest.text()
        report.sha256 = hashlib.sha256(text.encode()).hexdigest()
        old = folder.path(MANIFEST_FILE).read_bytes() if folder.exists(MANIFEST_FILE) else None
        atomic_write_text(path / MANIFEST_FILE, text)
        write_digests(path, digests | {MANIFEST_FILE: report.sha256})
    except BaseException:
        found.close(done=False)
        raise
    found.close(done=True)
    report.notes += found.notes()
    if folder.exists(SIGNATURE_FILE) and old != text.encode():
        report.notes.append(f"{SIGNATURE_FILE} was made before this manifest and no longer fits: sign again")
    return report


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written into before hours of reading, not after; raises WeightsError."""
    if not os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise WeightsError(f"{folder} cannot be written into: read-only, or not yours")


def refuse(problems: list[str]) -> None:
    """Raise WeightsError with the first of `problems`, if there is one."""
    if problems:
        raise WeightsError(problems[0] + (f" (and {len(problems) - 1} more)" if problems[1:] else ""))
