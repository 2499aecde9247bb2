"""The page of one file: its text, its picture, or what is known of it."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.address import RepositoryPage, of_both_kinds
from modeling_axk1.hub.server.browse.contents import beginning, digest_of
from modeling_axk1.hub.server.browse.images import LARGEST_IMAGE, image_type
from modeling_axk1.hub.server.browse.last_change import last_changes
from modeling_axk1.hub.server.browse.shown import tame
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.browse.text import LARGEST_TEXT, Line, Text, lines_of, pretty_json, read_text, shown_lines
from modeling_axk1.hub.server.browse.tree import crumbs_of
from modeling_axk1.hub.server.repository import File
from modeling_axk1.hub.server.store import BlobStore

# JSON on fewer lines of more characters is shown with line breaks unless it is asked for as it stands.
_FEW_LINES, _LONG = 3, 200


@dataclass(frozen=True)
class ShownText:
    """A text as the page shows it.

    `as_json` is "pretty" or "raw" where both can be shown, else None. `all_lines` counts those of the text that was
    read; `hides` says that it has characters that change direction or cannot be seen, which are left out.
    """

    read: Text
    lines: list[Line]
    all_lines: int
    as_json: str | None
    hides: bool


class FilePages:
    """The page of a file. A folder's address below /blob leads to the folder's page."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site
        self._blobs = blobs

    def routes(self) -> list[Route]:
        """Return the routes."""
        return of_both_kinds("/blob/{revision:quoted}/{path:quoted_path}", self._blob)

    def _blob(self, kind: str, request: Request) -> Response:
        page = self._site.repository_page(request, kind)
        path = request.path_params["path"].strip("/")
        file = page.repository.entry(page.commit, path)
        if not isinstance(file, File):
            return RedirectResponse(page.at("tree", path), 303)
        folder, _, name = path.rpartition("/")
        image = image_type(path) if file.size <= LARGEST_IMAGE else None
        text = None if image and image != "image/svg+xml" else self._text(page, file, request.query_params.get("json"))
        return self._site.render(
            request,
            "blob.html",
            page=page,
            file=file,
            name=name,
            digest=digest_of(file),
            crumbs=crumbs_of(page, path),
            change=last_changes(page.repository, page.commit, folder, (name,)).get(name),
            image=image,
            shown=text,
            opens_as=_opens_as(kind, path),
            most_bytes=LARGEST_TEXT,
        )

    def _text(self, page: RepositoryPage, file: File, wish: str | None) -> ShownText | None:
        read = read_text(beginning(page.repository, self._blobs, file, LARGEST_TEXT), file.size)
        if read is None:
            return None
        pretty = pretty_json(read.text) if read.whole and file.path.endswith(".json") else None
        if pretty in (None, read.text):
            return _shown(read, read.text, None)
        in_few_lines = len(lines_of(read.text)) <= _FEW_LINES and len(read.text) > _LONG
        as_json = wish if wish in ("pretty", "raw") else "pretty" if in_few_lines else "raw"
        return _shown(read, pretty if as_json == "pretty" and pretty else read.text, as_json)


def _shown(read: Text, text: str, as_json: str | None) -> ShownText:
    text = text.replace("\r\n", "\n")
    tamed = tame(text, len(text))
    return ShownText(read, shown_lines(tamed), len(lines_of(tamed)), as_json, hides=tamed != text)


def _opens_as(kind: str, path: str) -> str | None:
    """Return the place of a page that says more of such a file."""
    if kind == "models" and path.endswith((".safetensors", ".safetensors.index.json")):
        return "tensors"
    return "viewer" if kind == "datasets" and path.endswith((".parquet", ".jsonl", ".csv")) else None
