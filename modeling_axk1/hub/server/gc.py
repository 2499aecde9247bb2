"""Garbage collection: large files and git objects that no reference of any repository reaches any more.

It runs beside a serving hub and its uploads. Three rules make that safe:

1. In each repository git itself drops what no reference has reached for the time of grace, while nobody else writes
   there. Every pointer that is left in the repository, reachable or not, then keeps its large file: what git still
   has, a new branch may name again.
2. A large file is removed only when it has been old for the time of grace. Uploading makes it young, and so does
   every answer by which the hub says that it is here already (`BlobStore.refresh`).
3. Looking at the age and removing the file is one step for those who refresh or upload it (`locked_folder`).

What a tag or branch leads to is reachable, so releases always stay.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from modeling_axk1.errors import HubError
from modeling_axk1.files import exclusive
from modeling_axk1.hub.server.catalog import each_repository
from modeling_axk1.hub.server.git_command import git, pointers
from modeling_axk1.hub.server.large_files import LargeFiles
from modeling_axk1.hub.server.lock import writing
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.store import BlobStore, locked_folder
from modeling_axk1.hub.server.xet.store import sweep as sweep_xorbs
from modeling_axk1.progress import progress_bar

DAY = 24 * 3600.0


@dataclass
class Freed:
    """How many files were removed, or would be, and their bytes."""

    files: int = 0
    bytes: int = 0


@dataclass
class Collected:
    """What a collection did, or with `dry_run` would do at least."""

    dry_run: bool
    repositories: int = 0
    reached: int = 0
    blobs: Freed = field(default_factory=Freed)
    git: Freed = field(default_factory=Freed)
    xorbs: Freed = field(default_factory=Freed)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for --json."""
        return asdict(self)


class Reached:
    """SHA-256 digests in a temporary database on the disk: millions of them take no memory."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE reached (oid BLOB PRIMARY KEY) WITHOUT ROWID")

    def add(self, oid: str) -> None:
        """Remember a digest."""
        self._database.execute("INSERT OR IGNORE INTO reached VALUES (?)", (bytes.fromhex(oid),))

    def __contains__(self, oid: str) -> bool:
        found = self._database.execute("SELECT 1 FROM reached WHERE oid = ?", (bytes.fromhex(oid),))
        return found.fetchone() is not None

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM reached").fetchone()[0])

    def close(self) -> None:
        """Forget them all."""
        self._database.close()


def collect(root: Path, *, grace: float = DAY, dry_run: bool = False) -> Collected:
    """Free what nothing reaches in the hub at `root`, which may be serving meanwhile.

    Args:
        root: folder of the hub.
        grace: seconds that something unreachable stays after it was last uploaded, used or reachable.
        dry_run: only say what would be freed; large files that git's own garbage still points to are not counted.

    Raises HubError when there is no hub at `root`, when another upkeep command works on it, or when a repository is
    damaged: then nothing more is removed.

    """
    report = Collected(dry_run)
    cutoff = time.time() - grace
    with upkeep(root):
        reached = Reached()
        try:
            with progress_bar("repositories", total=None) as advance:
                for _, name, path in each_repository(root):
                    advance(1, note=name)
                    try:
                        with writing(path):
                            _collect_repository(path, grace, reached, report)
                    except Refusal as refusal:
                        if refusal.status != 404:  # deleted meanwhile, or moved: it comes again
                            raise HubError(f"{name}: {refusal.message}") from None
            report.reached = len(reached)
            _sweep_blobs(root / "blobs", reached, cutoff, report)
            report.xorbs = Freed(*sweep_xorbs(root, cutoff, dry_run=dry_run))
            if not dry_run:
                BlobStore(root / "blobs").sweep()
        finally:
            reached.close()
    return report


@contextmanager
def upkeep(root: Path) -> Iterator[None]:
    """Be the one upkeep command on the hub at `root`: nothing disappears under a backup or a check."""
    if not (root / "repositories").is_dir():
        raise HubError(f"{root} holds no hub; `axk1 hub serve` makes one")
    try:
        with exclusive(root / "upkeep.lock"):
            yield
    except BlockingIOError:
        raise HubError(f"another gc, backup or fsck is at work on {root}; try again when it has ended") from None


def _collect_repository(path: Path, grace: float, reached: Reached, report: Collected) -> None:
    report.repositories += 1
    if report.dry_run:
        for pointer in pointers(path, reachable_only=True):
            reached.add(pointer.oid)
        return
    before = _objects(path)
    expiry = f"--cruft-expiration={int(grace)}.seconds.ago"
    done = git(path, "repack", "--cruft", expiry, "-d", "-l", "-q")
    if done.returncode:
        raise HubError(f"git cannot pack {path}: {done.stderr.strip()[-300:]}; see `axk1 hub fsck`")
    # Of this the identity of a repository is made under which the hub's processes remember objects (`objects`): what
    # they remember begins anew, and a lost commit is not named again because somebody still knows it.
    os.utime(path / "HEAD")
    after = _objects(path)
    report.git.files += max(0, before.files - after.files)
    report.git.bytes += max(0, before.bytes - after.bytes)
    own = Reached()
    try:
        for pointer in pointers(path):
            own.add(pointer.oid)
            reached.add(pointer.oid)
        LargeFiles(path).forget_committed(lambda oid: oid in own)
    finally:
        own.close()


def _objects(repository: Path) -> Freed:
    sizes = [path.stat().st_size for path in (repository / "objects").rglob("*") if path.is_file()]
    return Freed(len(sizes), sum(sizes))


def _sweep_blobs(blobs: Path, reached: Reached, cutoff: float, report: Collected) -> None:
    for folder in blobs.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]"):
        garbage = [path for path in folder.iterdir() if path.name not in reached]
        if not garbage:
            continue
        with locked_folder(folder, fcntl.LOCK_EX):
            for path in garbage:
                status = path.stat()
                if status.st_mtime >= cutoff:
                    continue
                report.blobs.files += 1
                report.blobs.bytes += status.st_size
                if not report.dry_run:
                    path.unlink()
