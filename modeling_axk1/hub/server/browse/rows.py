"""The rows of a dataset: a page of them, or one in full."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.address import RepositoryPage
from modeling_axk1.hub.server.browse.dataset import MOST_FILES, Chosen, choose, given, is_compressed
from modeling_axk1.hub.server.browse.on_disk import digest
from modeling_axk1.hub.server.browse.sandbox import UnreadableError, the_sandbox
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.pages import whole_number
from modeling_axk1.hub.server.store import BlobStore

VIEWER = "/datasets/{namespace:quoted}/{name:quoted}/viewer/{revision:quoted}"

ON_A_PAGE = 20
# Characters of a value among others; of one in a row on its own, and of all of that row's.
_SHORT = 200
_LONG = 200_000
_MOST = 1_000_000

# Of each process: how many rows files have, by their digests and how they are read.
_counts: dict[tuple[str, str, bool], int] = {}
_MOST_COUNTS = 100_000


class Rows:
    """The pages of a dataset's rows."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site
        self._blobs = blobs

    def routes(self) -> list[Route]:
        """Return the route: ?page= asks for a page of rows, ?row= for one row with all it has."""
        return [Route(VIEWER, self._viewer)]

    def _viewer(self, request: Request) -> Response:
        page = self._site.repository_page(request, "datasets")
        chosen = choose(request, page.repository, page.commit)
        one = "row" in request.query_params
        number = whole_number(request, "row" if one else "page", 1, smallest=1)
        values: dict[str, Any] = {"number": number, "total": None, "found": None, "problem": None}
        status = 200
        if chosen.split is not None:
            start, count, longest = (number - 1, 1, _LONG) if one else ((number - 1) * ON_A_PAGE, ON_A_PAGE, _SHORT)
            try:
                values |= self._read(page, chosen, start, count, longest)
            except UnreadableError as error:
                values["problem"], status = str(error), 422
        template = "row.html" if one else "rows.html"
        return self._site.render(
            request, template, status, page=page, chosen=chosen, on_a_page=ON_A_PAGE, most_files=MOST_FILES, **values
        )

    def _read(self, page: RepositoryPage, chosen: Chosen, start: int, count: int, longest: int) -> dict[str, Any]:
        assert chosen.split is not None
        keys = [(digest(file), chosen.split.format, is_compressed(file)) for file in chosen.files]
        counts = [_counts.get(key) for key in keys]
        with given(page.repository, self._blobs, chosen.files, _needed(counts, start, start + count)) as files:
            for file, rows in zip(files, counts, strict=False):
                file["rows"] = rows
            answer = the_sandbox.run(
                "rows",
                [*chosen.about(), start, longest],
                files=files,
                format=chosen.split.format,
                start=start,
                count=count,
                longest=longest,
                most=_MOST,
            )
        found = json.loads(answer)
        if len(_counts) > _MOST_COUNTS:
            _counts.clear()
        _counts.update((key, rows) for key, rows in zip(keys, found["counts"], strict=False) if rows is not None)
        is_all = None not in found["counts"] and len(files) == len(chosen.split.files)
        names = list(dict.fromkeys([*found["types"], *(name for row in found["rows"] for name in row["cells"])]))
        total = sum(found["counts"]) if is_all else None
        return {"found": found, "names": names, "total": total, "wrong": _named(found["problems"], chosen)}


def _needed(counts: list[int | None], start: int, end: int) -> list[bool]:
    """Tell of each file whether it may hold one of the rows from `start` to `end`, or must be counted."""
    needed: list[bool] = []
    before = 0
    for rows in counts:
        if rows is None:  # nor is it known then where the files after it begin
            return needed + [True] * (len(counts) - len(needed))
        needed.append(before < end and before + rows > start)
        before += rows
    return needed


def _named(problems: list[tuple[int, str]], chosen: Chosen) -> list[tuple[str, str]]:
    """Return what is wrong with which file."""
    return [(chosen.files[place].path, why) for place, why in problems]
