"""What is safely on the disk while a plan is carried out, so that a killed run can be gone on with and trusted.

Noted is what was synced before, never more; and a note is believed only as far as the files bear it out.
"""

import json
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling_axk1.files import atomic_write_text, part_name
from modeling_axk1.weights.errorsum import ErrorSum
from modeling_axk1.weights.plan import Plan

Errors = dict[str, ErrorSum]


@dataclass
class Begun:
    """How far an unfinished shard is: its first chunks, and how far the weights in them are off."""

    chunks: int = 0
    errors: Errors = field(default_factory=dict)


class Notes:
    """Which shards are whole, with their errors, and how far others are; `key` is of the plan, `path` the file.

    Chunks are of at most `chunk_bytes`: of another size they would be others.
    """

    def __init__(self, path: Path, key: str, chunk_bytes: int) -> None:
        """Begin with nothing done."""
        self.key, self.chunk_bytes = key, chunk_bytes
        self.finished: dict[str, Errors] = {}
        self.begun: dict[str, Begun] = {}
        self._path = path
        self._lock = threading.Lock()

    def reach(self, shard: str, chunks: int, errors: Errors) -> None:
        """Note that so many chunks of a shard are on the disk."""
        with self._lock:
            self.begun[shard] = Begun(chunks, errors)
            self._save()

    def finish(self, shard: str, errors: Errors) -> None:
        """Note that a shard is whole and has its name."""
        with self._lock:
            self.begun.pop(shard, None)
            self.finished[shard] = errors
            self._save()

    def restore(self, plan: Plan, files: Path) -> None:
        """Take over what an interrupted run of the same plan left in `files`; clear away what another one did."""
        found = self._read()
        if found.get("key") != self.key:
            shutil.rmtree(files, ignore_errors=True)
            found = {}
        files.mkdir(exist_ok=True)
        for shard in plan.shards:
            name = shard.file_name
            path = files / name
            # A run killed between its last two steps leaves notes whose files are in OUT, which may be gone since.
            if name in found.get("finished", {}) and path.is_file() and path.stat().st_size == shard.file_size:
                self.finished[name] = _errors(found["finished"][name])
            # An unfinished shard may have got its name before that was noted.
            elif (
                name in found.get("begun", {})
                and found["chunk_bytes"] == self.chunk_bytes
                and part_name(path).is_file()
            ):
                begun = found["begun"][name]
                self.begun[name] = Begun(begun["chunks"], _errors(begun["errors"]))
        # Before anything is written: what is begun anew must not be taken for as far as it was.
        self._save()

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _save(self) -> None:
        noted = {"key": self.key, "chunk_bytes": self.chunk_bytes, "finished": self.finished, "begun": self.begun}
        atomic_write_text(self._path, json.dumps(noted, default=vars))


def _errors(found: dict[str, dict[str, float]]) -> Errors:
    return {name: ErrorSum(**error) for name, error in found.items()}
