"""Statistics of a dataset's columns."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.dataset import MOST_FILES, Chosen, choose, given
from modeling_axk1.hub.server.browse.kept import Kept
from modeling_axk1.hub.server.browse.rows import VIEWER
from modeling_axk1.hub.server.browse.sandbox import UnreadableError, the_sandbox
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.repository import Repository
from modeling_axk1.hub.server.store import BlobStore


class Columns:
    """The page of a split's columns."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site
        self._blobs = blobs
        self._kept = Kept(blobs.root.parent)

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route(f"{VIEWER}/columns", self._columns)]

    def _columns(self, request: Request) -> Response:
        page = self._site.repository_page(request, "datasets")
        chosen = choose(request, page.repository, page.commit)
        values: dict[str, Any] = {"found": None, "problem": None}
        status = 200
        if chosen.split is not None:
            try:
                values["found"] = self._found(page.repository, chosen)
            except UnreadableError as error:
                values["problem"], status = str(error), 422
        return self._site.render(
            request, "columns.html", status, page=page, chosen=chosen, most_files=MOST_FILES, **values
        )

    def _found(self, repository: Repository, chosen: Chosen) -> dict[str, Any]:
        assert chosen.split is not None
        split = chosen.split

        def read() -> bytes:
            with given(repository, self._blobs, chosen.files) as files:
                answer = the_sandbox.run("columns", chosen.about(), files=files, format=split.format)
            return json.dumps(json.loads(answer) | {"files": len(files)}).encode()

        found: dict[str, Any] = json.loads(self._kept.get("columns", chosen.about(), read))
        found["whole"] = found["whole"] and found["files"] == len(split.files)
        found["problems"] = [(chosen.files[place].path, why) for place, why in found["problems"]]
        return found
