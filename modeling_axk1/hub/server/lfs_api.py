"""Git LFS: which large files a repository has, which it wants, and their bytes both ways.

Downloads go to whoever may read the repository, and only for what one of its commits points to. Uploads have signed
addresses (`tickets`), because huggingface_hub sends no token along with the bytes. An object that is here, but was
never uploaded to *this* repository, is asked for like any other (`large_files` says why).
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server import lfs
from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.commits import LARGEST_BLOB
from modeling_axk1.hub.server.names import REPOSITORY_PREFIXES, check_sha256, check_size
from modeling_axk1.hub.server.quota import Books, Quotas
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import Repository
from modeling_axk1.hub.server.requests import endpoint_of, json_of, refuse
from modeling_axk1.hub.server.store import BlobStore
from modeling_axk1.hub.server.tickets import Tickets
from modeling_axk1.hub.server.uploads import SMALLEST_PART, Upload, part_size

_MOST_OBJECTS = 10_000
_TUS = {"Tus-Resumable": "1.0.0", "Cache-Control": "no-store"}

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class _BlobResponse(FileResponse):
    chunk_size = 1024 * 1024


class LfsApi:
    """The routes below NAME.git/info/lfs."""

    def __init__(self, access: Access, blobs: BlobStore, tickets: Tickets, quotas: Quotas) -> None:
        self._access = access
        self._blobs = blobs
        self._quotas = quotas
        self._tickets = tickets

    def routes(self) -> list[Route]:
        """Return the routes of datasets, then those of models."""
        routes = []
        for kind, prefix in REPOSITORY_PREFIXES:
            base = f"{prefix}/{{namespace:quoted}}/{{name:quoted}}.git/info/lfs"
            for path, method, handler in (
                ("objects/batch", "POST", self._batch),
                ("objects/verify", "POST", self._verify),
                ("objects/{oid:quoted}", "PUT", self._put),
                ("objects/{oid:quoted}", "GET", self._get),
                ("objects/{oid:quoted}/parts/{part:int}", "PUT", self._put_part),
                ("objects/{oid:quoted}/complete", "POST", self._complete),
                ("objects/{oid:quoted}/stream", "HEAD", self._stream_offset),
                ("objects/{oid:quoted}/stream", "PATCH", self._stream),
                ("locks", "GET", self._locks),
                ("locks", "POST", self._locks),
                ("locks/verify", "POST", self._locks),
            ):
                routes.append(Route(f"{base}/{path}", _for_lfs(partial(handler, kind)), methods=[method]))
        return routes

    # The batch

    async def _batch(self, kind: str, request: Request) -> Response:
        repository = await run_in_threadpool(self._access.repository, request, kind, "read")
        body = await json_of(request)
        operation, objects = str(body.get("operation")), body.get("objects")
        if operation not in {"upload", "download"} or not isinstance(objects, list):
            raise Refusal(
                400, f"an LFS batch must be an upload or download of a list of objects, got {operation[:80]!r}"
            )
        if len(objects) > _MOST_OBJECTS:
            raise Refusal(413, f"an LFS batch must not have more than {_MOST_OBJECTS} objects, got {len(objects)}")
        if body.get("hash_algo", "sha256") != "sha256":
            raise Refusal(409, f"objects are named by sha256 here, got {str(body['hash_algo'])[:80]!r}")
        books = None
        if operation == "upload":
            await run_in_threadpool(self._access.repository, request, kind, "write")
            books = await run_in_threadpool(self._quotas.books, repository.path.parent.name, "", _size_of(objects))
        transfer = _transfer(operation, body.get("transfers"), objects)
        base = endpoint_of(request) + request.url.path.removesuffix("/batch")
        answer = partial(self._answer, repository, f"{kind}/{_name(request)}", base, operation, transfer, books)
        answers = await run_in_threadpool(lambda: [answer(item if isinstance(item, dict) else {}) for item in objects])
        return _lfs_json({"transfer": transfer, "hash_algo": "sha256", "objects": answers})

    def _answer(
        self,
        repository: Repository,
        owner: str,
        base: str,
        operation: str,
        transfer: str,
        books: Books | None,
        item: dict[str, Any],
    ) -> dict[str, Any]:
        try:
            oid, size = check_sha256(item.get("oid")), check_size(item.get("size"), LARGEST_BLOB)
        except Refusal as refusal:
            facts = {"oid": str(item.get("oid"))[:80], "size": 0}
            return {**facts, "error": {"code": 422, "message": refusal.message}}
        answer: dict[str, Any] = {"oid": oid, "size": size}
        if operation == "download":
            if repository.large_files.may_read(oid) and self._blobs.size(oid) == size:
                return {**answer, "actions": {"download": {"href": f"{base}/{oid}"}}}
            return {**answer, "error": {"code": 404, "message": f"no file of this repository is {oid}, {size} bytes"}}
        if repository.large_files.may_commit(oid) and self._blobs.refresh(oid) == size:
            return answer
        try:
            self._quotas.check_file(size)
            if books is not None:
                books.admit(self._quotas.name_of(repository, oid, size), size)
        except Refusal as refusal:
            return {**answer, "error": {"code": refusal.status, "message": refusal.message}}
        signed = self._tickets.sign(f"{owner}/{oid}", size=str(size))
        answer["actions"] = {
            "upload": _upload_action(transfer, f"{base}/{oid}", signed, size),
            "verify": {"href": f"{base}/verify"},
        }
        return answer

    async def _verify(self, kind: str, request: Request) -> Response:
        repository = await run_in_threadpool(self._access.repository, request, kind, "write")
        body = await json_of(request)
        oid, size = check_sha256(body.get("oid")), body.get("size")
        if not repository.large_files.may_commit(oid) or self._blobs.refresh(oid) != size:
            raise Refusal(404, f"no blob {oid} of {size} bytes was uploaded")
        return Response(status_code=200)

    async def _locks(self, kind: str, request: Request) -> Response:
        await run_in_threadpool(self._access.repository, request, kind, "read")
        # The one status that git-lfs takes without a word to its user.
        raise Refusal(501, "this hub has no file locks")

    # Bytes out

    async def _get(self, kind: str, request: Request) -> Response:
        repository = await run_in_threadpool(self._access.repository, request, kind, "read")
        oid = check_sha256(request.path_params["oid"])
        if not repository.large_files.may_read(oid) or self._blobs.size(oid) is None:
            raise Refusal(404, f"no file of this repository is {oid}", "EntryNotFound")
        headers = {"ETag": f'"{oid}"', "X-Content-Type-Options": "nosniff"}
        return _BlobResponse(self._blobs.path(oid), headers=headers, media_type="application/octet-stream")

    # Bytes in

    async def _put(self, kind: str, request: Request) -> Response:
        repository, oid, size = await self._permitted(kind, request)
        stream = request.stream()
        try:
            with await run_in_threadpool(self._quotas.take_file, repository, oid, size):
                with self._blobs.receive(oid, size) as blob:
                    async for chunk in stream:
                        await run_in_threadpool(blob.write, chunk)
                await run_in_threadpool(repository.large_files.add_uploaded, oid)
        except (Refusal, OSError):
            await _drain(request)
            raise
        return Response(status_code=200)

    async def _put_part(self, kind: str, request: Request) -> Response:
        repository, oid, size = await self._permitted(kind, request)
        upload = self._upload(kind, request, oid, size)
        try:
            with await run_in_threadpool(self._quotas.take_file, repository, oid, size):
                digest = await upload.take_part(request.path_params["part"], request.stream())
        except (Refusal, OSError):
            await _drain(request)
            raise
        return Response(status_code=200, headers={"ETag": f'"{digest}"'})

    async def _complete(self, kind: str, request: Request) -> Response:
        repository, oid, size = await self._permitted(kind, request)
        digests = _digests_in(await json_of(request))

        def complete() -> None:
            # A client whose connection broke while it waited for this answer asks again.
            if not (repository.large_files.may_commit(oid) and self._blobs.refresh(oid) == size):
                with self._quotas.take_file(repository, oid, size):
                    self._upload(kind, request, oid, size).complete(digests)
                    repository.large_files.add_uploaded(oid)

        await run_in_threadpool(complete)
        return JSONResponse({"success": True})

    async def _stream_offset(self, kind: str, request: Request) -> Response:
        repository, oid, size = await self._permitted(kind, request)

        def offset() -> int:
            if repository.large_files.may_commit(oid) and self._blobs.refresh(oid) == size:
                return size
            here = self._upload(kind, request, oid, size).offset()
            if here == size:
                repository.large_files.add_uploaded(oid)
            return here

        here = await run_in_threadpool(offset)
        return Response(status_code=200, headers={**_TUS, "Upload-Offset": str(here), "Upload-Length": str(size)})

    async def _stream(self, kind: str, request: Request) -> Response:
        repository, oid, size = await self._permitted(kind, request)
        offset = _whole_number("Upload-Offset", request.headers.get("upload-offset", ""))
        whole = False
        try:
            with await run_in_threadpool(self._quotas.take_file, repository, oid, size):
                whole = await self._upload(kind, request, oid, size).append(offset, request.stream())
                if whole:
                    await run_in_threadpool(repository.large_files.add_uploaded, oid)
        except (Refusal, OSError):
            await _drain(request)
            raise
        here = size if whole else await run_in_threadpool(self._upload(kind, request, oid, size).offset)
        return Response(status_code=204, headers={**_TUS, "Upload-Offset": str(here)})

    async def _permitted(self, kind: str, request: Request) -> tuple[Repository, str, int]:
        oid = check_sha256(request.path_params["oid"])
        self._tickets.check(f"{kind}/{_name(request)}/{oid}", request.query_params)
        repository = await run_in_threadpool(self._access.by_ticket, request, kind)
        return repository, oid, int(request.query_params["size"])

    def _upload(self, kind: str, request: Request, oid: str, size: int) -> Upload:
        return Upload(self._blobs, f"{kind}/{_name(request)}", oid, size)


def _size_of(objects: list[Any]) -> int:
    """Return the bytes that a batch would bring at most; nonsense among them is refused one by one later."""
    sizes = [item.get("size") for item in objects if isinstance(item, dict)]
    return sum(size for size in sizes if isinstance(size, int) and size > 0)


def _transfer(operation: str, offered: object, objects: list[Any]) -> str:
    """Return how the bytes go: in parts or as a stream that can be resumed where the client offers it, else plainly."""
    names = offered if isinstance(offered, list) else []
    if operation == "upload":
        if "tus" in names:
            return "tus"
        sizes = [item.get("size") for item in objects if isinstance(item, dict)]
        if "multipart" in names and any(isinstance(size, int) and size > SMALLEST_PART for size in sizes):
            return "multipart"
    return "basic"


def _upload_action(transfer: str, address: str, signed: str, size: int) -> dict[str, Any]:
    if transfer == "basic":
        return {"href": f"{address}?{signed}"}
    if transfer == "tus":
        return {"href": f"{address}/stream?{signed}"}
    parts = max(1, -(-size // part_size(size)))
    urls = {str(number): f"{address}/parts/{number}?{signed}" for number in range(1, parts + 1)}
    return {"href": f"{address}/complete?{signed}", "header": {"chunk_size": str(part_size(size)), **urls}}


def _digests_in(body: dict[str, Any]) -> list[str]:
    """Return the SHA-256 of the parts that a completion lists, in order."""
    parts = body.get("parts")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise Refusal(400, "a completion needs a list of parts")
    if [part.get("partNumber") for part in parts] != list(range(1, len(parts) + 1)):
        raise Refusal(400, "a completion must list its parts in order, from 1")
    return [check_sha256(str(part.get("etag")).strip('"')) for part in parts]


async def _drain(request: Request) -> None:
    """Read what is still coming: a client that is sending would see a broken connection and never read why."""
    try:
        async for _ in request.stream():
            pass
    except (RuntimeError, ClientDisconnect):
        pass  # all of it was read, or the client is gone


def _for_lfs(handler: _Handler) -> _Handler:
    """Answer refusals in the form that git-lfs shows its user, besides the one that huggingface_hub reads."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            return refuse(refusal, message=refusal.message)

    return answer


def _name(request: Request) -> str:
    return f"{request.path_params['namespace']}/{request.path_params['name']}"


def _whole_number(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Refusal(400, f"{what} must be a whole number, got {text[:80]!r}")
    return int(text)


def _lfs_json(content: dict[str, Any]) -> Response:
    return JSONResponse(content, media_type=lfs.MEDIA_TYPE)
