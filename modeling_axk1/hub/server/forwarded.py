"""What a proxy in front says of the client's request: which name and scheme it came by."""

import re

from starlette.types import Scope

_HOST = re.compile(rb"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def as_the_client_sent_it(scope: Scope) -> Scope:
    """Return a request's scope with the host and the scheme of X-Forwarded-Host and X-Forwarded-Proto.

    Only for a hub that nobody reaches but through its proxy: anybody can send these headers. They decide which
    addresses the answers name, so what is no host name and no scheme is left out.
    """
    headers = dict(scope["headers"])
    host, scheme = headers.get(b"x-forwarded-host", b""), headers.get(b"x-forwarded-proto", b"")
    scope = {**scope}
    if _HOST.fullmatch(host):
        scope["headers"] = [(b"host", host), *((name, value) for name, value in scope["headers"] if name != b"host")]
    if scheme in {b"http", b"https"}:
        scope["scheme"] = scheme.decode()
    return scope
