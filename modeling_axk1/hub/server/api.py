"""A repository as JSON: describe, list, commit, tag. Paths and fields are huggingface_hub's."""

from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server import lfs
from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.accounts import Right
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.commits import LARGEST_BLOB, AddRegular, CommitRequest, read_commit
from modeling_axk1.hub.server.descriptions import date, describe_commit, describe_entry, describe_repository, title
from modeling_axk1.hub.server.names import KINDS, check_path, check_size
from modeling_axk1.hub.server.pages import LONGEST_PAGE, page_of, paged, whole_number
from modeling_axk1.hub.server.quota import Quotas
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import DEFAULT_BRANCH, File, Folder, Repository
from modeling_axk1.hub.server.requests import body_of, endpoint_of, json_of

_COMMITS_ON_A_PAGE = 50


class Api:
    """The routes below /api that are about one repository."""

    def __init__(self, catalog: Catalog, access: Access, quotas: Quotas) -> None:
        self._catalog = catalog
        self._access = access
        self._quotas = quotas

    def routes(self) -> list[Route]:
        """Return the routes."""
        routes = []
        for kind in KINDS.values():
            base = f"/api/{kind}/{{namespace:quoted}}/{{name:quoted}}"
            routes += [
                Route(base, self._info),
                Route(f"{base}/revision/{{revision:quoted}}", self._info),
                Route(f"{base}/refs", self._references),
                Route(f"{base}/commits/{{revision:quoted}}", self._commits),
                Route(f"{base}/tree/{{revision:quoted}}", self._tree),
                Route(f"{base}/tree/{{revision:quoted}}/{{path:quoted_path}}", self._tree),
                Route(f"{base}/paths-info/{{revision:quoted}}", self._paths_info, methods=["POST"]),
                Route(f"{base}/preupload/{{revision:quoted}}", self._preupload, methods=["POST"]),
                Route(f"{base}/commit/{{revision:quoted}}", self._commit, methods=["POST"]),
                Route(f"{base}/super-squash/{{reference:quoted}}", self._squash, methods=["POST"]),
                Route(f"{base}/branch/{{reference:quoted_path}}", self._add_branch, methods=["POST"]),
                Route(f"{base}/branch/{{reference:quoted_path}}", self._delete_branch, methods=["DELETE"]),
                Route(f"{base}/tag/{{reference:quoted_path}}", self._add_tag, methods=["POST"]),
                Route(f"{base}/tag/{{reference:quoted_path}}", self._delete_tag, methods=["DELETE"]),
            ]
        return routes

    # One repository, read

    def _info(self, request: Request) -> Response:
        self._repository(request, "read")
        kind, path = request.url.path.split("/")[2], request.path_params
        revision = path.get("revision", DEFAULT_BRANCH)
        detailed = _flag(request, "blobs")
        return JSONResponse(
            describe_repository(self._catalog, kind, path["namespace"], path["name"], revision, files_metadata=detailed)
        )

    def _references(self, request: Request) -> Response:
        branches, tags = self._repository(request, "read").references()

        def listed(place: str, references: dict[str, str]) -> list[dict[str, str]]:
            return [
                {"name": name, "ref": f"refs/{place}/{name}", "targetCommit": oid}
                for name, oid in sorted(references.items())
            ]

        return JSONResponse(
            {"branches": listed("heads", branches), "tags": listed("tags", tags), "converts": [], "pullRequests": []}
        )

    def _commits(self, request: Request) -> Response:
        repository = self._repository(request, "read")
        # The next page starts at a commit, so it is right whatever is committed in between.
        history = repository.history(
            repository.resolve(request.query_params.get("cursor", request.path_params["revision"]))
        )
        limit = min(whole_number(request, "limit", _COMMITS_ON_A_PAGE, smallest=1), LONGEST_PAGE)
        cursor = history[limit].oid if len(history) > limit else None
        return paged(request, [describe_commit(entry) for entry in history[:limit]], request.url.path, cursor)

    def _tree(self, request: Request) -> Response:
        repository = self._repository(request, "read")
        commit = repository.resolve(request.path_params["revision"])
        path = request.path_params.get("path", "").strip("/")
        entries, cursor = page_of(request, repository.listing(commit, path, recursive=_flag(request, "recursive")))
        described = _described(repository, commit, list(entries), expand=_flag(request, "expand"))
        # The next page is of the same commit, whatever is committed in between.
        head, _, tail = request.url.path.partition("/tree/")
        below = "".join(tail.partition("/")[1:])
        return paged(request, described, f"{head}/tree/{commit}{below}", cursor)

    async def _paths_info(self, request: Request) -> Response:
        repository = self._repository(request, "read")
        form = parse_qs((await body_of(request)).decode("utf-8", "replace"))

        def describe() -> list[dict[str, Any]]:
            commit = repository.resolve(request.path_params["revision"])
            found = []
            for path in form.get("paths", []):
                try:
                    found.append(repository.entry(commit, path.strip("/")))
                except Refusal:
                    continue  # a path that does not exist is left out of the answer
            return _described(repository, commit, found, expand=form.get("expand", [""])[0].lower() in {"true", "1"})

        return JSONResponse(await run_in_threadpool(describe))

    # One repository, changed

    async def _preupload(self, request: Request) -> Response:
        repository = self._repository(request, "write")
        _refuse_pull_request(request)
        files = (await json_of(request)).get("files")
        if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
            raise Refusal(400, "preupload needs a list of files")

        for file in files:
            self._quotas.check_file(file.get("size"))

        def decide() -> list[dict[str, Any]]:
            commit = repository.resolve(request.path_params["revision"])
            return [_upload_mode(repository, commit, file) for file in files]

        return JSONResponse({"files": await run_in_threadpool(decide)})

    async def _commit(self, request: Request) -> Response:
        repository = self._repository(request, "write")
        _refuse_pull_request(request)
        wanted = await read_commit(request.stream())
        branch = request.path_params["revision"]
        oid = await run_in_threadpool(self._add_commit, repository, branch, wanted)
        path = request.url.path.removeprefix("/api/models/").removeprefix("/api/").partition("/commit/")[0]
        return JSONResponse(
            {"success": True, "commitOid": oid, "commitUrl": f"{endpoint_of(request)}/{path}/commit/{oid}"}
        )

    async def _squash(self, request: Request) -> Response:
        repository = self._repository(request, "admin")
        message = str((await json_of(request)).get("message") or "")
        await run_in_threadpool(repository.squash, request.path_params["reference"], message)
        return JSONResponse({"success": True})

    def _add_commit(self, repository: Repository, branch: str, wanted: CommitRequest) -> str:
        # Deletions and what names uploaded files always pass: the upload would have been for nothing.
        brought = sum(len(item.content) for item in wanted.operations if isinstance(item, AddRegular))
        with self._quotas.take_bytes(repository, brought):
            return repository.commit(branch, wanted, self._catalog.blobs.refresh)

    async def _add_branch(self, request: Request) -> Response:
        repository = self._repository(request, "write")
        start = (await json_of(request)).get("startingPoint", DEFAULT_BRANCH)
        await run_in_threadpool(repository.add_branch, request.path_params["reference"], str(start))
        return JSONResponse({"success": True}, 201)

    async def _add_tag(self, request: Request) -> Response:
        repository = self._repository(request, "write")
        body = await json_of(request)
        message = body.get("message")
        await run_in_threadpool(
            repository.add_tag,
            str(body.get("tag")),
            request.path_params["reference"],
            str(message) if message else None,
        )
        return JSONResponse({"success": True}, 201)

    def _delete_branch(self, request: Request) -> Response:
        self._repository(request, "write").delete_branch(request.path_params["reference"])
        return JSONResponse({"success": True})

    def _delete_tag(self, request: Request) -> Response:
        self._repository(request, "admin").delete_tag(request.path_params["reference"])
        return JSONResponse({"success": True})

    def _repository(self, request: Request, right: Right) -> Repository:
        return self._access.repository(request, request.url.path.split("/")[2], right)


def _refuse_pull_request(request: Request) -> None:
    if _flag(request, "create_pr"):
        raise Refusal(400, "this hub has no pull requests; commit to a branch")


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in {"true", "1"}


def _upload_mode(repository: Repository, commit: str, file: dict[str, Any]) -> dict[str, Any]:
    path = check_path(file.get("path"))
    size = check_size(file.get("size"), LARGEST_BLOB)
    try:
        existing = repository.entry(commit, path)
    except Refusal:
        existing = None
    oid = None
    if isinstance(existing, File):
        oid = existing.pointer.oid if existing.pointer else existing.oid
    mode = "lfs" if lfs.is_large(path, size) else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}


def _described(
    repository: Repository, commit: str, entries: list[File | Folder], *, expand: bool
) -> list[dict[str, Any]]:
    described = [describe_entry(entry) for entry in entries]
    if expand:
        changes = repository.last_changes(commit, entries)
        for item in described:
            change = changes[item["path"]]
            item["lastCommit"] = {"id": change.oid, "title": title(change), "date": date(change.date)}
    return described
