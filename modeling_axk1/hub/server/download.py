"""Files by repository, revision and path, whole or in ranges."""

from functools import partial

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.names import REPOSITORY_PREFIXES
from modeling_axk1.hub.server.refusal import Refusal, entry_not_found
from modeling_axk1.hub.server.repository import File
from modeling_axk1.hub.server.store import BlobStore

# Whatever was uploaded is shown as text or saved, never run as a page of this hub.
_INERT = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}


class _BlobResponse(FileResponse):
    chunk_size = 1024 * 1024


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

    def _download(self, kind: str, request: Request) -> Response:
        repository = self._access.repository(request, kind, "read")
        commit = repository.resolve(request.path_params["revision"])
        file = repository.entry(commit, request.path_params["path"])
        if not isinstance(file, File):
            raise entry_not_found(file.path)
        digest = file.pointer.oid if file.pointer else file.oid
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest}"', **_INERT}
        if file.pointer:
            if self._blobs.size(file.pointer.oid) != file.size:
                raise Refusal(500, f"the blob of {file.path!r} ({digest}) is missing or damaged on this hub")
            headers |= {"X-Linked-ETag": headers["ETag"], "X-Linked-Size": str(file.size)}
            blob = self._blobs.path(file.pointer.oid)
            return _BlobResponse(blob, headers=headers, media_type="application/octet-stream")
        # A reader that goes on where it stopped wants the rest of what it has, not of what came after.
        is_current = request.headers.get("if-range", headers["ETag"]) == headers["ETag"]
        return _part_of(repository.content(file), headers, request.headers.get("range") if is_current else None)


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
