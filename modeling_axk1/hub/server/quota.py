"""What may still come: the largest file, and how many bytes each namespace may keep. Asked before bytes are taken."""

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from modeling_axk1.hub.server.commits import LARGEST_BLOB
from modeling_axk1.hub.server.git_process import LARGEST_PUSH
from modeling_axk1.hub.server.limits import Limits
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import Repository
from modeling_axk1.hub.server.store import BlobStore
from modeling_axk1.hub.server.uploads import upload_name
from modeling_axk1.hub.server.usage import Counter

# Garbage collection may have freed what is remembered as kept; a full namespace is counted anew so often.
_RECOUNT_SECONDS = 30.0


@dataclass
class Books:
    """What one namespace may keep, keeps, and has on its way, at one moment; in bytes.

    Example:
        >>> books = Books("team", limit=9, used=6, arriving={})
        >>> books.admit("first", 3)
        >>> books.admit("second", 1)
        Traceback (most recent call last):
        modeling_axk1.hub.server.refusal.Refusal: the quota of team is 9 bytes: 6 used, 3 on their way, 1 more asked for

    """

    namespace: str
    limit: int
    used: int
    arriving: dict[str, int]

    def left(self) -> int:
        """Return how many more bytes may come; below 0 where a quota was made smaller."""
        return self.limit - self.used - sum(self.arriving.values())

    def has_room(self, name: str, size: int) -> bool:
        """Tell whether `size` bytes may come. What is on its way already may, and so may what brings nothing."""
        return name in self.arriving or size == 0 or size <= self.left()

    def admit(self, name: str, size: int) -> None:
        """Count `size` bytes as on their way under `name`; refuses them where the quota does not allow them (507)."""
        if not self.has_room(name, size):
            # Clients try again after 429, 500, 502, 503 and 504, and give up at once after this one.
            raise Refusal(
                507,
                f"the quota of {self.namespace} is {self.limit:,} bytes: {self.used:,} used, "
                f"{sum(self.arriving.values()):,} on their way, {size:,} more asked for",
            )
        self.arriving.setdefault(name, size)


