"""Integrity: every large file re-hashed, every pointer followed, every repository checked by git."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from modeling_axk1.errors import HubError
from modeling_axk1.files import sha256_file
from modeling_axk1.hub.server.catalog import each_repository
from modeling_axk1.hub.server.gc import upkeep
from modeling_axk1.hub.server.git_command import git, pointers
from modeling_axk1.hub.server.store import BlobStore
from modeling_axk1.progress import Advance, progress_bar


@dataclass(frozen=True)
class Damage:
    """What is damaged (a blob's path or a repository's name), and how."""

    what: str
    why: str


@dataclass
class Checked:
    """What was looked at, and everything that is damaged."""

    repositories: int = 0
    blobs: int = 0
    bytes: int = 0
    damaged: list[Damage] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for --json."""
        return asdict(self)


def check(root: Path) -> Checked:
    """Check everything in the hub at `root`, which may be serving meanwhile; damage is reported, not raised.

    Raises HubError when there is no hub, or another upkeep command works on it.
    """
    report = Checked()
    with upkeep(root):
        blobs = sorted((root / "blobs").glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"))
        with progress_bar("hashing", total=sum(path.stat().st_size for path in blobs), in_bytes=True) as advance:
            for path in blobs:
                _check_blob(root, path, report, advance)
        store = BlobStore(root / "blobs")
        with progress_bar("repositories", total=None) as advance:
            for kind, name, path in each_repository(root):
                advance(1, note=name)
                _check_repository(f"{kind}/{name}", path, store, report)
    return report


def _check_blob(root: Path, path: Path, report: Checked, advance: Advance) -> None:
    where = path.relative_to(root).as_posix()
    advance(0, note=path.name[:12])
    try:
        found, size = sha256_file(path), path.stat().st_size
    except OSError as error:
        report.damaged.append(Damage(where, f"cannot be read: {error.strerror}"))
        return
    report.blobs += 1
    report.bytes += size
    if found != path.name:
        report.damaged.append(Damage(where, f"has the SHA-256 {found} ({size} bytes)"))
    advance(size)


def _check_repository(name: str, path: Path, blobs: BlobStore, report: Checked) -> None:
    report.repositories += 1
    done = git(path, "fsck", "--full", "--strict", "--no-dangling", "--no-progress")
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines()
        report.damaged.append(Damage(name, f"git fsck: {'; '.join(said[:3])[:300]}"))
    missing: dict[str, str] = {}
    try:
        for pointer in pointers(path, reachable_only=True):
            size = blobs.size(pointer.oid)
            if size is None:
                missing[pointer.oid] = f"points to the large file {pointer.oid}, which is not here"
            elif size != pointer.size:
                missing[pointer.oid] = f"says that {pointer.oid} has {pointer.size} bytes; it has {size}"
    except HubError as error:
        report.damaged.append(Damage(name, str(error)))
    report.damaged += [Damage(name, why) for why in missing.values()]
