"""Which files differ between two revisions."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from modeling_axk1.hub.server.objects import Objects, TreeEntry
from modeling_axk1.hub.server.repository import File, Repository

Kind = Literal["added", "removed", "changed", "moved"]

# More are not looked at: the size of each is read from its object.
MOST_CHANGES = 5000
_BYTES_OF_A_CHANGE = 1000


@dataclass(frozen=True)
class Change:
    """One file, `before` and `after`: added when there was none before, removed when there is none after.

    A moved one is the same bytes under another path.
    """

    before: File | None
    after: File | None

    @property
    def kind(self) -> Kind:
        """Return what happened to the file."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        return "changed" if self.before.path == self.after.path else "moved"

    @property
    def path(self) -> str:
        """Where the file is, or was when it is gone."""
        file = self.after or self.before
        assert file is not None
        return file.path

    @property
    def growth(self) -> int:
        """By how many bytes it grew."""
        return (self.after.size if self.after else 0) - (self.before.size if self.before else 0)


@dataclass(frozen=True)
class Changes:
    """The files that differ, by path; not all of them when there are more than MOST_CHANGES."""

    files: tuple[Change, ...]
    complete: bool

    def of_kind(self, kind: Kind) -> list[Change]:
        """Return those of one kind."""
        return [change for change in self.files if change.kind == kind]

    @property
    def growth(self) -> int:
        """By how many bytes the files grew together."""
        return sum(change.growth for change in self.files)


def changes_between(repository: Repository, before: str | None, after: str) -> Changes:
    """Return which files differ between two commits; without `before`, all of `after` is added.

    Folders with equal digests are not opened, so this costs what changed, not what is there.
    """
    with repository.objects() as objects:
        found: Changes = objects.remember(
            ("changes", before, after),
            lambda: _changes(objects, before, after),
            lambda it: _BYTES_OF_A_CHANGE * len(it.files),
        )
        return found


def _changes(objects: Objects, before: str | None, after: str) -> Changes:
    old = objects.commit(before.encode()).tree if before else None
    new = objects.commit(after.encode()).tree
    differing = [*islice(_differing(objects, old, new, ""), MOST_CHANGES + 1)]
    changes = [
        Change(_file(objects, path, was), _file(objects, path, now)) for path, was, now in differing[:MOST_CHANGES]
    ]
    return Changes(tuple(_moves_joined(changes)), complete=len(differing) <= MOST_CHANGES)


def _differing(
    objects: Objects, before: bytes | None, after: bytes | None, prefix: str
) -> Iterator[tuple[str, TreeEntry | None, TreeEntry | None]]:
    """Yield (path, entry before, entry after) of every file that differs below two trees."""
    old = objects.tree(before) if before else {}
    new = objects.tree(after) if after else {}
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        path = prefix + name.decode("utf-8", "replace")
        # What was a file may be a folder now.
        folder_was = was.oid if was and was.is_folder else None
        folder_now = now.oid if now and now.is_folder else None
        if folder_was or folder_now:
            yield from _differing(objects, folder_was, folder_now, f"{path}/")
        file_was = was if was and not was.is_folder else None
        file_now = now if now and not now.is_folder else None
        if file_was or file_now:
            yield path, file_was, file_now


def _file(objects: Objects, path: str, entry: TreeEntry | None) -> File | None:
    if entry is None:
        return None
    blob = objects.blob(entry.oid)
    return File(path, entry.oid.decode(), blob.size, blob.pointer)


def _moves_joined(changes: list[Change]) -> Iterator[Change]:
    """Yield the changes, a removed and an added file of the same bytes as one that moved (an empty one never is)."""
    added: dict[str, list[Change]] = {}
    for change in changes:
        if change.kind == "added" and change.after and change.after.size:
            added.setdefault(change.after.oid, []).append(change)
    moved: dict[str, Change] = {}
    gone = set()
    for change in changes:
        if change.kind == "removed" and change.before and (targets := added.get(change.before.oid)):
            target = targets.pop(0)
            moved[target.path] = Change(change.before, target.after)
            gone.add(change.path)
    for change in changes:
        if change.kind == "added" and change.path in moved:
            yield moved[change.path]
        elif not (change.kind == "removed" and change.path in gone):
            yield change
