"""What is refused before any route sees it: requests that a web page makes a browser send."""

import re
from ipaddress import ip_address

from starlette.types import Scope

from modeling_axk1.hub.server.access import Policy
from modeling_axk1.hub.server.refusal import Refusal

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::[0-9]{1,5})?")


def refusal_of(scope: Scope, policy: Policy) -> Refusal | None:
    """Return why a request is refused whoever sends it; None when it is not.

    An open hub trusts who reaches it, and through a browser every web page reaches what listens on this machine. Such
    a page shows itself in two ways: browsers add Origin to every request that changes something, and no hub client
    does; and to read the answers, the page's own name must lead to this machine (DNS rebinding), so the request asks
    for a host of that name.
    """
    headers = dict(scope["headers"])
    if b"content-length" in headers and b"transfer-encoding" in headers:
        # Whatever follows is body to one reader and a request to another: nobody reads it.
        why = "a request has a Content-Length or is sent in chunks, not both"
        return Refusal(400, why, headers={"Connection": "close"})
    if scope["method"] not in {"GET", "HEAD"} and b"origin" in headers and not _is_own_form(scope, headers):
        return Refusal(403, "a web page must not change this hub")
    if policy == "open" and _came_over_loopback(scope) and not _names_loopback(headers.get(b"host", b"")):
        return Refusal(403, "an open hub on this machine is reached as localhost or by its number, not by a name")
    return None


def _is_own_form(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Tell whether a page of this very hub sends a form: to sign in or out, or for a language or a theme."""
    own = f"{scope['scheme']}://".encode() + headers.get(b"host", b"")
    return scope["path"].startswith("/-/") and headers[b"origin"] == own


def _came_over_loopback(scope: Scope) -> bool:
    server = scope.get("server")
    return server is not None and _is_loopback(server[0])


def _names_loopback(host: bytes) -> bool:
    match = _HOST.fullmatch(host.decode("latin-1").lower())
    return match is not None and (match[1] == "localhost" or _is_loopback(match[1].strip("[]")))


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
