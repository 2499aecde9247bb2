"""What a proof over a terabyte has checked already, so that one that was stopped goes on where it was."""

import hashlib
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from modeling_axk1.files import atomic_write_text, user_cache


class Record:
    """{path: SHA-256 that was found} of one thing that cannot change: a repository at a commit on one hub.

    Each file is a line of its own, appended when it was read to its end. Where the user's cache cannot be written to,
    nothing is remembered and the proof goes on.
    """

    def __init__(self, what: str, *, fresh: bool = False) -> None:
        """Read what an earlier run found about `what`; `fresh` forgets it."""
        self.known: dict[str, str] = {}
        self._lock = threading.Lock()
        self._path: Path | None
        try:
            self._path = user_cache() / "hub" / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.jsonl"
            if fresh:
                self.forget()
            elif self._path.is_file():
                self._read(self._path)
        except (OSError, RuntimeError):
            self._path = None

    def add(self, path: str, digest: str) -> None:
        """Remember one file."""
        with self._lock:
            self.known[path] = digest
            if self._path is None:
                return
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([path, digest]) + "\n")
            except OSError:
                self._path = None

    def forget(self) -> None:
        """Remove what is remembered: the proof is complete, or shall begin anew."""
        if self._path:
            self._path.unlink(missing_ok=True)

    def keep(self, digests: Mapping[str, str]) -> None:
        """Remember only `digests`: what was found to be wrong is read again after a repair."""
        with suppress(OSError):
            if self._path and self._path.is_file():
                atomic_write_text(self._path, "".join(json.dumps(item) + "\n" for item in digests.items()))

    def _read(self, path: Path) -> None:
        for line in path.read_text("utf-8", errors="replace").splitlines():
            try:
                name, digest = json.loads(line)
            except ValueError:
                continue  # the line that a killed run was writing
            self.known[str(name)] = str(digest)
