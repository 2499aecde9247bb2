import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from modeling_axk1.errors import HubError
from modeling_axk1.files import atomic_folder, fsync_folder
from modeling_axk1.hub.server.lock import writing
from modeling_axk1.hub.server.names import KINDS, check_repository, is_commit_id
from modeling_axk1.hub.server.refusal import Refusal, repository_not_found
from modeling_axk1.hub.server.repository import DEFAULT_BRANCH, Repository
from modeling_axk1.hub.server.store import OLDEST_UPLOAD_SECONDS, BlobStore
from modeling_axk1.hub.server.xet.store import sweep

# Beside a repository's git: there for the public ones.
_PUBLIC = "public"


class Catalog:
    """The folder of a hub: its repositories and its blobs. One process owns it at a time.

    Opening it clears away what a killed server left half done (git lock files, unfinished packs and uploads);
    nothing that a client was told is done is ever among that.
    """

    def __init__(self, root: Path) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._lock_file = (root / "lock").open("w")
        except OSError as error:
            raise HubError(
                f"{root} must be a folder that the hub can write: {error.strerror}; choose another --root"
            ) from None
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock_file.close()
            raise HubError(f"{root} is already served by another process; stop it or choose another --root") from None
        self.root = root
        self._repositories = root / "repositories"
        self._sweep()
        self.blobs = BlobStore(root / "blobs")
        self.blobs.sweep()
        sweep(root, time.time() - OLDEST_UPLOAD_SECONDS)

    def close(self) -> None:
        """Let another process own the hub."""
        self._lock_file.close()

    def get(self, kind: str, namespace: str, name: str) -> Repository:
        """Return a repository; refuses an unknown one (RepositoryNotFoundError in the client)."""
        path = self._path(kind, namespace, name)
        if path.is_symlink() or not path.is_dir():
            raise repository_not_found(f"{namespace}/{name}")
        return Repository(path)

    def head(self, kind: str, name: str) -> str:
        """Return the commit of main of the repository "namespace/name", by the shortest way: lists ask it of all."""
        try:
            with FileIO(f"{self._repositories}/{kind}/{name}.git/refs/heads/{DEFAULT_BRANCH}") as file:
                commit = file.read(64).decode("ascii", "replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            commit = ""  # git packed its references
        return commit if is_commit_id(commit) else self.get(kind, *name.split("/", 1)).resolve(DEFAULT_BRANCH)

    def is_public(self, kind: str, namespace: str, name: str) -> bool:
        """Tell whether a repository is there and for everybody to read.

        Being public is a file of its own: looking for it takes the same steps for a private repository as for none.
        """
        return (self._path(kind, namespace, name) / _PUBLIC).exists()

    def set_public(self, kind: str, namespace: str, name: str, *, public: bool) -> None:
        """Let everybody read a repository, or only who has a right to it."""
        path = self._path(kind, namespace, name)
        if public:
            (path / _PUBLIC).touch()
        else:
            (path / _PUBLIC).unlink(missing_ok=True)
        fsync_folder(path)

    def create(self, kind: str, namespace: str, name: str, *, public: bool = True) -> None:
        """Make an empty repository; refuses a name in use (409)."""
        path = self._path(kind, namespace, name)
        with changing_names(self.root):
            if path.exists():
                raise Refusal(409, f"the repository {namespace}/{name} already exists", "RepoExists")
            self._check_case(path)
            with atomic_folder(path) as folder:
                Repository.create(folder)
                if public:
                    (folder / _PUBLIC).touch()

    def move(self, kind: str, old: tuple[str, str], new: tuple[str, str]) -> None:
        """Give a repository another (namespace, name); refuses a name in use (409)."""
        source, target = self._path(kind, *old), self._path(kind, *new)
        with changing_names(self.root):
            if not source.is_dir():
                raise repository_not_found("/".join(old))
            if target.exists():
                raise Refusal(409, f"the repository {'/'.join(new)} already exists", "RepoExists")
            self._check_case(target, moved=source)
            target.parent.mkdir(exist_ok=True)
            with writing(source):
                source.rename(target)
            fsync_folder(target.parent)
            fsync_folder(source.parent)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Remove a repository; large files stay in the blob store, where others may share them."""
        path = self._path(kind, namespace, name)
        with changing_names(self.root):
            if not path.is_dir():
                raise repository_not_found(f"{namespace}/{name}")
            # Gone in one step; what is left of the removal after a crash is swept at the next start.
            with writing(path):
                gone = path.rename(path.with_name(f".{path.name}.part"))
        shutil.rmtree(gone)

    def names(self) -> list[tuple[str, str]]:
        """Return (kind, "namespace/name") of every repository, sorted."""
        return [(kind, name) for kind, name, _ in repositories_in(self.root)]

    def _path(self, kind: str, namespace: str, name: str) -> Path:
        check_repository(namespace, name)
        return self._repositories / kind / namespace / f"{name}.git"

    def _check_case(self, path: Path, moved: Path | None = None) -> None:
        """Refuse a name that differs from another one by case alone: a mirror's disk or a reader takes them for one.

        400, since a client takes 409 for the very repository it wanted.
        """
        kind, namespace, name = path.parts[-3:]
        for folder in path.parent.parent.glob("*/"):
            if folder.name.lower() == namespace.lower():
                for other in folder.glob("*.git"):
                    if other.name.lower() == name.lower() and other != moved:
                        there = f"{folder.name}/{other.stem}"
                        raise Refusal(400, f"{namespace}/{path.stem} differs from {there} of {kind} by case alone")

    def _sweep(self) -> None:
        for leftover in [*self._repositories.glob("*/*/.*.part"), *self._repositories.glob("*/*/.*.old")]:
            shutil.rmtree(leftover)
        for repository in self._repositories.glob("*/*/*.git"):
            with suppress(Refusal):  # a push that outlived a killed hub is still at work there
                Repository(repository).recover()


def repositories_in(root: Path) -> list[tuple[str, str, Path]]:
    """Return (kind, "namespace/name", folder) of every repository of the hub in `root`, sorted."""
    return [
        (kind, f"{path.parent.name}/{path.name.removesuffix('.git')}", path)
        for kind in KINDS.values()
        for path in sorted((root / "repositories" / kind).glob("[!.]*/[!.]*.git"))
        if not path.is_symlink()
    ]


def each_repository(root: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield every repository once, as `repositories_in` does, also those that are moved or made meanwhile.

    One that is gone when its turn comes is left out, and found again under its new name if it has one.
    """
    done: set[int] = set()
    while True:
        with changing_names(root):
            found = [(path.stat().st_ino, kind, name, path) for kind, name, path in repositories_in(root)]
        left = [item for item in found if item[0] not in done]
        if not left:
            return
        for inode, kind, name, path in left:
            try:
                if path.stat().st_ino == inode:
                    yield kind, name, path
                # Moved while it was looked at: then its new name has a turn too.
                if path.stat().st_ino == inode:
                    done.add(inode)
            except FileNotFoundError:
                continue


@contextmanager
def changing_names(root: Path) -> Iterator[None]:
    """Be the one process that makes, moves or deletes repositories, or counts on none of that, while the block runs."""
    handle = os.open(root / "names.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
