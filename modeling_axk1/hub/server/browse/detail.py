"""How one file changed: by lines, by keys, by rows and columns, as far as that is cheap to say."""

from dataclasses import dataclass
from typing import Literal

from modeling_axk1.errors import DataError
from modeling_axk1.hub.server.browse.changed import Change
from modeling_axk1.hub.server.browse.contents import beginning, opened
from modeling_axk1.hub.server.browse.keys import KeyChange, key_changes
from modeling_axk1.hub.server.browse.lines import MOST_EDITS, Difference, difference
from modeling_axk1.hub.server.browse.parquet_footer import Footer, read_footer
from modeling_axk1.hub.server.browse.text import LARGEST_TEXT, lines_of, read_text
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import File, Repository
from modeling_axk1.hub.server.store import BlobStore

# Why there is nothing but sizes and digests: not text; too large; too different to be told line by line; too much on
# one page already; the blob is missing or no such file.
Reason = Literal["binary", "large", "different", "later", "unreadable"]

_MOST_KEYS = 200


@dataclass(frozen=True)
class TableChange:
    """A Parquet file before and after, and the columns that differ: (path, type before, type after)."""

    before: Footer
    after: Footer

    @property
    def columns(self) -> list[tuple[str, str | None, str | None]]:
        """Return the columns that were added, removed or are of another type."""
        old, new = self.before.columns, self.after.columns
        return [
            (name, old.get(name), new.get(name))
            for name in dict.fromkeys([*old, *new])
            if old.get(name) != new.get(name)
        ]


@dataclass(frozen=True)
class Detail:
    """How a file changed: one of these, or the reason why it is not told."""

    change: Change
    lines: Difference | None = None
    keys: list[KeyChange] | None = None
    table: TableChange | None = None
    reason: Reason | None = None


class Details:
    """Tells how files changed until it has cost enough for one page."""

    def __init__(self, repository: Repository, blobs: BlobStore) -> None:
        self._repository = repository
        self._blobs = blobs
        self._edits_left = MOST_EDITS

    def of(self, change: Change) -> Detail:
        """Return how a file that is there before and after changed."""
        assert change.before is not None
        assert change.after is not None
        try:
            if change.path.endswith(".parquet"):
                return Detail(change, table=TableChange(self._footer(change.before), self._footer(change.after)))
            return self._texts(change, change.before, change.after)
        except (DataError, Refusal):
            return Detail(change, reason="unreadable")

    def _texts(self, change: Change, before: File, after: File) -> Detail:
        if max(before.size, after.size) > LARGEST_TEXT:
            return Detail(change, reason="large")
        if self._edits_left <= 0:
            return Detail(change, reason="later")
        old, new = (beginning(self._repository, self._blobs, file, LARGEST_TEXT) for file in (before, after))
        if change.path.endswith(".json") and (keys := key_changes(old, new)) and len(keys) <= _MOST_KEYS:
            return Detail(change, keys=keys)
        old_text, new_text = read_text(old, before.size), read_text(new, after.size)
        if old_text is None or new_text is None:
            return Detail(change, reason="binary")
        most = self._edits_left
        found = difference(lines_of(old_text.text), lines_of(new_text.text), most)
        if found is None:
            self._edits_left = 0
            return Detail(change, reason="different" if most == MOST_EDITS else "later")
        self._edits_left -= found.added + found.removed
        return Detail(change, lines=found)

    def _footer(self, file: File) -> Footer:
        with opened(self._repository, self._blobs, file) as reader:
            return read_footer(reader, file.size)
