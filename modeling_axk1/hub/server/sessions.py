"""Signed in with a browser: a cookie that says who, for how long, signed by the hub; it holds no token.

It opens what a browser reads, pages and downloads, and only where a route says so (`read_by_browsers`): nothing that
changes the hub, and nothing of the API, goes by a cookie, so no page elsewhere can have a browser do it.
"""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from modeling_axk1.hub.server.accounts import Account, Accounts
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.tickets import Tickets

COOKIE = "axk1_session"
_LIFETIME_SECONDS = 12 * 3600
_FOR_BROWSERS = "axk1.for_browsers"


def read_by_browsers(routes: Iterable[Route]) -> list[Route]:
    """Return the routes, at which from now on a browser is known by its cookie."""
    marked = list(routes)
    for route in marked:
        route.app = _marking(route.app)
    return marked


class Sessions:
    """Signs people in and out; every process of a hub knows the same ones, since only their cookies hold them."""

    def __init__(self, accounts: Accounts, tickets: Tickets) -> None:
        self._accounts = accounts
        self._tickets = tickets

    def begin(self, token: str, request: Request, response: Response) -> bool:
        """Give the browser a cookie for the holder of `token`; tell whether there is one."""
        identity = self._accounts.identity_of(token)
        found = self._accounts.holder(identity) if identity else None
        if identity is None or found is None:
            return False
        _, digest = found
        response.set_cookie(
            COOKIE,
            self._tickets.sign(f"session/{digest}", lifetime=_LIFETIME_SECONDS, account=identity),
            max_age=_LIFETIME_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return True

    def end(self, response: Response) -> None:
        """Have the browser forget its cookie."""
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    def account_of(self, request: Request) -> Account | None:
        """Return who reads with a browser; None when nobody is signed in, or the token is no longer good."""
        if not request.scope.get(_FOR_BROWSERS) or request.method not in {"GET", "HEAD"}:
            return None
        facts = dict(parse_qsl(request.cookies.get(COOKIE, "")))
        found = self._accounts.holder(facts.get("account", ""))
        if found is None:
            return None
        account, digest = found
        try:
            # With the digest of the token: another token that came to have the same identity is not this one.
            self._tickets.check(f"session/{digest}", facts)
        except Refusal:
            return None
        return account


def known_to_browsers(scope: Scope) -> None:
    """Let the answer to one request be a browser's."""
    scope[_FOR_BROWSERS] = True


def _marking(app: ASGIApp) -> ASGIApp:
    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        known_to_browsers(scope)
        await app(scope, receive, send)

    return marked
