"""The front page, and the lists of models and datasets: searched, filtered, sorted, in pages."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.browse.summaries import Summary, summary_of
from modeling_axk1.hub.server.names import KINDS
from modeling_axk1.hub.server.pages import whole_number
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.store import BlobStore

ON_A_PAGE = 30
_ON_THE_FRONT = 6
# What a list can be filtered by: the field of the form and of Summary.
FACETS = {"task": "tasks", "language": "languages", "licence": "licences", "library": "libraries"}
SORTS = ("changed", "name")
_MOST_CHOICES = 100
_LONGEST_SEARCH = 200


@dataclass(frozen=True)
class Query:
    """What a list was asked for: the address of a page holds all of it."""

    search: str
    chosen: dict[str, str]
    sort: str

    @classmethod
    def of(cls, request: Request) -> "Query":
        """Return what a request asks for; refuses an unknown order."""
        asked = request.query_params
        sort = asked.get("sort") or SORTS[0]
        if sort not in SORTS:
            raise Refusal(400, f"sort must be one of {', '.join(SORTS)}, got {sort[:40]!r}")
        chosen = {facet: asked[facet] for facet in FACETS if asked.get(facet)}
        return cls(asked.get("search", "")[:_LONGEST_SEARCH].strip(), chosen, sort)

    def address(self, kind: str, page: int = 1) -> str:
        """Return the path of a page of this list."""
        fields = {"search": self.search, **self.chosen, "sort": self.sort if self.sort != SORTS[0] else ""}
        query = {name: value for name, value in fields.items() if value} | ({"page": page} if page > 1 else {})
        return f"/{kind}?{urlencode(query)}" if query else f"/{kind}"

    def finds(self, summary: Summary) -> bool:
        """Tell whether every word of the search and every filter fits a repository."""
        if any(value not in getattr(summary, FACETS[facet]) for facet, value in self.chosen.items()):
            return False
        if not self.search:
            return True
        text = summary.text()
        return all(word in text for word in self.search.casefold().split())


class Lists:
    """The pages that show many repositories."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site
        self._access = access

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/", self._front), *(Route(f"/{kind}", partial(self._list, kind)) for kind in KINDS.values())]

    def _front(self, request: Request) -> Response:
        found = self._summaries(request)
        found.sort(key=lambda summary: -summary.date)
        kinds = {kind: [summary for summary in found if summary.kind == kind] for kind in KINDS.values()}
        return self._site.render(request, "front.html", kinds=kinds, shown=_ON_THE_FRONT)

    def _list(self, kind: str, request: Request) -> Response:
        query = Query.of(request)
        everything = self._summaries(request)
        of_kind = [summary for summary in everything if summary.kind == kind]
        found = [summary for summary in of_kind if query.finds(summary)]
        found.sort(key=(lambda one: -one.date) if query.sort == "changed" else (lambda one: one.repo_id.casefold()))
        last = max(1, -(-len(found) // ON_A_PAGE))
        page = min(whole_number(request, "page", 1, smallest=1), last)
        other = next(name for name in KINDS.values() if name != kind)
        elsewhere = sum(1 for summary in everything if summary.kind == other and query.finds(summary))
        return self._site.render(
            request,
            "list.html",
            kind=kind,
            query=query,
            facets={facet: _choices(of_kind, field, query.chosen.get(facet)) for facet, field in FACETS.items()},
            sorts=SORTS,
            found=found[(page - 1) * ON_A_PAGE : page * ON_A_PAGE],
            total=len(found),
            everything=len(of_kind),
            number=page,
            last=last,
            other=other,
            elsewhere=elsewhere if query.search or query.chosen else 0,
        )

    def _summaries(self, request: Request) -> list[Summary]:
        found = []
        for kind, name in self._access.visible(request):
            with suppress(Refusal):  # deleted a moment ago, or its main names nothing
                found.append(summary_of(self._access.catalog, kind, name))
        return found


def _choices(summaries: list[Summary], field: str, chosen: str | None) -> list[tuple[str, int]]:
    """Return (value, how many have it) of a filter, the most frequent first, and always what is chosen."""
    counted = Counter(value for summary in summaries for value in getattr(summary, field))
    choices = sorted(counted.items(), key=lambda item: (-item[1], item[0].casefold()))[:_MOST_CHOICES]
    if chosen and chosen not in dict(choices):
        choices.append((chosen, counted[chosen]))
    return choices
