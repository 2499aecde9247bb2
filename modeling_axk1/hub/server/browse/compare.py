"""What changed: between two revisions, or in one commit."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.address import RepositoryPage, of_both_kinds
from modeling_axk1.hub.server.browse.changed import Change, Changes, changes_between
from modeling_axk1.hub.server.browse.contents import digest_of
from modeling_axk1.hub.server.browse.detail import Detail, Details
from modeling_axk1.hub.server.browse.history import revisions_of
from modeling_axk1.hub.server.browse.paging import part_of
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.browse.tensor_changes import tensor_changes
from modeling_axk1.hub.server.refusal import entry_not_found
from modeling_axk1.hub.server.repository import CommitEntry
from modeling_axk1.hub.server.store import BlobStore

_FILES_ON_A_PAGE = 100
# Of how many files a page tells how they changed; of any one by itself, with ?path=.
_MOST_DETAILS = 30
_MOST_OFFERED = 100


class Comparisons:
    """The pages of changes. The form is a plain GET to /compare, which leads to the address of the answer."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site
        self._blobs = blobs

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            *of_both_kinds("/compare", self._choose),
            *of_both_kinds("/compare/{revision:quoted}/{other:quoted}", self._compare),
            *of_both_kinds("/commit/{revision:quoted}", self._commit),
        ]

    def _choose(self, kind: str, request: Request) -> Response:
        page = self._site.repository_page(request, kind)
        before, after = (request.query_params.get(name, "").strip() for name in ("from", "to"))
        if before and after:
            return RedirectResponse(page.of("compare", before, after), 303)
        return RedirectResponse(page.of("revisions"), 303)

    def _compare(self, kind: str, request: Request) -> Response:
        before = self._site.repository_page(request, kind)
        after = self._site.repository_page(request, kind, request.path_params["other"])
        branches, tags = revisions_of(after.repository)
        return self._answer(
            request,
            before,
            after,
            after.of("compare", before.revision, after.revision),
            branches=branches[:_MOST_OFFERED],
            tags=tags[:_MOST_OFFERED],
        )

    def _commit(self, kind: str, request: Request) -> Response:
        after = self._site.repository_page(request, kind)
        with after.repository.objects() as objects:
            facts = objects.commit(after.commit.encode())
        parent = facts.parent.decode() if facts.parent else None
        before = self._site.repository_page(request, kind, parent) if parent else None
        entry = CommitEntry(after.commit, facts.message, facts.date)
        return self._answer(request, before, after, after.of("commit", after.commit), entry=entry)

    def _answer(
        self, request: Request, before: RepositoryPage | None, after: RepositoryPage, address: str, **values: Any
    ) -> Response:
        repository = after.repository
        changes = changes_between(repository, before.commit if before else None, after.commit)
        alone = request.query_params.get("path")
        shown = _only(changes, alone) if alone else changes.files
        part = part_of(request, shown, _FILES_ON_A_PAGE)
        return self._site.render(
            request,
            "compare.html",
            page=after,
            before=before,
            address=address,
            changes=changes,
            counts={kind: len(changes.of_kind(kind)) for kind in ("added", "removed", "changed", "moved")},
            part=part,
            alone=alone,
            details=self._details(after, part.items),
            told=sum(map(_is_told, part.items)),
            tensors=tensor_changes(repository, self._blobs, shown) if part.number == 1 else None,
            digest_of=digest_of,
            **{"entry": None, "branches": [], "tags": [], **values},
        )

    def _details(self, page: RepositoryPage, changes: Sequence[Change]) -> list[Detail]:
        details = Details(page.repository, self._blobs)
        # Safetensors files are told together, as tensors move from one to another.
        changed = [change for change in changes if _is_told(change)]
        return [details.of(change) for change in changed[:_MOST_DETAILS]]


def _is_told(change: Change) -> bool:
    return change.kind == "changed" and not change.path.endswith(".safetensors")


def _only(changes: Changes, path: str) -> list[Change]:
    found = [change for change in changes.files if change.path == path]
    if not found:
        raise entry_not_found(path)
    return found
