"""The front page and the lists of models and datasets."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.store import BlobStore


class Lists:
    """The pages that show many repositories."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site
        self._access = access

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/", self._front)]

    def _front(self, request: Request) -> Response:
        return self._site.render(request, "front.html", names=self._access.visible(request))
