"""The hub as JSON: who asks, which repositories there are, make, settle, move and delete one."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access, Caller
from modeling_axk1.hub.server.cards import card_data
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.descriptions import describe_repository
from modeling_axk1.hub.server.names import KINDS, kind_of
from modeling_axk1.hub.server.pages import page_of, paged
from modeling_axk1.hub.server.quota import Quotas
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import DEFAULT_BRANCH
from modeling_axk1.hub.server.requests import endpoint_of, json_of, refuse


class HubApi:
    """The routes below /api that are about no one repository's content."""

    def __init__(self, catalog: Catalog, access: Access, quotas: Quotas) -> None:
        self._catalog = catalog
        self._access = access
        self._quotas = quotas

    def routes(self) -> list[Route]:
        """Return the routes."""
        routes = [
            Route("/api/repos/create", self._create, methods=["POST"]),
            Route("/api/repos/delete", self._delete, methods=["DELETE"]),
            Route("/api/repos/move", self._move, methods=["POST"]),
            Route("/api/whoami-v2", self._whoami),
            Route("/api/validate-yaml", self._validate_yaml, methods=["POST"]),
        ]
        for kind in KINDS.values():
            base = f"/api/{kind}/{{namespace:quoted}}/{{name:quoted}}"
            routes += [
                Route(f"/api/{kind}", self._list),
                Route(f"{base}/settings", self._settle, methods=["PUT"]),
                Route(f"{base}/auth-check", self._check_read),
                Route(f"{base}/auth-check/write", self._check_write),
            ]
        return routes

    async def _create(self, request: Request) -> Response:
        body = await json_of(request)
        kind, namespace, name = _named_in(body, self._access.caller(request))
        self._access.check_namespace(request, "write", namespace)
        public = _wants_public(body)
        if public is False:
            self._access.check_may_hide()
        prefix = "" if kind == "models" else f"{kind}/"
        answer = {"url": f"{endpoint_of(request)}/{prefix}{namespace}/{name}", "name": f"{namespace}/{name}"}
        try:
            await run_in_threadpool(self._catalog.create, kind, namespace, name, public=public is not False)
        except Refusal as refusal:
            # The client's `exist_ok=True` reads the url out of the refusal.
            return refuse(refusal, **(answer if refusal.status == 409 else {}))
        return JSONResponse(answer)

    async def _delete(self, request: Request) -> Response:
        kind, namespace, name = _named_in(await json_of(request), self._access.caller(request))
        self._access.named(request, kind, namespace, name, "admin")
        await run_in_threadpool(self._catalog.delete, kind, namespace, name)
        return JSONResponse({"success": True})

    async def _move(self, request: Request) -> Response:
        self._access.check_hub(request, "read")
        body = await json_of(request)
        kind = kind_of(body.get("type"))
        old, new = (_identity(body.get(key)) for key in ("fromRepo", "toRepo"))
        repository = self._access.named(request, kind, *old, "admin")
        self._access.check_namespace(request, "admin", new[0])
        await run_in_threadpool(self._quotas.check_move, repository, new[0])
        await run_in_threadpool(self._catalog.move, kind, old, new)
        return JSONResponse({"success": True})

    async def _settle(self, request: Request) -> Response:
        kind, path = request.url.path.split("/")[2], request.path_params
        self._access.repository(request, kind, "admin")
        body = await json_of(request)
        if body.get("gated") not in (None, False):
            raise Refusal(400, "this hub has no gated repositories; make it private and give out tokens")
        public = _wants_public(body)
        if public is None:
            raise Refusal(400, "a setting must be 'private' (true or false) or 'visibility' ('public' or 'private')")
        if not public:
            self._access.check_may_hide()
        self._catalog.set_public(kind, path["namespace"], path["name"], public=public)
        return JSONResponse({"private": not public, "gated": False})

    def _list(self, request: Request) -> Response:
        kind = request.url.path.split("/")[2]
        query = request.query_params
        described = [
            describe_repository(self._catalog, kind, *_identity(name), DEFAULT_BRANCH)
            for found, name in self._access.visible(request)
            if found == kind and _is_wanted(name, query.get("author"), query.get("search"))
        ]
        wanted = {*query.getlist("filter"), *query.getlist("pipeline_tag")}
        described = [item for item in described if wanted <= set(item["tags"])]
        by = query.get("sort", "lastModified")
        if by in {"lastModified", "createdAt"}:
            described.sort(key=lambda item: item[by], reverse=True)
        page, cursor = page_of(request, described)
        return paged(request, list(page), f"/api/{kind}", cursor)

    def _whoami(self, request: Request) -> Response:
        caller = self._access.caller(request)
        account = caller.account
        others = [name for name in account.namespaces if name not in {account.name, "*"}]
        return JSONResponse(
            {
                "type": "user",
                "name": account.name,
                "fullname": account.name,
                "orgs": [{"type": "org", "name": name, "fullname": name} for name in others],
                "isPro": False,
                "auth": {
                    "type": "access_token" if caller.has_token else "none",
                    "accessToken": {"displayName": account.name, "role": account.right},
                },
            }
        )

    async def _validate_yaml(self, request: Request) -> Response:
        self._access.check_hub(request, "read")
        content = (await json_of(request)).get("content")
        try:
            await run_in_threadpool(card_data, content if isinstance(content, str) else "")
        except ValueError as error:
            return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
        return JSONResponse({"errors": [], "warnings": []})

    def _check_read(self, request: Request) -> Response:
        self._access.repository(request, request.url.path.split("/")[2], "read")
        return JSONResponse({"success": True})

    def _check_write(self, request: Request) -> Response:
        self._access.repository(request, request.url.path.split("/")[2], "write")
        return JSONResponse({"success": True})


def _named_in(body: dict[str, Any], caller: Caller) -> tuple[str, str, str]:
    namespace, name = body.get("organization") or caller.account.name, body.get("name")
    if not isinstance(namespace, str) or not isinstance(name, str):
        raise Refusal(400, f"a repository's name must be text, got {str((namespace, name))[:80]!r}")
    return kind_of(body.get("type")), namespace, name


def _identity(text: object) -> tuple[str, str]:
    namespace, slash, name = str(text).partition("/")
    if not slash:
        raise Refusal(400, f"a repository must be NAMESPACE/NAME, got {str(text)[:200]!r}")
    return namespace, name


def _wants_public(body: dict[str, Any]) -> bool | None:
    """Return what a body says about who may read; None when it says nothing. Clients of 2026 say `visibility`."""
    if body.get("visibility") is not None:
        if body["visibility"] not in {"public", "private"}:
            raise Refusal(400, f"a visibility must be 'public' or 'private', got {str(body['visibility'])[:80]!r}")
        return bool(body["visibility"] == "public")
    return None if body.get("private") is None else not body["private"]


def _is_wanted(name: str, author: str | None, search: str | None) -> bool:
    return (not author or name.split("/")[0] == author) and (not search or search.lower() in name.lower())
