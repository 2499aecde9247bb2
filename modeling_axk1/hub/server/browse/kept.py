"""What was found out about files, kept in ROOT/cache: made anew when it is not there, so anybody may remove it."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from modeling_axk1.files import atomic_write

# All that is kept was made by what lies there.
_MAKERS = Path(__file__).parent / "sandboxed"

_MOST_FILES = 1000
_MOST_BYTES = 512 << 20


class Kept:
    """Bytes by what settles them for good, as the digests of the files they were found in.

    All processes of a hub share them. When there are too many, those that nobody asked for longest go.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "cache" / "pages"

    def get(self, what: str, about: object, make: Callable[[], bytes]) -> bytes:
        """Return what `make` made for `about`, which JSON can hold, by the code that there is now."""
        key = hashlib.sha256(json.dumps([_code(), what, about]).encode()).hexdigest()
        path = self._folder / key
        with suppress(OSError):
            found = path.read_bytes()
            os.utime(path)
            return found
        made = make()
        # A full or read-only disk costs time, not the page.
        with suppress(OSError):
            # Two processes may make the same at the same time: each under a name of its own.
            own = path.with_name(f"{key}.{os.getpid()}")
            with atomic_write(own, mode=0o600) as file:
                file.write(made)
            own.replace(path)
            self._prune()
        return made

    def _prune(self) -> None:
        files = [(path, path.stat()) for path in self._folder.iterdir() if not path.name.startswith(".")]
        files.sort(key=lambda item: item[1].st_mtime)
        size = sum(status.st_size for _, status in files)
        while files and (len(files) > _MOST_FILES or size > _MOST_BYTES):
            path, status = files.pop(0)
            path.unlink(missing_ok=True)
            size -= status.st_size


@cache
def _code() -> str:
    """Return what changes with the code that makes what is kept: another release must not show what this one made."""
    sources = sorted(_MAKERS.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
