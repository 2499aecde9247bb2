"""What earlier runs found out, so that a run over a terabyte that was stopped goes on where it was.

A fact is taken over only for a file that is still the very same: same inode, size, time of writing and time of
change. The state lies outside the checkpoint, which may be on a medium that cannot be written to.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from modeling_axk1.errors import UsageError
from modeling_axk1.files import atomic_write_text, user_cache
from modeling_axk1.weights.facts import Facts, Wanted

VERSION = 1
SAVE_SECONDS = 1.0  # between two savings; what takes less time than that is not worth remembering


def default_state(folder: Path) -> Path | None:
    """Return where the state of `folder` is kept: in the user's cache, under a name made of the folder's real path.

    None for a user without a home.
    """
    try:
        cache = user_cache()
    except RuntimeError:
        return None
    key = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]
    return cache / "weights" / f"{key}.json"


class State:
    """The facts of the files of one folder, kept in the file `path`; None keeps nothing.

    Raises UsageError when `path` is something else than the state of this folder, so that no other file is lost.
    `fresh` forgets what was known.
    """

    def __init__(self, path: Path | None, folder: Path, *, fresh: bool = False) -> None:
        """Read what is known; see the class."""
        self.path = path
        self.unsaved: str | None = None  # why it could not be written
        self._folder = os.path.realpath(folder)
        self._files: dict[str, tuple[list[int], Facts]] = {}
        self._saved_at = time.monotonic()
        if path and Path(os.path.realpath(path)).is_relative_to(self._folder):
            raise UsageError(f"the state must lie outside the checkpoint's folder, got {path}")
        try:
            known = _parse(path) if path and path.exists() else None
        except OSError as error:
            self.path, self.unsaved, known = None, error.strerror, None
        if known and not fresh:
            folder_then, self._files = known
            if folder_then != self._folder:
                raise UsageError(f"{path} is the state of {folder_then}; use another file, or --fresh")

    def facts(self, name: str, identity: list[int], wanted: Wanted) -> Facts | None:
        """Return what is known of a file that is as it was then; None unless that is all that is wanted."""
        then, facts = self._files.get(name, ([], Facts()))
        return facts if then == identity and facts.answer(wanted) else None

    def add(self, name: str, identity: list[int], facts: Facts) -> None:
        """Remember what was found out, and now and then write it down."""
        self._files[name] = (identity, facts)
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write everything down; a place that cannot be written to is noted in `unsaved`, and the work goes on."""
        if self.path is None:
            return
        files = {name: {"identity": then, **asdict(facts)} for name, (then, facts) in self._files.items()}
        try:
            atomic_write_text(self.path, json.dumps({"version": VERSION, "folder": self._folder, "files": files}))
        except OSError as error:
            self.unsaved = error.strerror or str(error)
        self._saved_at = time.monotonic()

    def close(self, *, done: bool) -> None:
        """End a run: what is `done` need not be remembered, what took only a moment neither."""
        if done and self.path:
            with suppress(OSError):  # a state that cannot be removed is an old one that does no harm
                self.path.unlink()
        elif not done and time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()


def _parse(path: Path) -> tuple[str, dict[str, tuple[list[int], Facts]]]:
    try:
        value: Any = json.loads(path.read_bytes())
        if value["version"] != VERSION:
            raise ValueError
        return str(value["folder"]), {
            name: (
                [int(number) for number in entry["identity"]],
                Facts(
                    entry["sha256"],
                    entry["tensors"],
                    None
                    if entry["nonfinite"] is None
                    else {tensor: (int(count), int(first)) for tensor, (count, first) in entry["nonfinite"].items()},
                ),
            )
            for name, entry in value["files"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{path} is not a state that this command wrote; remove it, or name another file") from None
