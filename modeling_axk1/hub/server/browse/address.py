"""Where a page is: the repository and the revision it is about, and the addresses of its neighbours."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.names import REPOSITORY_PREFIXES
from modeling_axk1.hub.server.repository import DEFAULT_BRANCH, Repository


@dataclass(frozen=True)
class RepositoryPage:
    """One page about a repository at a revision.

    `kind` is "models" or "datasets"; `revision` what the address calls it (a branch, a tag, an id), `commit` its id.
    """

    kind: str
    namespace: str
    name: str
    repository: Repository
    revision: str
    commit: str
    is_public: bool

    @property
    def repo_id(self) -> str:
        """NAMESPACE/NAME."""
        return f"{self.namespace}/{self.name}"

    @property
    def base(self) -> str:
        """The path of the repository, without a final slash."""
        return base_of(self.kind, self.repo_id)

    @property
    def card(self) -> str:
        """The path of the card at this revision; at main it is the repository's own."""
        return self.base if self.revision == DEFAULT_BRANCH else self.at("card")

    def at(self, place: str, path: str = "", revision: str | None = None, **query: object) -> str:
        """Return the path of a place of this repository at this revision, or at another.

        Example: `page.at("tree", "data/train")` is "/team/model/tree/main/data/train".
        """
        address = f"{self.base}/{place}/{quote(revision or self.revision, safe='')}"
        address += f"/{quote(path)}" if path else ""
        given = {key: value for key, value in query.items() if value is not None}
        return f"{address}?{urlencode(given)}" if given else address

    def of(self, place: str, *parts: str) -> str:
        """Return the path of a place that is about no single revision: `page.of("compare", "v1", "main")`."""
        return "/".join((self.base, place, *(quote(part, safe="") for part in parts)))


def base_of(kind: str, repo_id: str) -> str:
    """Return the path of a repository, without a final slash."""
    return f"{dict(REPOSITORY_PREFIXES)[kind]}/{quote(repo_id)}"


def of_both_kinds(path: str, page: Callable[[str, Request], Response]) -> list[Route]:
    """Return the routes of a page below every dataset and every model; `page` is called with the kind first."""
    return [
        Route(f"{prefix}/{{namespace:quoted}}/{{name:quoted}}{path}", partial(page, kind))
        for kind, prefix in REPOSITORY_PREFIXES
    ]
