import fcntl
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from modeling_axk1.errors import HubError
from modeling_axk1.files import atomic_folder, fsync_folder
from modeling_axk1.hub.server.lock import writing
from modeling_axk1.hub.server.names import KINDS, check_repository
from modeling_axk1.hub.server.refusal import Refusal, repository_not_found
from modeling_axk1.hub.server.repository import Repository
from modeling_axk1.hub.server.store import BlobStore

# Beside a repository's git: there for the public ones.
_PUBLIC = "public"


class Catalog:
    """The folder of a hub: its repositories and its blobs. One process owns it at a time.

    Opening it clears away what a killed server left half done (git lock files, unfinished packs and uploads);
    nothing that a client was told is done is ever among that.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._lock_file = (root / "lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock_file.close()
            raise HubError(f"{root} is already served by another process; stop it or choose another --root") from None
        self.root = root
        self._repositories = root / "repositories"
        self._changing = threading.Lock()
        self._sweep()
        self.blobs = BlobStore(root / "blobs")
        self.blobs.sweep()

    def get(self, kind: str, namespace: str, name: str) -> Repository:
        """Return a repository; refuses an unknown one (RepositoryNotFoundError in the client)."""
        path = self._path(kind, namespace, name)
        if path.is_symlink() or not path.is_dir():
            raise repository_not_found(f"{namespace}/{name}")
        return Repository(path)

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
        with self._changing:
            if path.exists():
                raise Refusal(409, f"the repository {namespace}/{name} already exists", "RepoExists")
            with atomic_folder(path) as folder:
                Repository.create(folder)
                if public:
                    (folder / _PUBLIC).touch()

    def move(self, kind: str, old: tuple[str, str], new: tuple[str, str]) -> None:
        """Give a repository another (namespace, name); refuses a name in use (409)."""
        source, target = self._path(kind, *old), self._path(kind, *new)
        with self._changing:
            if not source.is_dir():
                raise repository_not_found("/".join(old))
            if target.exists():
                raise Refusal(409, f"the repository {'/'.join(new)} already exists", "RepoExists")
            target.parent.mkdir(exist_ok=True)
            with writing(source):
                source.rename(target)
            fsync_folder(target.parent)
            fsync_folder(source.parent)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Remove a repository; large files stay in the blob store, where others may share them."""
        path = self._path(kind, namespace, name)
        with self._changing:
            if not path.is_dir():
                raise repository_not_found(f"{namespace}/{name}")
            # Gone in one step; what is left of the removal after a crash is swept at the next start.
            with writing(path):
                gone = path.rename(path.with_name(f".{path.name}.part"))
        shutil.rmtree(gone)

    def names(self) -> list[tuple[str, str]]:
        """Return (kind, "namespace/name") of every repository, sorted."""
        return [
            (kind, f"{path.parent.name}/{path.name.removesuffix('.git')}")
            for kind in KINDS.values()
            for path in sorted((self._repositories / kind).glob("[!.]*/[!.]*.git"))
            if not path.is_symlink()
        ]

    def _path(self, kind: str, namespace: str, name: str) -> Path:
        check_repository(namespace, name)
        return self._repositories / kind / namespace / f"{name}.git"

    def _sweep(self) -> None:
        for leftover in [*self._repositories.glob("*/*/.*.part"), *self._repositories.glob("*/*/.*.old")]:
            shutil.rmtree(leftover)
        for repository in self._repositories.glob("*/*/*.git"):
            with suppress(Refusal):  # a push that outlived a killed hub is still at work there
                Repository(repository).recover()
