"""Who may do what here: the one door through which every route comes to a repository."""

import base64
import binascii
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request

from modeling_axk1.hub.server.accounts import EVERYWHERE, Account, Accounts, Right
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.observed import WHO
from modeling_axk1.hub.server.refusal import Refusal, repository_not_found
from modeling_axk1.hub.server.repository import Repository
from modeling_axk1.hub.server.sessions import Sessions
from modeling_axk1.hub.server.tickets import Tickets

# Open: whoever reaches the hub may do everything, and nothing is private. Tokens: nothing without one.
# Public: whoever reaches it may read what is public; the rest is as with tokens.
Policy = Literal["open", "tokens", "public"]

_EVERYBODY = Account("local", "admin", (EVERYWHERE,), 0, None)
_ANYBODY = Account("anonymous", "read", (), 0, None)


@dataclass(frozen=True)
class Caller:
    """Who sends a request. Without a token it is everybody on an open hub, and anybody on one that lets them read."""

    account: Account
    has_token: bool


class Access:
    """The door. What a caller may not read is to them as if it were not there: same answer, by the same steps."""

    def __init__(self, catalog: Catalog, accounts: Accounts, policy: Policy) -> None:
        self.catalog = catalog
        self._accounts = accounts
        self._policy = policy
        self.sessions = Sessions(accounts, Tickets(catalog.root / "key"))

    def caller(self, request: Request) -> Caller:
        """Return who sends a request; refuses a wrong token (401), and none where one is needed."""
        caller = self._caller(request)
        request.scope[WHO] = caller.account.name
        return caller

    def _caller(self, request: Request) -> Caller:
        token = token_of(request.headers.get("authorization"))
        if self._policy == "open":
            return Caller(_EVERYBODY, has_token=False)
        if token:
            account = self._accounts.find(token)
            if account is None:
                # The client shows this very text as a wrong token rather than as a missing repository.
                raise Refusal(401, "Invalid credentials in Authorization header", headers=CHALLENGE)
            return Caller(account, has_token=True)
        if reader := self.sessions.account_of(request):
            return Caller(reader, has_token=True)
        if self._policy == "tokens":
            raise _needs_token()
        return Caller(_ANYBODY, has_token=False)

    @property
    def knows_tokens(self) -> bool:
        """Tell whether a token makes a difference here."""
        return self._policy != "open"

    def needs_token(self, kind: str, namespace: str, name: str) -> bool:
        """Tell whether nobody reads a repository without a token."""
        return self._policy == "tokens" or not self.catalog.is_public(kind, namespace, name)

    def signed_in(self, request: Request) -> str | None:
        """Return the name of who sends a request with a token or signed in by one; None for everybody else."""
        try:
            caller = self._caller(request)
        except Refusal:
            return None
        return caller.account.name if caller.has_token else None

    def repository(self, request: Request, kind: str, right: Right) -> Repository:
        """Return the repository that a request's path names; refuses an unknown one, and who lacks the right to it."""
        return self.named(request, kind, request.path_params["namespace"], request.path_params["name"], right)

    def named(self, request: Request, kind: str, namespace: str, name: str, right: Right) -> Repository:
        """Return a repository by its name, as `repository` does."""
        caller = self.caller(request)
        if not self._may_see(caller, kind, namespace, name):
            raise repository_not_found(f"{namespace}/{name}") if caller.has_token else self._unseen(namespace, name)
        repository = self.catalog.get(kind, namespace, name)
        if right != "read":
            self._check(caller, right, namespace)
        return repository

    def by_ticket(self, request: Request, kind: str) -> Repository:
        """Return the repository that a request's path names, for an address that is a permission itself (`tickets`)."""
        return self.catalog.get(kind, request.path_params["namespace"], request.path_params["name"])

    def check_namespace(self, request: Request, right: Right, namespace: str) -> Caller:
        """Refuse a caller who lacks `right` in a namespace (403, or 401 without a token)."""
        caller = self.caller(request)
        self._check(caller, right, namespace)
        return caller

    def check_hub(self, request: Request, right: Right) -> Caller:
        """Refuse a caller who lacks `right` on the hub as a whole."""
        caller = self.caller(request)
        if right != "read":
            self._check(caller, right, EVERYWHERE)
        return caller

    def visible(self, request: Request) -> list[tuple[str, str]]:
        """Return (kind, "namespace/name") of every repository that the caller may read, sorted."""
        caller = self.caller(request)
        return [(kind, name) for kind, name in self.catalog.names() if self._may_see(caller, kind, *name.split("/", 1))]

    def check_may_hide(self) -> None:
        """Refuse a private repository where nobody could be told from anybody else."""
        if self._policy == "open":
            raise Refusal(400, "a hub without tokens keeps nothing private; serve it with --access tokens")

    def _may_see(self, caller: Caller, kind: str, namespace: str, name: str) -> bool:
        # On an open hub, which nobody may hide anything from, what was made private elsewhere stays out of sight.
        if self._policy != "open" and caller.account.may("read", namespace):
            return True
        return self.catalog.is_public(kind, namespace, name)

    def _check(self, caller: Caller, right: Right, namespace: str) -> None:
        if caller.account.may(right, namespace):
            return
        if not caller.has_token:
            raise _needs_token()
        where = "the whole hub" if namespace == EVERYWHERE else namespace
        raise Refusal(403, f"the token of {caller.account.name} lacks the right to {_DEEDS[right]} in {where}")

    def _unseen(self, namespace: str, name: str) -> Refusal:
        """Return what somebody without a token is told; git asks for one then, and it may be all that is missing."""
        return repository_not_found(f"{namespace}/{name}") if self._policy == "open" else _needs_token()


_DEEDS = {"read": "read", "write": "write", "admin": "administer"}
CHALLENGE = {"WWW-Authenticate": 'Basic realm="axk1 hub", charset="UTF-8"'}


def _needs_token() -> Refusal:
    return Refusal(401, "this needs a token of this hub", "RepoNotFound", headers=CHALLENGE)


def token_of(header: str | None) -> str:
    """Return the token in an Authorization header: after Bearer, or as the password of Basic, which git sends."""
    scheme, _, value = (header or "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return value
        return password or user
    return value
