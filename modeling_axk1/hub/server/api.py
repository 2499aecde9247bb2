"""Repositories as JSON: create, delete, describe, list, commit, tag. Paths and fields are huggingface_hub's."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import yaml
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server import lfs
from modeling_axk1.hub.server.access import Access, Right
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.commits import LARGEST_BLOB, read_commit
from modeling_axk1.hub.server.names import KINDS, check_path, check_size, kind_of
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import DEFAULT_BRANCH, CommitEntry, File, Folder, Repository
from modeling_axk1.hub.server.requests import body_of, endpoint_of, json_of, refuse

# Who everybody is on a hub without accounts; a repository made without a namespace goes here.
_USER = "local"

# A card is text for people: more front matter than this is no card.
_LONGEST_CARD = 1024 * 1024


class Api:
    """The routes below /api."""

    def __init__(self, catalog: Catalog, access: Access) -> None:
        self._catalog = catalog
        self._access = access

    def routes(self) -> list[Route]:
        """Return the routes, the fixed ones first."""
        routes = [
            Route("/api/repos/create", self._create, methods=["POST"]),
            Route("/api/repos/delete", self._delete, methods=["DELETE"]),
            Route("/api/whoami-v2", self._whoami),
            Route("/api/validate-yaml", self._validate_yaml, methods=["POST"]),
        ]
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
                Route(f"{base}/branch/{{reference:quoted_path}}", self._add_branch, methods=["POST"]),
                Route(f"{base}/branch/{{reference:quoted_path}}", self._delete_branch, methods=["DELETE"]),
                Route(f"{base}/tag/{{reference:quoted_path}}", self._add_tag, methods=["POST"]),
                Route(f"{base}/tag/{{reference:quoted_path}}", self._delete_tag, methods=["DELETE"]),
                Route(f"{base}/xet-write-token/{{revision:quoted_path}}", self._xet_token),
                Route(f"{base}/xet-read-token/{{revision:quoted_path}}", self._xet_token),
            ]
        return routes

    # The hub

    async def _create(self, request: Request) -> Response:
        kind, namespace, name = _named_in(await json_of(request))
        prefix = "" if kind == "models" else f"{kind}/"
        answer = {"url": f"{endpoint_of(request)}/{prefix}{namespace}/{name}", "name": f"{namespace}/{name}"}
        try:
            await run_in_threadpool(self._catalog.create, kind, namespace, name)
        except Refusal as refusal:
            # The client's `exist_ok=True` reads the url out of the refusal.
            return refuse(refusal, **(answer if refusal.status == 409 else {}))
        return JSONResponse(answer)

    async def _delete(self, request: Request) -> Response:
        kind, namespace, name = _named_in(await json_of(request))
        await run_in_threadpool(self._catalog.delete, kind, namespace, name)
        return JSONResponse({"success": True})

    def _whoami(self, request: Request) -> Response:
        return JSONResponse({"type": "user", "name": _USER, "fullname": _USER, "orgs": [], "isPro": False, "auth": {}})

    async def _validate_yaml(self, request: Request) -> Response:
        content = (await json_of(request)).get("content")
        try:
            _card_data(content if isinstance(content, str) else "")
        except ValueError as error:
            return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
        return JSONResponse({"errors": [], "warnings": []})

    def _xet_token(self, request: Request) -> Response:
        raise Refusal(
            501, "this hub takes large files over Git LFS: set HF_HUB_DISABLE_XET=1 in the environment of the client"
        )

    # One repository, read

    def _info(self, request: Request) -> Response:
        repository = self._repository(request, "read")
        commit = repository.resolve(request.path_params.get("revision", DEFAULT_BRANCH))
        files = [entry for entry in repository.listing(commit, recursive=True) if isinstance(entry, File)]
        history = repository.history(commit)
        card = _card_of(repository, files)
        tags = card.get("tags")
        identity = f"{request.path_params['namespace']}/{request.path_params['name']}"
        return JSONResponse(
            {
                "id": identity,
                "modelId": identity,
                "author": request.path_params["namespace"],
                "sha": commit,
                "createdAt": _date(history[-1].date),
                "lastModified": _date(history[0].date),
                "private": False,
                "gated": False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [str(tag) for tag in tags] if isinstance(tags, list) else [],
                "pipeline_tag": card.get("pipeline_tag"),
                "library_name": card.get("library_name"),
                "cardData": card,
                "siblings": [_sibling(file, detailed=_flag(request, "blobs")) for file in files],
            }
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
        history = repository.history(repository.resolve(request.path_params["revision"]))
        return JSONResponse([_commit(entry) for entry in history])

    def _tree(self, request: Request) -> Response:
        repository = self._repository(request, "read")
        commit = repository.resolve(request.path_params["revision"])
        path = request.path_params.get("path", "").strip("/")
        entries = repository.listing(commit, path, recursive=_flag(request, "recursive"))
        return JSONResponse(_described(repository, commit, entries, expand=_flag(request, "expand")))

    async def _paths_info(self, request: Request) -> Response:
        form = parse_qs((await body_of(request)).decode("utf-8", "replace"))
        repository = self._repository(request, "read")

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
        _refuse_pull_request(request)
        files = (await json_of(request)).get("files")
        if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
            raise Refusal(400, "preupload needs a list of files")
        repository = self._repository(request, "write")

        def decide() -> list[dict[str, Any]]:
            commit = repository.resolve(request.path_params["revision"])
            return [_upload_mode(repository, commit, file) for file in files]

        return JSONResponse({"files": await run_in_threadpool(decide)})

    async def _commit(self, request: Request) -> Response:
        _refuse_pull_request(request)
        repository = self._repository(request, "write")
        wanted = await read_commit(request.stream())
        branch = request.path_params["revision"]
        oid = await run_in_threadpool(repository.commit, branch, wanted, self._catalog.blobs.size)
        path = request.url.path.removeprefix("/api/models/").removeprefix("/api/").partition("/commit/")[0]
        return JSONResponse(
            {"success": True, "commitOid": oid, "commitUrl": f"{endpoint_of(request)}/{path}/commit/{oid}"}
        )

    async def _add_branch(self, request: Request) -> Response:
        start = (await json_of(request)).get("startingPoint", DEFAULT_BRANCH)
        await run_in_threadpool(
            self._repository(request, "write").add_branch, request.path_params["reference"], str(start)
        )
        return JSONResponse({"success": True}, 201)

    async def _add_tag(self, request: Request) -> Response:
        body = await json_of(request)
        message = body.get("message")
        await run_in_threadpool(
            self._repository(request, "write").add_tag,
            str(body.get("tag")),
            request.path_params["reference"],
            str(message) if message else None,
        )
        return JSONResponse({"success": True}, 201)

    def _delete_branch(self, request: Request) -> Response:
        self._repository(request, "write").delete_branch(request.path_params["reference"])
        return JSONResponse({"success": True})

    def _delete_tag(self, request: Request) -> Response:
        self._repository(request, "write").delete_tag(request.path_params["reference"])
        return JSONResponse({"success": True})

    def _repository(self, request: Request, right: Right) -> Repository:
        return self._access.repository(request, request.url.path.split("/")[2], right)


def _named_in(body: dict[str, Any]) -> tuple[str, str, str]:
    return kind_of(body.get("type")), str(body.get("organization") or _USER), str(body.get("name"))


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
    described = [_describe(entry) for entry in entries]
    if expand:
        changes = repository.last_changes(commit, entries)
        for item in described:
            change = changes[item["path"]]
            item["lastCommit"] = {"id": change.oid, "title": _title(change), "date": _date(change.date)}
    return described


def _describe(entry: File | Folder) -> dict[str, Any]:
    if isinstance(entry, Folder):
        return {"type": "directory", "path": entry.path, "oid": entry.oid, "size": 0}
    described: dict[str, Any] = {"type": "file", "path": entry.path, "oid": entry.oid, "size": entry.size}
    if entry.pointer:
        described["lfs"] = {
            "oid": entry.pointer.oid,
            "size": entry.pointer.size,
            "pointerSize": len(entry.pointer.to_bytes()),
        }
    return described


def _sibling(file: File, *, detailed: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": file.path}
    if detailed:
        sibling |= {"size": file.size, "blobId": file.oid}
        if file.pointer:
            pointer = file.pointer
            sibling["lfs"] = {
                "sha256": pointer.oid,
                "size": pointer.size,
                "pointerSize": len(pointer.to_bytes()),
            }
    return sibling


def _commit(entry: CommitEntry) -> dict[str, Any]:
    message = entry.message.strip().partition("\n")[2].strip()
    return {"id": entry.oid, "title": _title(entry), "message": message, "date": _date(entry.date), "authors": []}


def _title(entry: CommitEntry) -> str:
    return entry.message.partition("\n")[0]


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _card_of(repository: Repository, files: list[File]) -> dict[str, Any]:
    card = next((file for file in files if file.path == "README.md" and not file.pointer), None)
    if card is None or card.size > _LONGEST_CARD:
        return {}
    try:
        return _card_data(repository.content(card).decode("utf-8", "replace"))
    except ValueError:
        return {}  # the card was committed past validate-yaml; the repository is still readable


def _card_data(card: str) -> dict[str, Any]:
    """Return the YAML front matter of a card as JSON-ready values; raises ValueError when it is not a mapping."""
    lines = card.replace("\r\n", "\n").split("\n")
    if lines[0].strip() != "---" or "---" not in lines[1:]:
        return {}
    front_matter = "\n".join(lines[1 : lines.index("---", 1)])
    try:
        data = yaml.safe_load(front_matter)
    except yaml.YAMLError as error:
        raise ValueError(f"the card's front matter must be YAML: {' '.join(str(error).split())}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ValueError(f"the card's front matter must be a mapping, got {type(data).__name__}")
    return {str(key): _json_ready(value) for key, value in data.items()}


def _json_ready(value: object) -> Any:
    """Return a YAML value with dates and other scalars that JSON lacks as text."""
    if isinstance(value, dict):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_ready(item) for item in value]
    return value if value is None or isinstance(value, str | int | bool) else str(value)
