"""The card of a repository."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.address import of_both_kinds
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.repository import File
from modeling_axk1.hub.server.store import BlobStore


class Cards:
    """README.md at a revision."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [*of_both_kinds("", self._card), *of_both_kinds("/card/{revision:quoted}", self._card)]

    def _card(self, kind: str, request: Request) -> Response:
        page = self._site.repository_page(request, kind)
        files = {entry.path: entry for entry in page.repository.listing(page.commit) if isinstance(entry, File)}
        card = files.get("README.md")
        text = page.repository.content(card).decode("utf-8", "replace") if card else ""
        return self._site.render(request, "card.html", page=page, text=text)
