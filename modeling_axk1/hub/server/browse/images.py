"""Pictures of a repository with their own media type, so that browsers show them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.address import of_both_kinds
from modeling_axk1.hub.server.browse.contents import beginning, digest_of
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.refusal import Refusal, entry_not_found
from modeling_axk1.hub.server.repository import File
from modeling_axk1.hub.server.store import BlobStore

LARGEST_IMAGE = 20 * 1024 * 1024

_TYPES = {
    "avif": "image/avif",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "svg": "image/svg+xml",
    "webp": "image/webp",
}
# A picture that is opened by itself runs nothing and loads nothing: SVG could do both. Its own styles it may have.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}


def image_type(path: str) -> str | None:
    """Return the media type of a picture by the end of its name; None for other files."""
    return _TYPES.get(path.rpartition(".")[2].lower())


class Images:
    """Hands out pictures, which /resolve gives as bytes to be saved."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._access = access
        self._blobs = blobs

    def routes(self) -> list[Route]:
        """Return the routes."""
        return of_both_kinds("/image/{revision:quoted}/{path:quoted_path}", self._image)

    def _image(self, kind: str, request: Request) -> Response:
        repository = self._access.repository(request, kind, "read")
        path = request.path_params["path"]
        file = repository.entry(repository.resolve(request.path_params["revision"]), path)
        media_type = image_type(path)
        if not isinstance(file, File) or media_type is None:
            raise entry_not_found(path)
        if file.size > LARGEST_IMAGE:
            raise Refusal(413, f"a picture must not exceed {LARGEST_IMAGE} bytes to be shown, got {file.size}")
        headers = {**_HEADERS, "ETag": f'"{digest_of(file)}"'}
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        content = beginning(repository, self._blobs, file, LARGEST_IMAGE)
        return Response(content, media_type=media_type, headers=headers)
