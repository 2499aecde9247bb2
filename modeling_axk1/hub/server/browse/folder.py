"""What lies in a folder at a revision: names, sizes, digests, and what all of it adds up to."""

from dataclasses import dataclass

from modeling_axk1.hub.server.objects import Objects, TreeEntry
from modeling_axk1.hub.server.refusal import entry_not_found
from modeling_axk1.hub.server.repository import File, Repository

# The size of a file is read from its object: the bytes of a folder with more files are not added up.
MOST_SIZED = 20_000


@dataclass(frozen=True)
class Totals:
    """Files below a folder, and their bytes together; None where there are more than MOST_SIZED files."""

    files: int
    bytes: int | None


@dataclass(frozen=True)
class Name:
    """One name in a folder: a file with what is known of it, or a folder with its totals."""

    name: str
    path: str
    file: File | None
    totals: Totals


@dataclass(frozen=True)
class Contents:
    """The names of a folder, folders first, and its totals."""

    names: tuple[str, ...]
    folders: int
    totals: Totals


def contents_of(repository: Repository, commit: str, path: str) -> Contents:
    """Return what lies in the folder `path` ("" is the root) of a commit; refuses what is no folder there."""
    with repository.objects() as objects:
        tree = objects.tree(_folder(objects, commit, path))
        entries = sorted(tree.values(), key=lambda entry: (not entry.is_folder, entry.name))
        return Contents(
            tuple(entry.name for entry in entries),
            sum(entry.is_folder for entry in entries),
            _totals(objects, _folder(objects, commit, path)),
        )


def names_of(repository: Repository, commit: str, path: str, names: tuple[str, ...]) -> list[Name]:
    """Return what is known of some names in a folder."""
    prefix = f"{path}/" if path else ""
    with repository.objects() as objects:
        # By the names as they are shown: those in a repository from elsewhere need not be UTF-8.
        entries = {entry.name: entry for entry in objects.tree(_folder(objects, commit, path)).values()}
        return [_name(objects, name, prefix + name, entries[name]) for name in names]


def _folder(objects: Objects, commit: str, path: str) -> bytes:
    tree = objects.commit(commit.encode()).tree
    for part in path.encode("utf-8", "replace").split(b"/") if path else []:
        below = objects.tree(tree).get(part)
        if below is None or not below.is_folder:
            raise entry_not_found(path)
        tree = below.oid
    return tree


def _name(objects: Objects, name: str, path: str, entry: TreeEntry) -> Name:
    if entry.is_folder:
        return Name(name, path, None, _totals(objects, entry.oid))
    blob = objects.blob(entry.oid)
    return Name(name, path, File(path, entry.oid.decode(), blob.size, blob.pointer), Totals(1, blob.size))


def _totals(objects: Objects, tree: bytes) -> Totals:
    files = _files_below(objects, tree)
    return Totals(files, _bytes_below(objects, tree) if files <= MOST_SIZED else None)


def _files_below(objects: Objects, tree: bytes) -> int:
    """Return how many files lie below a folder. Each folder is counted once, however often it is there."""
    count: int = objects.remember(
        ("files below", tree),
        lambda: sum(_files_below(objects, it.oid) if it.is_folder else 1 for it in objects.tree(tree).values()),
        lambda _: 0,
    )
    return count


def _bytes_below(objects: Objects, tree: bytes) -> int:
    size: int = objects.remember(
        ("bytes below", tree),
        lambda: sum(
            _bytes_below(objects, it.oid) if it.is_folder else objects.blob(it.oid).size
            for it in objects.tree(tree).values()
        ),
        lambda _: 0,
    )
    return size
