"""Tokens: who they belong to, what they may do, and how they are kept so that the file gives none of them away."""

import fcntl
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from modeling_axk1.errors import HubError, UsageError
from modeling_axk1.files import atomic_write
from modeling_axk1.hub.server.names import is_namespace

# Each includes the ones before it: read a repository; change it or make one; delete, move and settle what it is.
Right = Literal["read", "write", "admin"]
RIGHTS: tuple[Right, ...] = get_args(Right)

EVERYWHERE = "*"

_TOKEN = re.compile(r"axk1_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Account:
    """The holder of a token.

    `namespaces` are those in which `right` holds ("*": all); elsewhere it reads what is public. Times are seconds since
    1970, `expires` None for never.
    """

    name: str
    right: Right
    namespaces: tuple[str, ...]
    created: int
    expires: int | None

    def may(self, right: Right, namespace: str) -> bool:
        """Tell whether the holder has `right` in `namespace`."""
        enough = RIGHTS.index(right) <= RIGHTS.index(self.right)
        return enough and (EVERYWHERE in self.namespaces or namespace in self.namespaces)

    def has_expired(self) -> bool:
        """Tell whether the token is too old to be taken."""
        return self.expires is not None and time.time() >= self.expires


class Accounts:
    """The tokens of a hub, in ROOT/accounts, which only the hub's own user can read.

    A token is `axk1_ID_SECRET`. It is looked up by its public ID, and the SECRET is compared in constant time with the
    one thing that is kept of it, its SHA-256. That is enough, without salt or a slow hash: a SECRET is 256 random bits,
    which nobody can guess or have in a table.

    Commands change the file while the hub runs; each of its processes sees that with the next request.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "accounts"
        self._file = self._folder / "tokens.json"
        self._stamp: tuple[int, int, int] | None = None
        self._known: dict[str, tuple[Account, str]] = {}

    def find(self, token: str) -> Account | None:
        """Return whose token this is; None when it is nobody's, was revoked or has expired."""
        identity = self.identity_of(token)
        found = self.holder(identity) if identity else None
        return found[0] if found else None

    def identity_of(self, token: str) -> str | None:
        """Return the public ID of a good token; None when it is nobody's, was revoked or has expired."""
        match = _TOKEN.fullmatch(token)
        identity, secret = match.groups() if match else ("", token)
        account, expected = self._read().get(identity, (None, _NOBODY))
        right = hmac.compare_digest(_digest(secret), expected)
        return identity if right and account is not None and not account.has_expired() else None

    def holder(self, identity: str) -> tuple[Account, str] | None:
        """Return who holds the token with a public ID, and the SHA-256 that is kept of it; None when it is not good."""
        found = self._read().get(identity)
        return found if found and not found[0].has_expired() else None

    def add(
        self, name: str, right: Right, namespaces: tuple[str, ...] = (), seconds: int | None = None
    ) -> tuple[Account, str]:
        """Make a token and return it with its account; this is the only time that anybody sees it.

        Args:
            name: of the person or machine, one token each; also a namespace of its own.
            right: what the token may do there and in `namespaces`.
            namespaces: further ones; "*" is all of them, which a token to administer has anyway.
            seconds: how long it is valid; None is for ever.

        Raises UsageError for a name that is none or is taken.

        """
        if right not in RIGHTS:
            raise UsageError(f"a right must be one of {', '.join(RIGHTS)}, got {right!r}")
        for namespace in (name, *namespaces):
            if not is_namespace(namespace) and (namespace == name or namespace != EVERYWHERE):
                raise UsageError(f"a name must be 1 to 96 of [A-Za-z0-9._-] and no reserved one, got {namespace!r}")
        if seconds is not None and seconds <= 0:
            raise UsageError(f"a token must be valid for a time, got {seconds} seconds")
        now = int(time.time())
        reach = (EVERYWHERE,) if right == "admin" and not namespaces else (name, *namespaces)
        account = Account(name, right, tuple(dict.fromkeys(reach)), now, None if seconds is None else now + seconds)
        identity, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        with self._changing() as tokens:
            if any(entry["name"] == name for entry in tokens.values()):
                raise UsageError(f"{name} has a token already; `axk1 hub token revoke {name}` ends it")
            while identity in tokens:
                identity = secrets.token_hex(4)
            tokens[identity] = {**asdict(account), "sha256": _digest(secret)}
        return account, f"axk1_{identity}_{secret}"

    def revoke(self, name: str) -> None:
        """Forget the token of `name`: from now on it opens nothing. Raises HubError when there is none."""
        with self._changing() as tokens:
            found = [identity for identity, entry in tokens.items() if entry["name"] == name]
            if not found:
                raise HubError(f"{name} has no token on this hub; `axk1 hub token list` shows who has")
            for identity in found:
                del tokens[identity]

    def all(self) -> list[Account]:
        """Return every holder of a token, by name."""
        return sorted((account for account, _ in self._read().values()), key=lambda account: account.name)

    def _read(self) -> dict[str, tuple[Account, str]]:
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return {}
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if stamp != self._stamp:
            self._known = {identity: _account(entry) for identity, entry in self._load().items()}
            self._stamp = stamp
        return self._known

    def _load(self) -> dict[str, Any]:
        try:
            tokens: dict[str, Any] = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise HubError(f"{self._file} is damaged: it is not JSON; take it from a backup") from None
        return tokens

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Yield the tokens as they are stored, to be changed by one process at a time."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = self._load()
            yield tokens
            with atomic_write(self._file, mode=0o600) as file:
                file.write(json.dumps(tokens, indent=1, sort_keys=True).encode())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _account(entry: dict[str, Any]) -> tuple[Account, str]:
    fields = {name: entry[name] for name in ("name", "right", "created", "expires")}
    return Account(**fields, namespaces=tuple(entry["namespaces"])), entry["sha256"]
