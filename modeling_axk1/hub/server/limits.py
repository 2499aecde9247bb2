"""How many bytes each namespace may keep, as its operator set it."""

import fcntl
import json
from pathlib import Path

from modeling_axk1.errors import HubError, UsageError
from modeling_axk1.files import atomic_write
from modeling_axk1.hub.server.accounts import EVERYWHERE
from modeling_axk1.hub.server.names import is_namespace


class Limits:
    """The quotas of a hub, in ROOT/quota/limits.json: {namespace: bytes, or null for no limit}.

    "*" is for every namespace that has no line of its own. Commands change the file while the hub runs; each of its
    processes reads it anew for each request that brings bytes.
    """

    def __init__(self, root: Path) -> None:
        self._file = root / "quota" / "limits.json"

    def of(self, namespace: str) -> int | None:
        """Return how many bytes a namespace may keep, None when there is no limit."""
        limits = self.all()
        return limits.get(namespace, limits.get(EVERYWHERE))

    def all(self) -> dict[str, int | None]:
        """Return what was set, by namespace. Raises HubError when the file is damaged."""
        try:
            limits: dict[str, int | None] = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise HubError(f"{self._file} is damaged: it is not JSON; take it from a backup") from None
        return limits

    def set(self, namespace: str, limit: int | None) -> None:
        """Let a namespace ("*": all others) keep `limit` bytes, or any number; raises UsageError for no namespace."""
        self._change(namespace, {namespace: limit})

    def forget(self, namespace: str) -> None:
        """Let what holds for all others hold for a namespace too."""
        self._change(namespace, {})

    def _change(self, namespace: str, line: dict[str, int | None]) -> None:
        if namespace != EVERYWHERE and not is_namespace(namespace):
            raise UsageError(f"a namespace must be 1 to 96 of [A-Za-z0-9._-] and no reserved one, got {namespace!r}")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_name("limits.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            limits = self.all()
            limits.pop(namespace, None)
            with atomic_write(self._file) as file:
                file.write(json.dumps({**limits, **line}, indent=1, sort_keys=True).encode())
