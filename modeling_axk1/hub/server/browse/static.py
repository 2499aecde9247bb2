"""The site's own files: styles, script, mark."""

from mimetypes import guess_type

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.store import BlobStore


class Static:
    """Hands out static/*; the same for everybody, so nobody is asked who they are."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._files = site.static

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/-/static/{path:quoted}", self._file)]

    async def _file(self, request: Request) -> Response:
        name = request.path_params["path"]
        if name not in self._files:
            raise Refusal(404, f"no static file {name!r}")
        headers = {
            "X-Content-Type-Options": "nosniff",
            # Its address changes with its content.
            "Cache-Control": "public, max-age=31536000, immutable" if "v" in request.query_params else "no-cache",
        }
        return Response(self._files[name], media_type=guess_type(name)[0] or "text/plain", headers=headers)
