"""Backups of a hub: taken while it serves, proven when they are read back.

    TO/files/ab/SHA256          the bytes of every file, once each
    TO/snapshots/TIME.json      one backup: {path below ROOT: digest, size, mode, time}; written last

A backup into a folder that has earlier ones copies only what is new, and leaves those as they are when it is killed.
A tar file holds the same with one snapshot, as its last member; one without a snapshot is half written, and refused.

Each repository is copied while nobody writes there, so its references, history and markers are of one moment; the
large files follow, which only grow meanwhile: garbage collection waits for the backup. Two repositories may be of two
moments.
"""

import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from modeling_axk1.errors import HubError
from modeling_axk1.files import atomic_folder, atomic_write, leads_out, part_name
from modeling_axk1.hub.server.catalog import each_repository
from modeling_axk1.hub.server.fsck import check
from modeling_axk1.hub.server.gc import upkeep
from modeling_axk1.hub.server.lock import writing
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.progress import progress_bar

FORMAT = "axk1-hub-backup-1"

_CHUNK = 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOCK = re.compile(r"repositories/[^/]+/[^/]+/[^/]+\.git/lock")
# Below ROOT: locks, and what is half done or belongs to the running processes.
_PASSING = {
    "lock",
    "names.lock",
    "upkeep.lock",
    "cache",
    "blobs/incoming",
    "blobs/uploads",
    "metrics",
    "git",
    "quota/arriving",
}


@dataclass(frozen=True)
class _Entry:
    sha256: str
    size: int
    mode: int
    time: int  # nanoseconds since 1970, of the last change


@dataclass(frozen=True)
class BackupReport:
    """What a backup or a restore holds; `copied` is what it had to write, in bytes."""

    snapshot: str
    repositories: int
    files: int
    bytes: int
    copied: int

    def as_dict(self) -> dict[str, Any]:
        """Return the report for --json."""
        return asdict(self)


def backup(root: Path, to: Path) -> BackupReport:
    """Back up the hub at `root` to a folder (made, or one with earlier backups), or to a new file NAME.tar.

    Raises HubError when there is no hub, another upkeep command works on it, a large file is damaged, or `to` is
    something else.
    """
    if to.suffix == ".tar":
        if to.exists():
            raise HubError(f"{to} exists; a backup never overwrites one; name another file")
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".backup.") as folder:
            report = _backup(root, Path(folder))
            _pack(Path(folder), to)
        return report
    if to.exists() and (not to.is_dir() or (any(to.iterdir()) and not (to / "files").is_dir())):
        raise HubError(f"{to} is neither empty nor a folder of backups; name another place")
    return _backup(root, to)


