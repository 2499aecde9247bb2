"""The files of a folder at a revision."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.address import RepositoryPage, of_both_kinds
from modeling_axk1.hub.server.browse.contents import digest_of
from modeling_axk1.hub.server.browse.folder import contents_of, names_of
from modeling_axk1.hub.server.browse.last_change import last_changes
from modeling_axk1.hub.server.browse.paging import part_of
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.repository import File
from modeling_axk1.hub.server.store import BlobStore

_ON_A_PAGE = 100


class Trees:
    """The page of a folder. A file's address below /tree leads to the file's page."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            *of_both_kinds("/tree/{revision:quoted}", self._tree),
            *of_both_kinds("/tree/{revision:quoted}/{path:quoted_path}", self._tree),
        ]

    def _tree(self, kind: str, request: Request) -> Response:
        page = self._site.repository_page(request, kind)
        path = request.path_params.get("path", "").strip("/")
        if path and isinstance(page.repository.entry(page.commit, path), File):
            return RedirectResponse(page.at("blob", path), 303)
        contents = contents_of(page.repository, page.commit, path)
        part = part_of(request, contents.names, _ON_A_PAGE)
        names = tuple(part.items)
        return self._site.render(
            request,
            "tree.html",
            page=page,
            folder=path,
            crumbs=crumbs_of(page, path),
            contents=contents,
            part=part,
            names=names_of(page.repository, page.commit, path, names),
            changes=last_changes(page.repository, page.commit, path, names),
            digest_of=digest_of,
        )


def crumbs_of(page: RepositoryPage, path: str) -> list[tuple[str, str]]:
    """Return (name, address) of the folders above a file or folder and of itself, the root (no name) first."""
    crumbs = [("", page.at("tree"))]
    parts = path.split("/") if path else []
    return crumbs + [(part, page.at("tree", "/".join(parts[: n + 1]))) for n, part in enumerate(parts)]
