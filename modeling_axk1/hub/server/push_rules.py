"""What a push may bring. The rules that commits over the API obey, for objects that somebody else's git made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from dulwich.objects import Commit, Tag, Tree

from modeling_axk1.hub.server import lfs
from modeling_axk1.hub.server.names import DEEPEST_PATH, LONGEST_PATH, check_new_reference, check_path
from modeling_axk1.hub.server.quarantine import Quarantine
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import DEFAULT_BRANCH, taken_by

_HEADS, _TAGS = "refs/heads/", "refs/tags/"
_NOTHING = "0" * 40

_FOLDER_MODE, _FILE_MODES = 0o040000, {0o100644, 0o100755}
_OTHER_MODES = {0o120000: "a symbolic link", 0o160000: "a submodule"}

_LARGEST_COMMIT = 1024 * 1024
_LARGEST_TREE = 32 * 1024 * 1024
# A few folders that hold each other many times over unfold into any number of files.
_MOST_FILES = 200_000
# Git LFS reads files up to this size as pointers.
_LONGEST_POINTER = 1024
_POINTER_START = b"version https://git-lfs.github.com/spec/"
_NAMED_AT_MOST = 10


def check_references(changes: list[tuple[str, str, str]], quarantine: Quarantine) -> None:
    """Refuse changes (old id, new id, name) that a push must not make to branches and tags."""
    before = quarantine.references()
    removed = {name for _, new, name in changes if new == _NOTHING}
    made = {name for old, new, name in changes if old == _NOTHING and new != _NOTHING}
    for old, new, name in changes:
        short = name.removeprefix(_HEADS).removeprefix(_TAGS)
        if not name.startswith((_HEADS, _TAGS)):
            raise Refusal(403, f"only branches and tags can be pushed, got {name!r}")
        if name in made:
            check_new_reference(short)
            others = (before | made) - removed - {name}
            if (taken := taken_by(short, (other.split("/", 2)[2] for other in others))) is not None:
                raise Refusal(409, f"the name {short!r} is taken by the branch or tag {taken!r}")
        if name.startswith(_TAGS) and old != _NOTHING:
            raise Refusal(403, f"the tag {short!r} stays as it was published; a push cannot move or remove it")
        if name == _HEADS + DEFAULT_BRANCH:
            if new == _NOTHING:
                raise Refusal(403, f"the branch {DEFAULT_BRANCH!r} cannot be deleted")
            if old != _NOTHING and not quarantine.is_ancestor(old, new):
                raise Refusal(
                    403, f"the branch {DEFAULT_BRANCH!r} only moves forward: pull first, or force another branch"
                )
        if new != _NOTHING:
            commit = quarantine.peel(new)
            if commit is None or (name.startswith(_HEADS) and commit != new):
                raise Refusal(400, f"{name!r} must name a commit, got {new}")


def check_objects(quarantine: Quarantine, blob_size: Callable[[str], int | None]) -> list[str]:
    """Refuse objects that this hub must not hold; return the SHA-256 of every large file that they point to.

    `blob_size` gives the size of a large file that was uploaded to this repository, None when it was not.
    """
    trees = _Trees(quarantine)
    too_large: list[str] = []
    pointers: list[str] = []
    for oid in quarantine.ids():
        kind, size = quarantine.info(oid)
        if kind == "blob":
            if size > lfs.REGULAR_LIMIT:
                too_large.append(quarantine.name_of(oid))
            elif size <= _LONGEST_POINTER:
                pointers += _pointer_in(oid, quarantine, blob_size)
        elif kind == "tree":
            trees.check(oid, size)
        elif size > _LARGEST_COMMIT:
            raise Refusal(413, f"a {kind} must not exceed {_LARGEST_COMMIT} bytes, {oid} has {size}")
        elif kind == "commit":
            trees.measure(_check_commit(oid, quarantine).tree.decode())
        else:
            _check_tag(oid, quarantine)
    if too_large:
        names = ", ".join(repr(name) for name in sorted(too_large)[:_NAMED_AT_MOST])
        raise Refusal(
            413,
            f"a file of more than {lfs.REGULAR_LIMIT} bytes must be pushed with Git LFS "
            f"(git lfs migrate import --include=PATH): {names}",
        )
    return pointers


def _pointer_in(oid: str, quarantine: Quarantine, blob_size: Callable[[str], int | None]) -> list[str]:
    content = quarantine.read(oid)[1]
    pointer = lfs.read_pointer(content)
    if pointer is None:
        if content.lstrip().startswith(_POINTER_START):
            raise Refusal(400, f"{quarantine.name_of(oid)!r} looks like a Git LFS pointer and is none")
        return []
    size = blob_size(pointer.oid)
    if size is None:
        raise Refusal(
            400,
            f"{quarantine.name_of(oid)!r} points to the large file {pointer.oid}, which was not uploaded to this "
            "repository (git lfs push --all)",
        )
    if size != pointer.size:
        raise Refusal(
            400, f"{quarantine.name_of(oid)!r} says that {pointer.oid} has {pointer.size} bytes; it has {size}"
        )
    return [pointer.oid]


def _check_commit(oid: str, quarantine: Quarantine) -> Commit:
    commit = Commit.from_string(quarantine.read(oid)[1])
    for seconds in (commit.commit_time, commit.author_time):
        _check_time(oid, seconds)
    return commit


def _check_tag(oid: str, quarantine: Quarantine) -> None:
    tag = Tag.from_string(quarantine.read(oid)[1])
    if tag.tag_time is not None:
        _check_time(oid, tag.tag_time)
    if quarantine.peel(oid) is None:
        raise Refusal(400, f"a tag must name a commit, {oid} does not")


def _check_time(oid: str, seconds: int) -> None:
    try:
        datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Refusal(400, f"a date must be in the years 1 to 9999, {oid} has {seconds} seconds") from error


@dataclass(frozen=True)
class _Extent:
    """What lies below a folder: how many files, how many levels deep, how long their longest path."""

    files: int
    levels: int
    length: int


class _Trees:
    """The folders of a push, each looked at once."""

    def __init__(self, quarantine: Quarantine) -> None:
        self._quarantine = quarantine
        self._extents: dict[str, _Extent] = {}

    def check(self, oid: str, size: int) -> None:
        """Refuse a folder with an entry that must not be there."""
        if size > _LARGEST_TREE:
            raise Refusal(413, f"a folder must not need more than {_LARGEST_TREE} bytes, {oid} has {size}")
        for name, mode, _ in self._entries(oid):
            try:
                text = name.decode()
            except UnicodeDecodeError:
                raise Refusal(400, f"a path must be UTF-8, got {name!r}") from None
            if "/" in text:
                raise Refusal(400, f"a name must not hold a slash, got {text!r}")
            check_path(text)
            if mode != _FOLDER_MODE and mode not in _FILE_MODES:
                kind = _OTHER_MODES.get(mode, f"of mode {mode:o}")
                folder = self._quarantine.name_of(oid)
                path = f"{folder}/{text}" if folder != oid else text
                raise Refusal(400, f"{path!r} is {kind}; this hub holds files and folders only")

    def measure(self, oid: str, level: int = 0) -> _Extent:
        """Return the extent of a folder; refuses one that is too deep or too large to list."""
        extent = self._extents.get(oid)
        if extent is None:
            if level > DEEPEST_PATH:
                raise _too_deep()
            files, levels, length = 0, 0, 0
            for name, mode, child in self._entries(oid):
                below = self.measure(child, level + 1) if mode == _FOLDER_MODE else _Extent(1, 0, 0)
                files += below.files
                levels = max(levels, below.levels + 1)
                length = max(length, len(name.decode("utf-8", "replace")) + (below.length + 1 if below.length else 0))
            extent = self._extents[oid] = _Extent(files, levels, length)
        if level + extent.levels > DEEPEST_PATH:
            raise _too_deep()
        if extent.files > _MOST_FILES:
            raise Refusal(413, f"a revision must not have more than {_MOST_FILES} files")
        if extent.length > LONGEST_PATH:
            raise Refusal(400, f"a path must be text of 1 to {LONGEST_PATH} characters, got {extent.length}")
        return extent

    def _entries(self, oid: str) -> Iterator[tuple[bytes, int, str]]:
        tree = Tree.from_string(self._quarantine.read(oid)[1])
        for name, mode, child in tree.iteritems():
            yield name, mode, child.decode()


def _too_deep() -> Refusal:
    return Refusal(400, f"a path must not be deeper than {DEEPEST_PATH} folders")