def restore(origin: Path, root: Path) -> BackupReport:
    """Make the hub at `root`, which must not exist or be empty, from the newest backup in a folder or a tar file.

    Every digest is checked on the way, and the whole hub with `fsck`; only then it takes its name. Raises HubError for
    a backup that is damaged or not whole, and then there is nothing at `root`.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise HubError(f"{root} is not empty; a hub is restored into a new folder")
    with _unpacked(origin, root) as store:
        found = sorted((store / "snapshots").glob("*.json"))
        if not found:
            raise HubError(f"{origin} holds no finished backup; `axk1 hub backup` makes one")
        entries = _read_snapshot(found[-1])
        with atomic_folder(root) as folder:
            folder.chmod(0o700)
            with progress_bar("restoring", sum(entry.size for entry in entries.values()), in_bytes=True) as advance:
                for name, entry in entries.items():
                    _restore_file(store, name, entry, folder / name)
                    advance(entry.size, note=name[-40:])
            (folder / "repositories").mkdir(exist_ok=True)
            for repository in (folder / "repositories").glob("*/*/*.git"):
                # Git knows a repository by these, which hold no files when everything is packed.
                for needed in ("refs/heads", "refs/tags", "objects/pack", "objects/info"):
                    (repository / needed).mkdir(parents=True, exist_ok=True)
            damaged = check(folder).damaged
            if damaged:
                raise HubError(f"{origin} is damaged: {damaged[0].what} {damaged[0].why}")
    return _report(found[-1].stem, entries, copied=sum(entry.size for entry in entries.values()))


def _backup(root: Path, to: Path) -> BackupReport:
    with upkeep(root):
        for folder in (to, to / "files", to / "snapshots"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        snapshots = sorted((to / "snapshots").glob("*.json"))
        writer = _Writer(root, to / "files", _read_snapshot(snapshots[-1]) if snapshots else {})
        with progress_bar("repositories", total=None) as advance:
            for _, name, path in each_repository(root):
                advance(1, note=name)
                try:
                    with writing(path):
                        writer.forget(path)
                        writer.add_below(path)
                except Refusal as refusal:
                    if refusal.status != 404:  # deleted meanwhile, or moved: it comes again
                        raise HubError(f"{name}: {refusal.message}") from None
        others = [path for path in sorted(root.iterdir()) if path.name != "repositories"]
        with progress_bar("files", total=None, in_bytes=True) as advance:
            for path in others:
                writer.add_below(path, advance=advance)
        name = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
        with atomic_write(to / "snapshots" / f"{name}.json", mode=0o600) as file:
            text = {"format": FORMAT, "files": {path: asdict(entry) for path, entry in writer.entries.items()}}
            file.write(json.dumps(text, indent=0, ensure_ascii=True).encode())
    return _report(name, writer.entries, writer.copied)


class _Writer:
    """Copies files of a hub into a store of files by their SHA-256, each once."""

    def __init__(self, root: Path, store: Path, before: dict[str, _Entry]) -> None:
        self.entries: dict[str, _Entry] = {}
        self.copied = 0
        self._root = root
        self._store = store
        self._before = before

    def forget(self, folder: Path) -> None:
        """Leave out what was added below `folder`: it is added again."""
        prefix = f"{folder.relative_to(self._root).as_posix()}/"
        for name in [name for name in self.entries if name.startswith(prefix)]:
            del self.entries[name]

    def add_below(self, path: Path, advance: Any = None) -> None:
        """Add the file `path`, or every file below it, but for what passes."""
        name = path.relative_to(self._root).as_posix()
        half_done = path.name.startswith(".") and path.name.endswith(".part")
        if path.is_symlink() or half_done or name in _PASSING or _LOCK.fullmatch(name):
            return
        if path.is_dir():
            for child in sorted(path.iterdir()):
                self.add_below(child, advance)
        elif path.is_file():
            entry = self._add(path)
            if advance is not None:
                advance(entry.size, note=path.name[:12])

    def _add(self, path: Path) -> _Entry:
        name = path.relative_to(self._root).as_posix()
        status = path.stat()
        before = self._before.get(name)
        named = path.name if _SHA256.fullmatch(path.name) and path.is_relative_to(self._root / "blobs") else None
        known = named or (before.sha256 if before and _is_as_before(status, before) else None)
        if known is None or not self._has(known, status.st_size):
            known = self._copy(path, named)
        entry = _Entry(known, status.st_size, status.st_mode & 0o777, status.st_mtime_ns)
        self.entries[name] = entry
        return entry

    def _has(self, digest: str, size: int) -> bool:
        path = _stored(self._store, digest)
        return path.exists() and path.stat().st_size == size

    def _copy(self, path: Path, expected: str | None) -> str:
        part = self._store / ".part"
        digest = hashlib.sha256()
        with path.open("rb") as source, open(part, "wb", opener=_private) as target:
            _copy_bytes(source, target, digest)
            target.flush()
            os.fsync(target.fileno())
        found = digest.hexdigest()
        if expected not in (None, found):
            part.unlink()
            raise HubError(f"{path} is damaged: its SHA-256 is {found}; `axk1 hub fsck` finds all that are")
        place = _stored(self._store, found)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        self.copied += part.stat().st_size
        part.replace(place)
        return found


def _is_as_before(status: os.stat_result, before: _Entry) -> bool:
    return (status.st_size, status.st_mtime_ns) == (before.size, before.time)


def _restore_file(store: Path, name: str, entry: _Entry, target: Path) -> None:
    digest = hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    if name.startswith("accounts/"):
        target.parent.chmod(0o700)
    try:
        with _stored(store / "files", entry.sha256).open("rb") as source, open(target, "xb", opener=_private) as copy:
            _copy_bytes(source, copy, digest)
    except FileNotFoundError:
        raise HubError(f"the backup is damaged: {name} ({entry.sha256}) is missing") from None
    if digest.hexdigest() != entry.sha256:
        raise HubError(f"the backup is damaged: {name} has the SHA-256 {digest.hexdigest()}, not {entry.sha256}")
    target.chmod(entry.mode)
    os.utime(target, ns=(entry.time, entry.time))


def _read_snapshot(path: Path) -> dict[str, _Entry]:
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise HubError(f"{path} must be a backup of format {FORMAT!r}, got {content['format']!r}")
        entries = {name: _Entry(**entry) for name, entry in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HubError(f"{path} is damaged: {error}") from None
    for name, entry in entries.items():
        if leads_out(name) or not _SHA256.fullmatch(entry.sha256):
            raise HubError(f"{path} is damaged: {name[:80]!r} must be a path inside the hub with a SHA-256")
    return entries


def _pack(folder: Path, to: Path) -> None:
    """Write the folder of a backup as a tar file; the snapshot is its last member."""
    with atomic_write(to, mode=0o600) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted((folder / "files").rglob("*")) + sorted((folder / "snapshots").iterdir()):
            if path.is_file():
                tar.add(path, path.relative_to(folder).as_posix(), recursive=False)


@contextmanager
def _unpacked(origin: Path, root: Path) -> Iterator[Path]:
    """Yield the folder of a backup: `origin` itself, or what the tar file `origin` holds."""
    if origin.is_dir():
        yield origin
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    folder = part_name(root.with_name(f"{root.name}.backup"))
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with tarfile.open(origin) as tar:
            tar.extractall(folder, filter="data")
        yield folder
    except (tarfile.TarError, EOFError) as error:
        raise HubError(f"{origin} is no whole backup: {error}") from None
    except FileNotFoundError:
        raise HubError(f"there is no backup at {origin}; `axk1 hub backup` makes one") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _report(snapshot: str, entries: dict[str, _Entry], copied: int) -> BackupReport:
    heads = sum(name.startswith("repositories/") and name.endswith(".git/HEAD") for name in entries)
    return BackupReport(snapshot, heads, len(entries), sum(entry.size for entry in entries.values()), copied)


def _stored(store: Path, digest: str) -> Path:
    return store / digest[:2] / digest


def _copy_bytes(source: BinaryIO, target: BinaryIO, digest: "hashlib._Hash") -> None:
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        target.write(chunk)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
