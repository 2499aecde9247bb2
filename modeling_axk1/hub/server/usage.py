"""How many bytes repositories keep: counted so that asking again is cheap, and as a report on the whole hub."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_axk1.errors import HubError
from modeling_axk1.hub.server.cache import Cache
from modeling_axk1.hub.server.limits import Limits
from modeling_axk1.hub.server.names import KINDS
from modeling_axk1.hub.server.store import BlobStore
from modeling_axk1.progress import progress_bar

# Two changes within one tick of the file system's clock leave one time of change.
_SETTLED_NANOSECONDS = 1_000_000_000
_MEMORY = 32 * 1024 * 1024
_ENTRY_BYTES = 700


@dataclass(frozen=True)
class Use:
    """What is kept: how many large files, their bytes, and the bytes of git's objects."""

    files: int = 0
    large: int = 0
    git: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(self.files + other.files, self.large + other.large, self.git + other.git)

    @property
    def total(self) -> int:
        """All bytes."""
        return self.large + self.git

    def as_dict(self) -> dict[str, int]:
        """Return it for --json."""
        return {"files": self.files, "large_bytes": self.large, "git_bytes": self.git, "bytes": self.total}


@dataclass(frozen=True)
class Namespace:
    """What a namespace keeps and may keep (None: no limit); its repositories are (kind, name, what it keeps)."""

    name: str
    limit: int | None
    use: Use
    repositories: list[tuple[str, str, Use]]


@dataclass(frozen=True)
class Report:
    """What a hub keeps; `stored` counts a large file once, however many repositories share it."""

    namespaces: list[Namespace]
    stored: Use

    def as_dict(self) -> dict[str, Any]:
        """Return the report for --json."""
        namespaces = [
            {
                "namespace": item.name,
                "quota": item.limit,
                **item.use.as_dict(),
                "repositories": [
                    {"type": kind.removesuffix("s"), "id": f"{item.name}/{name}", **use.as_dict()}
                    for kind, name, use in item.repositories
                ],
            }
            for item in self.namespaces
        ]
        return {"namespaces": namespaces, "stored": self.stored.as_dict()}


def report(root: Path) -> Report:
    """Count what every repository of the hub at `root` keeps, which may be serving; HubError when there is no hub."""
    folder = root / "repositories"
    if not folder.is_dir():
        raise HubError(f"{root} holds no hub; `axk1 hub serve` makes one")
    blobs = BlobStore(root / "blobs")
    counter, limits = Counter(root, blobs), Limits(root)
    found: dict[str, list[tuple[str, str, Use]]] = {}
    paths = sorted(folder.glob("*/[!.]*/[!.]*.git"), key=lambda path: (path.parent.name, path.name, path.parts))
    with progress_bar("repositories", total=len(paths)) as advance:
        for path in paths:
            kind, namespace = path.parts[-3:-1]
            found.setdefault(namespace, []).append((kind, path.stem, counter.repository(path)))
            advance(1, note=f"{namespace}/{path.stem}")
    namespaces = [
        Namespace(name, limits.of(name), sum((use for _, _, use in repositories), Use()), repositories)
        for name, repositories in found.items()
    ]
    git = sum(namespace.use.git for namespace in namespaces)
    return Report(namespaces, _shared(paths, blobs) + Use(git=git))


def _shared(repositories: list[Path], blobs: BlobStore) -> Use:
    """Return what all large files are that any of the repositories may name, each counted once."""
    use = Use()
    # One part of the digests after the other: all of them together might not fit into memory.
    for part in (f"{number:02x}" for number in range(256)):
        folders = (path / "large" / place / part for path in repositories for place in ("uploaded", "committed"))
        sizes = [blobs.size(oid) for oid in {oid for folder in folders for oid in _names(folder)}]
        here = [size for size in sizes if size is not None]
        use += Use(len(here), sum(here))
    return use


class Counter:
    """Counts what repositories keep: every large file that one may name, once in each, and its git objects.

    The sum of each folder is remembered for as long as the folder's time of change stays the same, so after an upload
    one in 256 markers is counted again (see `large_files`) and nobody has to tell the counter anything. Two things
    change no marker: garbage collection that removes an uploaded file which nothing came to point to, and its return.
    A folder of which a file is missing is therefore never remembered, and `forget` makes all sums anew.
    """

    def __init__(self, root: Path, blobs: BlobStore) -> None:
        self._repositories = root / "repositories"
        self._blobs = blobs
        self._sums = Cache(_MEMORY)
        self._generation = 0

    def forget(self) -> None:
        """Count everything anew from now on."""
        self._generation += 1

    def namespace(self, name: str) -> Use:
        """Return what all repositories of a namespace keep; a file that two of them name counts twice."""
        folders = (self._repositories / kind / name for kind in KINDS.values())
        return sum((self.repository(path) for folder in folders for path in folder.glob("[!.]*.git")), Use())

    def repository(self, path: Path) -> Use:
        """Return what the repository at `path` keeps."""
        places = [path / "large" / "uploaded", path / "large" / "committed"]
        parts = sorted({name for place in places for name in _names(place)})
        use = sum((self._large([place / part for place in places]) for part in parts), Use())
        objects = path / "objects"
        return sum((self._git(objects / name) for name in _names(objects)), use)

    def _large(self, folders: list[Path]) -> Use:
        def count() -> tuple[Use, bool]:
            sizes = [self._blobs.size(oid) for oid in {oid for folder in folders for oid in _names(folder)}]
            here = [size for size in sizes if size is not None]
            return Use(len(here), sum(here)), len(here) == len(sizes)

        return self._sum(folders, count)

    def _git(self, folder: Path) -> Use:
        def count() -> tuple[Use, bool]:
            return Use(git=sum(_size(folder / name) for name in _names(folder))), True

        return self._sum([folder], count)

    def _sum(self, folders: list[Path], count: Callable[[], tuple[Use, bool]]) -> Use:
        changed = [_changed(folder) for folder in folders]
        keep = False

        def make() -> Use:
            nonlocal keep
            settled = max(changed) + _SETTLED_NANOSECONDS < time.time_ns()
            use, whole = count()
            keep = settled and whole
            return use

        key = (self._generation, *map(str, folders), *changed)
        found: Use = self._sums.get(key, make, lambda _: _ENTRY_BYTES if keep else _MEMORY)
        return found


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
