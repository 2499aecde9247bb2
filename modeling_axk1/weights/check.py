"""Check a whole folder, every file of it, against everything that says what it must be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.checkpoint import Checkpoint, reason, scan_checkpoint
from modeling_axk1.weights.claims import Claim, disagreements, read_own_manifest, read_sums
from modeling_axk1.weights.facts import Wanted
from modeling_axk1.weights.listing import MANIFEST_FILE, SIGNATURE_FILE, lies_in, list_files
from modeling_axk1.weights.manifest import compare_tensors
from modeling_axk1.weights.store import Folder
from modeling_axk1.weights.survey import Reading, is_there, survey

T = TypeVar("T")


@dataclass
class CheckReport:
    """What was compared with what: `problems` must be empty, `unchecked` says what nobody should take for checked."""

    path: str
    files: int = 0
    bytes: int = 0
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with what was checked."""
        return not self.problems


def check(
    path: Path,
    *,
    key: Path | None = None,
    tensors: bool = False,
    reading: Reading = Reading(),  # noqa: B008  # it is frozen
) -> CheckReport:
    """Compare every file in the folder `path` with SHA256SUMS, MANIFEST.json and model.sig, those that are there.

    A file that one of them does not list is a problem, as is one that is missing.

    Args:
        path: the folder of a release.
        key: the signer's public key. With it there must be a model.sig, made with its private half.
        tensors: compute every tensor's digest too and compare it with MANIFEST.json, if that is there.
        reading: on how many threads, in how much memory, and where to remember what was read.

    Raises WeightsError when there is no folder, or nothing in it says what its files must be.

    Example: `check(Path("A.X-K1"), key=Path("release.pub.pem")).problems`

    """
    folder = Folder(path)
    listing = list_files(folder)
    report = CheckReport(str(path), problems=list(listing.problems))
    sums = _read(report, folder, SUMS_FILE, lambda: read_sums(folder))
    own = _read(report, folder, MANIFEST_FILE, lambda: read_own_manifest(folder))
    signature = _read_signature(report, folder, key)
    claims = [claim for claim in (sums, own and own[0], signature) if claim]
    if not claims and not report.problems:
        raise WeightsError(
            f"{path} cannot be checked: nothing says what its files must be ({report.unchecked[0]}); "
            "`axk1 weights manifest` records what they are now"
        )

    manifest = own[1] if own and tensors else None
    checkpoint = scan_checkpoint(folder) if manifest else Checkpoint(folder)
    report.problems += checkpoint.complaints
    # Whoever made a claim may have listed what we leave out, such as git's files.
    listed = {name for claim in claims for name in claim.digests if name not in listing.files}
    names = [*listing.files, *(name for name in sorted(listed) if is_there(folder, name))]
    files = {name: checkpoint.shards.get(name) for name in names}
    found = survey(folder, files, Wanted(sha256=True, tensors=manifest is not None), reading, "checking")
    report.files, report.bytes = len(names), sum(found.sizes.values())
    report.problems += disagreements(claims, found.digests(), found.problems)
    if manifest:
        report.problems += compare_tensors(manifest.tensors, checkpoint, found.facts)
        report.checked.append(f"{MANIFEST_FILE} ({len(manifest.tensors):,} tensors)")
    elif own:
        report.unchecked.append("the digests of single tensors: those of whole files were compared")
    report.checked += [f"{claim.source} ({len(claim.digests):,} files)" for claim in claims]
    left_out = [name for name in names if signature and lies_in(name, signature.silent) and name != SIGNATURE_FILE]
    report.unchecked += [f"{name}: the signature leaves it out" for name in left_out]
    report.unchecked += [f"{name}: belongs to git or a download tool" for name in listing.ignored if name not in listed]
    report.problems = list(dict.fromkeys(report.problems))  # a link out of the folder is listed, and then not read
    report.notes += found.notes()
    found.close(done=report.ok)
    return report


def _read(report: CheckReport, folder: Folder, name: str, read: Callable[[], T], *, required: bool = False) -> T | None:
    """Return what `read` returns; None, and a line in the report, for a file that is missing or damaged."""
    try:
        if not required and not folder.exists(name):
            report.unchecked.append(f"no {name} in the folder")
            return None
        return read()
    except (WeightsError, OSError) as error:
        report.problems.append(reason(error, name))
        return None


def _read_signature(report: CheckReport, folder: Folder, key: Path | None) -> Claim | None:
    if key:
        from modeling_axk1.weights.sign import read_signature

        return _read(report, folder, SIGNATURE_FILE, lambda: read_signature(folder, key), required=True)
    if is_there(folder, SIGNATURE_FILE):
        report.unchecked.append(f"{SIGNATURE_FILE}: only the signer's public key can check it (--key)")
    else:
        report.unchecked.append(f"no {SIGNATURE_FILE} in the folder: nothing proves who made these files")
    return None
