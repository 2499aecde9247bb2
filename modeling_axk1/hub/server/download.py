"""Files by repository, revision and path, whole or in ranges."""

from collections.abc import Callable
from functools import partial
from secrets import token_hex

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.names import REPOSITORY_PREFIXES
from modeling_axk1.hub.server.objects import NotRememberedError, only_remembered
from modeling_axk1.hub.server.pieces import Piece, PiecesResponse, Stretch
from modeling_axk1.hub.server.ranges import spans_of
from modeling_axk1.hub.server.refusal import Refusal, entry_not_found
from modeling_axk1.hub.server.repository import File
from modeling_axk1.hub.server.store import BlobStore

# Whatever was uploaded is shown as text or saved, never run as a page of this hub.
_INERT = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}


class Downloads:
    """The routes that hand out files."""

    def __init__(self, access: Access, blobs: BlobStore) -> None:
        self._access = access
        self._blobs = blobs

    def routes(self) -> list[Route]:
        """Return the routes of datasets, then those of models."""
        return [
            Route(
                f"{prefix}/{{namespace:quoted}}/{{name:quoted}}/resolve/{{revision:quoted}}/{{path:quoted_path}}",
                partial(self._download, kind),
            )
            for kind, prefix in REPOSITORY_PREFIXES
        ]

    async def _download(self, kind: str, request: Request) -> Response:
        # A thread costs a small file as much as all the rest; it is for what must be read from git first.
        try:
            with only_remembered():
                return self._answer(kind, request)
        except NotRememberedError:
            return await run_in_threadpool(self._answer, kind, request)

    def _answer(self, kind: str, request: Request) -> Response:
        repository = self._access.repository(request, kind, "read")
        commit = repository.resolve(request.path_params["revision"])
        file = repository.entry(commit, request.path_params["path"])
        if not isinstance(file, File):
            raise entry_not_found(file.path)
        digest = file.pointer.oid if file.pointer else file.oid
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest}"', "Accept-Ranges": "bytes", **_INERT}
        if file.pointer:
            headers |= {"X-Linked-ETag": headers["ETag"], "X-Linked-Size": str(file.size)}
            blob = self._blobs.open(file.pointer.oid, file.size)
            if blob is None:
                raise Refusal(500, f"the blob of {file.path!r} ({digest}) is missing or damaged on this hub")
            response = _respond(request, headers, file.size, "application/octet-stream", partial(Stretch, blob))
            if not isinstance(response, PiecesResponse):
                blob.close()
            return response
        content = repository.content(file)
        text = "text/plain; charset=utf-8"
        return _respond(request, headers, len(content), text, lambda start, end: content[start:end])


def _respond(
    request: Request, headers: dict[str, str], size: int, media_type: str, cut: Callable[[int, int], Piece]
) -> Response:
    """Return a file or the parts of it that were asked for; `cut` gives the bytes [start, end)."""
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    # A reader that goes on where it stopped wants the rest of what it has, not of what came after.
    is_current = request.headers.get("if-range", headers["ETag"]) == headers["ETag"]
    spans = spans_of(wanted, size) if wanted and is_current else None
    if spans is None:
        return PiecesResponse([cut(0, size)], 200, headers, media_type)
    if not spans:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    if len(spans) == 1:
        start, end = spans[0]
        headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"}
        return PiecesResponse([cut(start, end)], 206, headers, media_type)
    boundary = token_hex(16)
    pieces: list[Piece] = []
    for start, end in spans:
        part = f"--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: bytes {start}-{end - 1}/{size}\r\n\r\n"
        pieces += [part.encode(), cut(start, end), b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return PiecesResponse(pieces, 206, headers, f"multipart/byteranges; boundary={boundary}")
