"""What a piece of work depends on, as one hash: work that is there under the same hash need not be done again."""

import hashlib
import json
import platform
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_ROOM = Path(__file__).resolve().parent
# What only comes after the shards: it can change without any text being read again.
_AFTERWARDS = {
    "about.py",
    "card.py",
    "check.py",
    "compare.py",
    "croissant.py",
    "distributed.py",
    "figures.py",
    "measure.py",
    "metadata.py",
    "stats.py",
}


def fingerprint(*facts: Any) -> str:
    """Return the first 16 hex digits of a hash over some facts, this room's code and all that is installed.

    Whatever is installed may decide about a text: a language model, a regular expression, Parquet itself.
    """
    return hashlib.sha256(json.dumps([facts, _surroundings()], sort_keys=True).encode()).hexdigest()[:16]


@cache
def _surroundings() -> dict[str, Any]:
    code = {
        path.relative_to(_ROOM).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(_ROOM.rglob("*.py"))
        if path.name not in _AFTERWARDS
    }
    installed = sorted((one.name, one.version) for one in metadata.distributions())
    return {"code": code, "installed": installed, "python": platform.python_version()}