class Quotas:
    """The books of a hub, kept by all of its processes together.

    What a namespace keeps is counted from the disk (`usage`). What is on its way is a file for each upload,
    ROOT/quota/arriving/NAMESPACE/NAME, made under the namespace's lock before the first byte is taken. It counts while
    a request that holds its flock brings the bytes, or while parts of the upload wait for the rest; so what a killed
    process was taking in stops counting by itself. Requests that bring one file to one repository count as one.
    """

    def __init__(self, root: Path, blobs: BlobStore, largest_file: int = LARGEST_BLOB) -> None:
        self.largest_file = largest_file
        self._repositories = root / "repositories"
        self._arriving = root / "quota" / "arriving"
        self._blobs = blobs
        self._limits = Limits(root)
        self._counter = Counter(root, blobs)
        self._recounted = 0.0

    def check_file(self, size: object) -> None:
        """Refuse a file that is larger than this hub takes (413); other nonsense is for others to refuse."""
        if isinstance(size, int) and size > self.largest_file:
            raise Refusal(413, f"a file must not exceed {self.largest_file} bytes on this hub, got {size}")

    def take_file(self, repository: Repository, oid: str, size: int) -> AbstractContextManager[object]:
        """Let the large file `oid` come to `repository` while the block runs; refuses it as `admit` does."""
        self.check_file(size)
        if repository.large_files.may_commit(oid) and self._blobs.size(oid) == size:
            return nullcontext()
        return self._take(repository, self.name_of(repository, oid, size), oid, size)

    def take_bytes(self, repository: Repository, size: int) -> AbstractContextManager[object]:
        """Let `size` bytes of git's come to `repository` while the block runs; refuses them as `admit` does."""
        return self._take(repository, uuid.uuid4().hex, None, size)

    def left(self, repository: Repository) -> int | None:
        """Return how many bytes may still come to the namespace of `repository`, None when there is no limit."""
        books = self.books(repository.path.parent.name)
        return None if books is None else max(0, books.left())

    def push_limit(self, repository: Repository, spare: int) -> tuple[int, Refusal] | None:
        """Return how many bytes a push may have, and what is said to one that has more; None where git's limit holds.

        `spare` is what a push has besides objects.
        """
        left = self.left(repository)
        if left is None or left + spare >= LARGEST_PUSH:
            return None
        namespace = repository.path.parent.name
        return left + spare, Refusal(
            507, f"the quota of {namespace} has room for {left:,} more bytes; this push brings more"
        )

    def check_move(self, repository: Repository, namespace: str) -> None:
        """Refuse to move `repository` to a namespace that has no room for it."""
        if repository.path.parent.name != namespace and self._limits.of(namespace) is not None:
            size = self._counter.repository(repository.path).total
            if books := self.books(namespace, "", size):
                books.admit("", size)

    def name_of(self, repository: Repository, oid: str, size: int) -> str:
        """Return the name of an upload: the one under which `uploads` keeps its parts."""
        return upload_name(_owner(repository), oid, size)

    def books(self, namespace: str, name: str = "", size: int = 0) -> Books | None:
        """Return the books of a namespace, None when it has no limit; made with care where `size` bytes do not fit."""
        limit = self._limits.of(namespace)
        if limit is None:
            return None
        with self._locked(namespace):
            return self._read(namespace, limit, name, size)

    def _take(self, repository: Repository, name: str, oid: str | None, size: int) -> AbstractContextManager[object]:
        namespace = repository.path.parent.name
        limit = self._limits.of(namespace)
        if limit is None or size == 0:
            return nullcontext()
        with self._locked(namespace):
            self._read(namespace, limit, name, size).admit(name, size)
            path = self._arriving / namespace / name
            file = path.open("a+")
            # Shared: the parts of one file come side by side.
            fcntl.flock(file, fcntl.LOCK_SH)
            if path.stat().st_size == 0:
                json.dump({"repository": _owner(repository), "oid": oid, "size": size}, file)
                file.flush()
        return file

    def _read(self, namespace: str, limit: int, name: str, size: int) -> Books:
        books = self._count(namespace, limit)
        if not books.has_room(name, size):
            # Perhaps it only seems full: a file may have landed between two looks, or been collected since.
            if time.monotonic() - self._recounted > _RECOUNT_SECONDS:
                self._counter.forget()
                self._recounted = time.monotonic()
            books = self._count(namespace, limit)
        return books

    def _count(self, namespace: str, limit: int) -> Books:
        # In this order: what lands between the two is counted twice, never not at all.
        arriving = {path.name: size for path in self._entries(namespace) if (size := self._size_of(path)) is not None}
        return Books(namespace, limit, self._counter.namespace(namespace).total, arriving)

    def _entries(self, namespace: str) -> list[Path]:
        return [path for path in (self._arriving / namespace).iterdir() if path.name != "lock"]

    def _size_of(self, path: Path) -> int | None:
        """Return the bytes that an entry stands for; None, and it is removed, when they have come or never will."""
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_held = False
            except BlockingIOError:
                is_held = True
            try:
                entry = json.load(file)
                repository = Repository(self._repositories / f"{entry['repository']}.git")
                oid, size = entry["oid"], int(entry["size"])
            except (ValueError, KeyError, TypeError):
                repository = None  # cut off by a crash, before any of the bytes were taken
            waits = repository is not None and repository.path.is_dir() and (self._blobs.uploads / path.name).is_dir()
            if repository is None or not (is_held or waits):
                path.unlink()
                return None
            has_landed = oid is not None and repository.large_files.may_commit(oid) and self._blobs.size(oid) == size
            return None if has_landed else size

    @contextmanager
    def _locked(self, namespace: str) -> Iterator[None]:
        folder = self._arriving / namespace
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _owner(repository: Repository) -> str:
    kind, namespace, file = repository.path.parts[-3:]
    return f"{kind}/{namespace}/{file.removesuffix('.git')}"
