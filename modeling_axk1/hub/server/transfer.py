"""Bytes in and out: Git LFS uploads, and downloads by repository, revision and path."""

from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server import lfs
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.commits import LARGEST_BLOB
from modeling_axk1.hub.server.names import check_sha256, check_size
from modeling_axk1.hub.server.refusal import Refusal, entry_not_found
from modeling_axk1.hub.server.repository import File
from modeling_axk1.hub.server.requests import endpoint_of, json_of

# Whatever was uploaded is shown as text or saved, never run as a page of this hub.
_INERT = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}


class _BlobResponse(FileResponse):
    chunk_size = 1024 * 1024


class Transfer:
    """The routes that move files."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def routes(self) -> list[Route]:
        """Return the routes of datasets, then those of models."""
        routes = []
        for kind, prefix in (("datasets", "/datasets"), ("models", "")):
            base = f"{prefix}/{{namespace:quoted}}/{{name:quoted}}"
            routes += [
                Route(f"{base}.git/info/lfs/objects/batch", partial(self._batch, kind), methods=["POST"]),
                Route(f"{base}.git/info/lfs/objects/verify", partial(self._verify, kind), methods=["POST"]),
                Route(f"{base}.git/info/lfs/objects/{{oid:quoted}}", partial(self._upload, kind), methods=["PUT"]),
                Route(f"{base}/resolve/{{revision:quoted}}/{{path:quoted_path}}", partial(self._download, kind)),
            ]
        return routes

    async def _batch(self, kind: str, request: Request) -> Response:
        self._check_repository(kind, request)
        body = await json_of(request)
        objects = body.get("objects")
        if body.get("operation") != "upload" or not isinstance(objects, list):
            raise Refusal(400, f"an LFS batch must be an upload of a list of objects, got {body.get('operation')!r}")
        base = endpoint_of(request) + request.url.path.removesuffix("/batch")
        answers = [self._answer(base, item if isinstance(item, dict) else {}) for item in objects]
        return JSONResponse({"transfer": "basic", "hash_algo": "sha256", "objects": answers}, media_type=lfs.MEDIA_TYPE)

    def _answer(self, base: str, item: dict[str, Any]) -> dict[str, Any]:
        oid, size = check_sha256(item.get("oid")), check_size(item.get("size"), LARGEST_BLOB)
        answer: dict[str, Any] = {"oid": oid, "size": size}
        if self._catalog.blobs.size(oid) != size:
            answer["actions"] = {
                "upload": {"href": f"{base}/{oid}?size={size}"},
                "verify": {"href": f"{base}/verify"},
            }
        return answer

    async def _upload(self, kind: str, request: Request) -> Response:
        self._check_repository(kind, request)
        oid = check_sha256(request.path_params["oid"])
        size = request.query_params.get("size", "")
        if not (size.isascii() and size.isdigit()):
            raise Refusal(400, f"an upload's size must be a whole number, got {size[:80]!r}")
        stream = request.stream()
        try:
            with self._catalog.blobs.receive(oid, check_size(int(size[:20]), LARGEST_BLOB)) as blob:
                async for chunk in stream:
                    await run_in_threadpool(blob.write, chunk)
        except (Refusal, OSError):
            # A client that is still sending would see a broken connection and try again instead of reading why.
            async for _ in stream:
                pass
            raise
        return Response(status_code=200)

    async def _verify(self, kind: str, request: Request) -> Response:
        self._check_repository(kind, request)
        body = await json_of(request)
        oid, size = check_sha256(body.get("oid")), body.get("size")
        if self._catalog.blobs.size(oid) != size:
            raise Refusal(404, f"no blob {oid} of {size} bytes was uploaded")
        return Response(status_code=200)

    def _download(self, kind: str, request: Request) -> Response:
        parameters = request.path_params
        repository = self._catalog.get(kind, parameters["namespace"], parameters["name"])
        commit = repository.resolve(parameters["revision"])
        file = repository.entry(commit, parameters["path"])
        if not isinstance(file, File):
            raise entry_not_found(file.path)
        digest = file.pointer.oid if file.pointer else file.oid
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest}"', **_INERT}
        if file.pointer:
            if self._catalog.blobs.size(file.pointer.oid) != file.size:
                raise Refusal(500, f"the blob of {file.path!r} ({digest}) is missing or damaged on this hub")
            headers |= {"X-Linked-ETag": headers["ETag"], "X-Linked-Size": str(file.size)}
            blob = self._catalog.blobs.path(file.pointer.oid)
            return _BlobResponse(blob, headers=headers, media_type="application/octet-stream")
        # A reader that goes on where it stopped wants the rest of what it has, not of what came after.
        is_current = request.headers.get("if-range", headers["ETag"]) == headers["ETag"]
        return _part_of(repository.content(file), headers, request.headers.get("range") if is_current else None)

    def _check_repository(self, kind: str, request: Request) -> None:
        self._catalog.get(kind, request.path_params["namespace"], request.path_params["name"])


def _part_of(content: bytes, headers: dict[str, str], wanted: str | None) -> Response:
    """Return a small file, or the one range of its bytes that was asked for."""
    headers = {**headers, "Accept-Ranges": "bytes"}
    media_type = "text/plain; charset=utf-8"
    if wanted is None or (span := _span(wanted, len(content))) is None:
        return Response(content, headers=headers, media_type=media_type)
    start, end = span
    if not start < end:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
    return Response(content[start:end], 206, headers, media_type)


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """Return (start, end) of a header like `bytes=0-9`, `bytes=5-` or `bytes=-3`; None when it is something else."""
    unit, _, span = wanted.partition("=")
    first, dash, last = span.strip().partition("-")
    if unit.strip() != "bytes" or not dash or not all(n.isascii() and n.isdigit() for n in (first, last) if n):
        return None
    if not first:
        return (max(size - int(last[:20]), 0), size) if last else None
    return int(first[:20]), min(int(last[:20]) + 1, size) if last else size
