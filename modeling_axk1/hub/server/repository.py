"""One bare git repository: what it holds at a revision, and the few ways to change it."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dulwich.index import commit_tree
from dulwich.object_store import MemoryObjectStore, iter_tree_contents
from dulwich.objects import Blob, Commit, Tag, Tree
from dulwich.refs import DiskRefsContainer, check_ref_format
from dulwich.repo import Repo

from modeling_axk1.files import fsync_folder
from modeling_axk1.hub.server import lfs
from modeling_axk1.hub.server.changes import TreeFile, apply
from modeling_axk1.hub.server.commits import AddLarge, CommitRequest
from modeling_axk1.hub.server.large_files import LargeFiles
from modeling_axk1.hub.server.lock import writing
from modeling_axk1.hub.server.names import check_new_reference, is_abbreviated_commit_id, is_commit_id
from modeling_axk1.hub.server.objects import CommitFacts, Objects, TreeEntry
from modeling_axk1.hub.server.refusal import Refusal, entry_not_found, repository_not_found, revision_not_found

DEFAULT_BRANCH = "main"

_AUTHOR = b"axk1 hub <hub@localhost>"
_FILE_MODE = 0o100644


@dataclass(frozen=True)
class File:
    """A file at a revision; `oid` is its git blob, `size` its own size in bytes (not the pointer's)."""

    path: str
    oid: str
    size: int
    pointer: lfs.Pointer | None


@dataclass(frozen=True)
class Folder:
    """A folder at a revision; `oid` is its git tree."""

    path: str
    oid: str


@dataclass(frozen=True)
class CommitEntry:
    """One commit of the history; `date` is in seconds since 1970."""

    oid: str
    message: str
    date: int


class Repository:
    """A bare repository at `path`.

    Reading needs no lock: git objects never change. Writers of one repository take turns (see `lock`). A commit's
    objects are written first, as one pack, and moving the branch is the last act: a crash before it leaves the old
    state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.large_files = LargeFiles(path)

    @classmethod
    def create(cls, path: Path) -> "Repository":
        """Make a repository in the empty folder `path`, with a first commit that names the large-file patterns."""
        Repo.init_bare(path, default_branch=DEFAULT_BRANCH.encode()).close()
        repository = cls(path)
        repository.large_files.rebuild([])
        with repository._open() as repo:
            blob = Blob.from_string(lfs.DEFAULT_ATTRIBUTES.encode())
            tree = Tree()
            tree.add(lfs.ATTRIBUTES_FILE.encode(), _FILE_MODE, blob.id)
            commit = _commit_object(tree.id, [], "initial commit")
            repo.object_store.add_objects([(blob, None), (tree, None), (commit, None)])
            repo.refs.set_if_equals(_branch(DEFAULT_BRANCH), None, commit.id)
        return repository

    # Reading

    @contextmanager
    def objects(self) -> Iterator[Objects]:
        """Give the git objects; refuses a repository that was deleted meanwhile."""
        try:
            with Objects.of(self.path) as objects:
                yield objects
        except FileNotFoundError as error:
            if self.path.exists():
                raise
            raise repository_not_found(f"{self.path.parent.name}/{self.path.stem}") from error

    def resolve(self, revision: str) -> str:
        """Return the commit id that a branch, a tag, a reference by its full name or (the beginning of) an id names."""
        # Read anew for every request: another process may have moved them.
        references = DiskRefsContainer(self.path)
        with self.objects() as objects:
            full_name = [revision.encode("utf-8", "replace")] if revision.startswith("refs/") else []
            for name in (_branch(revision), _tag(revision), *full_name):
                oid = references.read_ref(name) if check_ref_format(name) else None
                if oid is not None:
                    return _peel(objects, oid)
            if is_commit_id(revision):
                with contextlib.suppress(KeyError):
                    return _peel(objects, revision.encode())
            if is_abbreviated_commit_id(revision) and (commit := objects.commit_starting(revision.encode())):
                return commit.decode()
        raise revision_not_found(revision)

    def references(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return (branches, tags), each {name: commit id}."""
        references = DiskRefsContainer(self.path)
        with self.objects() as objects:
            branches = {name.decode(): oid.decode() for name, oid in references.as_dict(b"refs/heads").items()}
            tags = {name.decode(): _peel(objects, oid) for name, oid in references.as_dict(b"refs/tags").items()}
        return branches, tags

    def listing(self, commit: str, path: str = "", *, recursive: bool = False) -> list[File | Folder]:
        """Return what lies in the folder `path` ("" is the root) at a commit, or everything below it."""
        with self.objects() as objects:
            found = _lookup(objects, commit, path)
            if found is None or not found.is_folder:
                raise entry_not_found(path)
            prefix = f"{path}/" if path else ""
            entries: tuple[File | Folder, ...] = objects.remember(
                ("listing", found.oid, prefix, recursive),
                lambda: tuple(_walk(objects, found.oid, prefix, recursive)),
                lambda it: 400 * len(it),
            )
            return list(entries)

    def entry(self, commit: str, path: str) -> File | Folder:
        """Return the file or folder at `path` at a commit."""
        with self.objects() as objects:
            found = _lookup(objects, commit, path) if path else None
            if found is None:
                raise entry_not_found(path)
            return _entry(objects, path, found)

    def content(self, file: File) -> bytes:
        """Return the bytes that git holds for a file: the file itself, or the pointer of a large one."""
        with self.objects() as objects:
            return objects.content(file.oid.encode())

    def history(self, commit: str) -> list[CommitEntry]:
        """Return the commits that lead to `commit`, newest first."""
        with self.objects() as objects:
            entries: tuple[CommitEntry, ...] = objects.remember(
                ("history", commit),
                lambda: tuple(_commit_entry(oid, facts) for oid, facts in _first_parents(objects, commit)),
                lambda it: 300 * len(it),
            )
            return list(entries)

    def commit_entry(self, commit: str) -> CommitEntry:
        """Return what the commit `commit` itself says."""
        with self.objects() as objects:
            return _commit_entry(commit.encode(), objects.commit(commit.encode()))

    def last_changes(self, commit: str, entries: list[File | Folder]) -> dict[str, CommitEntry]:
        """Return, for each entry's path, the newest commit up to `commit` that changed it."""
        changes: dict[str, CommitEntry] = {}
        open_paths = {entry.path: entry.oid.encode() for entry in entries}
        with self.objects() as objects:
            for oid, facts in _first_parents(objects, commit):
                for path, now in list(open_paths.items()):
                    before = _lookup(objects, facts.parent.decode(), path) if facts.parent else None
                    if before is None or before.oid != now:
                        changes[path] = _commit_entry(oid, facts)
                        del open_paths[path]
                if not open_paths:
                    break
        return changes

    # Writing

    def commit(self, branch: str, request: CommitRequest, blob_size: Callable[[str], int | None]) -> str:
        """Put the operations of `request` on `branch` as one commit and return its id.

        A request that changes nothing makes no commit and returns the head. `blob_size` gives the size of an
        uploaded large file, None when it was never uploaded.
        """
        with self._change() as repo:
            head = repo.refs.as_dict(b"refs/heads").get(branch.encode())
            if head is None:
                raise revision_not_found(branch)
            if request.parent is not None and not head.decode().startswith(str(request.parent) or "-"):
                raise Refusal(412, f"the commit was made for {request.parent!r}, but {branch} is at {head.decode()}")
            old_tree = repo[head].tree
            found = iter_tree_contents(repo.object_store, old_tree)
            files = {item.path.decode(): TreeFile(item.sha, item.mode) for item in found}
            new_blobs = apply(repo, files, request, self.size_of(blob_size))
            new_trees = MemoryObjectStore()
            tree = commit_tree(new_trees, [(path.encode(), blob.oid, blob.mode) for path, blob in files.items()])
            if tree == old_tree:
                return str(head.decode())
            commit = _commit_object(tree, [head], request.message)
            objects = [*new_blobs, *(new_trees[oid] for oid in new_trees), commit]
            unknown = {item.id: item for item in objects if item.id not in repo.object_store}
            repo.object_store.add_objects([(item, None) for item in unknown.values()])
            fsync_folder(self.path / "objects" / "pack")
            self.large_files.add_committed(item.oid for item in request.operations if isinstance(item, AddLarge))
            if not repo.refs.set_if_equals(_branch(branch), head, commit.id):
                raise Refusal(412, f"{branch} moved while the commit was written")
            return str(commit.id.decode())

    def squash(self, branch: str, message: str) -> None:
        """Put one commit without a past in place of a branch's history; its files stay, and so do tags."""
        with self._change() as repo:
            head = repo.refs.as_dict(b"refs/heads").get(branch.encode("utf-8", "replace"))
            if head is None:
                raise revision_not_found(branch)
            commit = _commit_object(repo[head].tree, [], message)
            repo.object_store.add_objects([(commit, None)])
            if not repo.refs.set_if_equals(_branch(branch), head, commit.id):
                raise Refusal(412, f"{branch} moved while its history was squashed")

    def add_branch(self, name: str, revision: str) -> None:
        """Start the branch `name` at a revision; refuses a name in use (409)."""
        with self._change() as repo:
            target = self.resolve(revision).encode()
            self._add_reference(repo, _branch(check_new_reference(name)), target)

    def add_tag(self, name: str, revision: str, message: str | None) -> None:
        """Name a revision for good; refuses a name in use (409), whichever commit it names."""
        with self._change() as repo:
            target = self.resolve(revision).encode()
            reference = _tag(check_new_reference(name))
            if message:
                tag = Tag()
                tag.name, tag.object, tag.tagger = name.encode(), (Commit, target), _AUTHOR
                tag.tag_time, tag.tag_timezone = int(time.time()), 0
                tag.message = _message(message)
                self._check_reference_is_free(repo, reference)
                repo.object_store.add_objects([(tag, None)])
                target = tag.id
            self._add_reference(repo, reference, target)

    def delete_branch(self, name: str) -> None:
        """Forget a branch; the default branch stays."""
        if name == DEFAULT_BRANCH:
            raise Refusal(403, f"the branch {DEFAULT_BRANCH!r} cannot be deleted")
        self._delete_reference(_branch(name), name)

    def delete_tag(self, name: str) -> None:
        """Forget a tag."""
        self._delete_reference(_tag(name), name)

    def recover(self) -> None:
        """Make good what a killed hub, an earlier version, or a restore from git alone left undone.

        Refuses (503) a repository that another process is changing; it needs none of this.
        """
        with self._change(patience=0) as repo:
            if not self.large_files.are_known():
                blobs = (repo[oid] for oid in repo.object_store)
                pointers = (lfs.read_pointer(blob.data) for blob in blobs if isinstance(blob, Blob))
                self.large_files.rebuild(pointer.oid for pointer in pointers if pointer)

    def settle(self) -> None:
        """Bring the names of packs and references onto the disk, before anybody is told that it is done."""
        references = self.path / "refs"
        for folder in (self.path, self.path / "objects" / "pack", references, *references.rglob("*/")):
            fsync_folder(folder)

    def size_of(self, blob_size: Callable[[str], int | None]) -> Callable[[str], int | None]:
        """Return `blob_size` as far as this repository may know: a blob that only others uploaded is not here."""
        return lambda oid: blob_size(oid) if self.large_files.may_commit(oid) else None

    # Inside

    @contextmanager
    def _change(self, patience: float = 120.0) -> Iterator[Repo]:
        with writing(self.path, patience), self._open() as repo:
            yield repo
            self.settle()

    @contextmanager
    def _open(self) -> Iterator[Repo]:
        repo = Repo(self.path)
        # Not set through git's configuration: git itself warns about the old name and dulwich knows no other.
        repo.object_store.fsync_object_files = True
        try:
            yield repo
        finally:
            repo.close()

    def _add_reference(self, repo: Repo, reference: bytes, target: bytes) -> None:
        self._check_reference_is_free(repo, reference)
        repo.refs.add_if_new(reference, target)

    @staticmethod
    def _check_reference_is_free(repo: Repo, reference: bytes) -> None:
        """Refuse a name in use as a branch or as a tag, or that would have to be a folder and a file at once."""
        name = reference.split(b"/", 2)[2]
        for place in (b"refs/heads", b"refs/tags"):
            taken = taken_by(name.decode(), (other.decode() for other in repo.refs.as_dict(place)))
            if taken is not None:
                raise Refusal(409, f"the reference {taken!r} already exists")

    def _delete_reference(self, reference: bytes, name: str) -> None:
        with self._change() as repo:
            oid = repo.refs.as_dict(b"refs").get(reference.removeprefix(b"refs/"))
            if oid is None:
                raise revision_not_found(name)
            repo.refs.remove_if_equals(reference, oid)


def taken_by(name: str, others: Iterable[str]) -> str | None:
    """Return the one of `others` beside which git cannot hold `name`: equal, or a folder where the other is a file."""
    clashes = (
        other for other in others if other == name or other.startswith(f"{name}/") or name.startswith(f"{other}/")
    )
    return next(clashes, None)


def _lookup(objects: Objects, commit: str, path: str) -> TreeEntry | None:
    """Return what lies at `path` at a commit ("" is the root), None when nothing does."""
    found = TreeEntry("", objects.commit(commit.encode()).tree, is_folder=True)
    for part in path.encode("utf-8", "replace").split(b"/") if path else []:
        below = objects.tree(found.oid).get(part) if found.is_folder else None
        if below is None:
            return None
        found = below
    return found


def _walk(objects: Objects, tree: bytes, prefix: str, recursive: bool) -> Iterator[File | Folder]:
    """Yield what a folder holds, each folder before what is below it."""
    for found in objects.tree(tree).values():
        path = prefix + found.name
        yield _entry(objects, path, found)
        if recursive and found.is_folder:
            yield from _walk(objects, found.oid, f"{path}/", recursive)


def _entry(objects: Objects, path: str, found: TreeEntry) -> File | Folder:
    if found.is_folder:
        return Folder(path, found.oid.decode())
    blob = objects.blob(found.oid)
    return File(path, found.oid.decode(), blob.size, blob.pointer)


def _peel(objects: Objects, oid: bytes) -> str:
    """Return the commit that an object is or that a tag names."""
    commit = objects.peel(oid)
    if commit is None:
        raise revision_not_found(oid.decode())
    return commit.decode()


def _first_parents(objects: Objects, commit: str) -> Iterator[tuple[bytes, CommitFacts]]:
    oid: bytes | None = commit.encode()
    while oid is not None:
        facts = objects.commit(oid)
        yield oid, facts
        oid = facts.parent


def _commit_entry(oid: bytes, facts: CommitFacts) -> CommitEntry:
    return CommitEntry(oid.decode(), facts.message, facts.date)


def _commit_object(tree: bytes, parents: list[bytes], message: str) -> Commit:
    commit = Commit()
    commit.tree, commit.parents = tree, parents
    commit.author = commit.committer = _AUTHOR
    commit.author_time = commit.commit_time = int(time.time())
    commit.author_timezone = commit.commit_timezone = 0
    commit.message = _message(message)
    return commit


def _message(text: str) -> bytes:
    """Return a message that git accepts: UTF-8, no NUL, never empty."""
    return (text.replace("\0", "").strip() or "no message").encode("utf-8", "replace") + b"\n"


def _branch(name: str) -> bytes:
    return f"refs/heads/{name}".encode("utf-8", "replace")


def _tag(name: str) -> bytes:
    return f"refs/tags/{name}".encode("utf-8", "replace")
