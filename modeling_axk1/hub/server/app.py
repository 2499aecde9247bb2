"""The hub as one ASGI application."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from modeling_axk1.hub.server import guards
from modeling_axk1.hub.server.access import Access, Policy
from modeling_axk1.hub.server.accounts import Accounts
from modeling_axk1.hub.server.api import Api
from modeling_axk1.hub.server.browse.errors import Errors
from modeling_axk1.hub.server.browse.features import pages
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.commits import LARGEST_BLOB
from modeling_axk1.hub.server.download import Downloads
from modeling_axk1.hub.server.forwarded import as_the_client_sent_it
from modeling_axk1.hub.server.git_http import GitHttp
from modeling_axk1.hub.server.git_process import Git
from modeling_axk1.hub.server.health import Health
from modeling_axk1.hub.server.hub_api import HubApi
from modeling_axk1.hub.server.lfs_api import LfsApi
from modeling_axk1.hub.server.log import RequestLog
from modeling_axk1.hub.server.metrics import Metrics
from modeling_axk1.hub.server.observed import Observed, naming
from modeling_axk1.hub.server.quota import Quotas
from modeling_axk1.hub.server.sessions import read_by_browsers
from modeling_axk1.hub.server.tickets import Tickets
from modeling_axk1.hub.server.xet.api import XetApi


def build(
    catalog: Catalog,
    policy: Policy = "open",
    *,
    log: RequestLog | None = None,
    behind_proxy: bool = False,
    largest_file: int = LARGEST_BLOB,
) -> ASGIApp:
    """Return the application that serves `catalog` to those whom `policy` lets in.

    `behind_proxy` believes what a proxy says of the client's request; then only the proxy must reach the hub.
    `largest_file` is in bytes.
    """
    routes = routes_of(catalog, policy, largest_file)
    named = [route for route in routes if isinstance(route, Route)]
    for route in named:
        route.app = naming(route.path, route.app)
    metrics = Metrics(catalog.root / "metrics", [route.path for route in named])
    access = Access(catalog, Accounts(catalog.root), policy)
    health = Health(catalog.root, access, metrics).routes()
    errors = Errors(Site(access, catalog))
    app = Starlette(routes=[*health, *routes], exception_handlers=errors.handlers())

    async def hub(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # Routes see the path as it was sent; the convertors in `requests` unquote its parts.
            scope["path"] = scope["raw_path"].decode("ascii")
            # A proxy passes on the names that it was told to serve: no page can have it ask by another.
            if (refusal := guards.refusal_of(scope, "tokens" if behind_proxy else policy)) is not None:
                await errors.answer(Request(scope), refusal)(scope, receive, send)
                return
        await app(scope, receive, send)

    observed = Observed(hub, log or RequestLog(None), metrics)

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # A copy, in which the layers below leave what `observed` tells of the request.
            scope = as_the_client_sent_it(scope) if behind_proxy else {**scope}
        await observed(scope, receive, send)

    return outermost


def routes_of(catalog: Catalog, policy: Policy, largest_file: int = LARGEST_BLOB) -> list[BaseRoute]:
    """Return every route of the hub. Each asks `access` before it answers; a test walks this list and tries."""
    access = Access(catalog, Accounts(catalog.root), policy)
    quotas = Quotas(catalog.root, catalog.blobs, largest_file)
    tickets = Tickets(catalog.root / "key")
    return [
        *HubApi(catalog, access, quotas).routes(),
        *Api(catalog, access, quotas).routes(),
        *LfsApi(access, catalog.blobs, tickets, quotas).routes(),
        *XetApi(access, catalog.blobs, tickets, quotas).routes(),
        *GitHttp(access, Git(catalog.root / "git", catalog.blobs.root), quotas).routes(),
        *read_by_browsers(Downloads(access, catalog.blobs).routes()),
        *read_by_browsers(pages(Site(access, catalog), access, catalog.blobs)),
    ]
