"""Git LFS: which large files the hub wants, and their bytes as they come."""

from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server import lfs
from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.commits import LARGEST_BLOB
from modeling_axk1.hub.server.names import REPOSITORY_PREFIXES, check_sha256, check_size
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.requests import endpoint_of, json_of
from modeling_axk1.hub.server.store import BlobStore


class LfsApi:
    """The routes below NAME.git/info/lfs."""

    def __init__(self, access: Access, blobs: BlobStore) -> None:
        self._access = access
        self._blobs = blobs

    def routes(self) -> list[Route]:
        """Return the routes of datasets, then those of models."""
        routes = []
        for kind, prefix in REPOSITORY_PREFIXES:
            base = f"{prefix}/{{namespace:quoted}}/{{name:quoted}}.git/info/lfs/objects"
            routes += [
                Route(f"{base}/batch", partial(self._batch, kind), methods=["POST"]),
                Route(f"{base}/verify", partial(self._verify, kind), methods=["POST"]),
                Route(f"{base}/{{oid:quoted}}", partial(self._upload, kind), methods=["PUT"]),
            ]
        return routes

    async def _batch(self, kind: str, request: Request) -> Response:
        self._access.repository(request, kind, "write")
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
        if self._blobs.size(oid) != size:
            answer["actions"] = {
                "upload": {"href": self._access.link(f"{base}/{oid}?size={size}", "write")},
                "verify": {"href": f"{base}/verify"},
            }
        return answer

    async def _upload(self, kind: str, request: Request) -> Response:
        self._access.repository(request, kind, "write")
        oid = check_sha256(request.path_params["oid"])
        size = request.query_params.get("size", "")
        if not (size.isascii() and size.isdigit()):
            raise Refusal(400, f"an upload's size must be a whole number, got {size[:80]!r}")
        stream = request.stream()
        try:
            with self._blobs.receive(oid, check_size(int(size[:20]), LARGEST_BLOB)) as blob:
                async for chunk in stream:
                    await run_in_threadpool(blob.write, chunk)
        except (Refusal, OSError):
            # A client that is still sending would see a broken connection and try again instead of reading why.
            async for _ in stream:
                pass
            raise
        return Response(status_code=200)

    async def _verify(self, kind: str, request: Request) -> Response:
        self._access.repository(request, kind, "write")
        body = await json_of(request)
        oid, size = check_sha256(body.get("oid")), body.get("size")
        if self._blobs.size(oid) != size:
            raise Refusal(404, f"no blob {oid} of {size} bytes was uploaded")
        return Response(status_code=200)
