"""Which commit changed each name of a folder last."""

from modeling_axk1.hub.server.objects import CommitFacts, Objects, TreeEntry
from modeling_axk1.hub.server.repository import CommitEntry, Repository

# How much of the past is looked through for one page: names in folders that were opened. In a folder of ten thousand
# files these are a few commits, in one of ten some thousand.
_MOST_NAMES = 50_000
# What opening a commit costs beside the names in its folders, in names.
_A_COMMIT = 10
_BYTES_OF_AN_ENTRY = 300


def last_changes(repository: Repository, commit: str, folder: str, names: tuple[str, ...]) -> dict[str, CommitEntry]:
    """Return {name: newest commit up to `commit` that changed it} of names in a folder ("" is the root).

    The past is looked through only so far: a name that changed longer ago is missing.
    """
    with repository.objects() as objects:
        found: dict[str, CommitEntry] = objects.remember(
            ("last changes", commit, folder, names),
            lambda: _last_changes(objects, commit, folder, names),
            lambda it: _BYTES_OF_AN_ENTRY * len(it),
        )
        return found


def history_of(repository: Repository, commit: str, path: str) -> tuple[list[CommitEntry], bool]:
    """Return the commits up to `commit` that changed a file or folder, newest first, and whether these are all.

    The past is looked through only so far.
    """
    with repository.objects() as objects:
        found: tuple[list[CommitEntry], bool] = objects.remember(
            ("history of", commit, path),
            lambda: _history_of(objects, commit, path),
            lambda it: _BYTES_OF_AN_ENTRY * len(it[0]),
        )
        return found


def _last_changes(objects: Objects, commit: str, folder: str, names: tuple[str, ...]) -> dict[str, CommitEntry]:
    changed: dict[str, CommitEntry] = {}
    wanted = {name.encode(): name for name in names}
    steps = _Steps(objects, commit)
    while wanted and not steps.is_over:
        now, before = steps.tree(steps.now, folder), steps.tree(steps.before, folder)
        if now != before:
            for name in [name for name in wanted if now.get(name) != before.get(name)]:
                changed[wanted.pop(name)] = steps.entry
        steps.go_on()
    return changed


def _history_of(objects: Objects, commit: str, path: str) -> tuple[list[CommitEntry], bool]:
    folder, _, name = path.rpartition("/")
    found, steps = [], _Steps(objects, commit)
    while not steps.is_over:
        now, before = (steps.tree(facts, folder).get(name.encode()) for facts in (steps.now, steps.before))
        if now != before:
            found.append(steps.entry)
        steps.go_on()
    return found, steps.is_at_the_end


class _Steps:
    """A walk back along first parents that ends when it has cost enough: `now` is a commit, `before` its parent."""

    def __init__(self, objects: Objects, commit: str) -> None:
        self._objects = objects
        self._left = _MOST_NAMES
        self._oid = commit.encode()
        self.now: CommitFacts | None = objects.commit(self._oid)
        self.before = self._parent()

    @property
    def is_at_the_end(self) -> bool:
        """Whether there is no commit left."""
        return self.now is None

    @property
    def is_over(self) -> bool:
        """Whether to stop."""
        return self.now is None or self._left <= 0

    @property
    def entry(self) -> CommitEntry:
        """The commit that made `now` of `before`."""
        assert self.now is not None
        return CommitEntry(self._oid.decode(), self.now.message, self.now.date)

    def go_on(self) -> None:
        """Take a step into the past."""
        self._left -= _A_COMMIT
        if self.now and self.now.parent:
            self._oid = self.now.parent
        self.now, self.before = self.before, None
        self.before = self._parent()

    def tree(self, facts: CommitFacts | None, folder: str) -> dict[bytes, TreeEntry]:
        """Return what a folder holds at a commit; nothing where there is none."""
        if facts is None:
            return {}
        tree = self._objects.tree(facts.tree)
        self._left -= len(tree)
        for part in folder.encode().split(b"/") if folder else []:
            below = tree.get(part)
            if below is None or not below.is_folder:
                return {}
            tree = self._objects.tree(below.oid)
            self._left -= len(tree)
        return tree

    def _parent(self) -> CommitFacts | None:
        return self._objects.commit(self.now.parent) if self.now and self.now.parent else None
