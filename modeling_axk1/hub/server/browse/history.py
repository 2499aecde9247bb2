"""The revisions of a repository: branches, tags, and the commits that lead to one."""

from dataclasses import dataclass

from dulwich.objects import Tag
from dulwich.refs import DiskRefsContainer
from dulwich.repo import Repo
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.address import of_both_kinds
from modeling_axk1.hub.server.browse.last_change import history_of
from modeling_axk1.hub.server.browse.paging import part_of
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.repository import DEFAULT_BRANCH, CommitEntry, Repository
from modeling_axk1.hub.server.store import BlobStore

_TAGS_ON_A_PAGE = 50
_COMMITS_ON_A_PAGE = 50
_MOST_BRANCHES = 200


@dataclass(frozen=True)
class Named:
    """A branch or tag, the commit that it names, and what was written beside an annotated tag."""

    name: str
    commit: CommitEntry
    note: str = ""


class Histories:
    """The pages of revisions and of commits."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            *of_both_kinds("/revisions", self._revisions),
            *of_both_kinds("/commits/{revision:quoted}", self._commits),
        ]

    def _revisions(self, kind: str, request: Request) -> Response:
        page = self._site.repository_page(request, kind)
        branches, tags = revisions_of(page.repository)
        part = part_of(request, tags, _TAGS_ON_A_PAGE)
        notes = _notes(page.repository, [tag.name for tag in part.items])
        return self._site.render(
            request,
            "revisions.html",
            page=page,
            branches=branches[:_MOST_BRANCHES],
            more_branches=max(0, len(branches) - _MOST_BRANCHES),
            tags=[Named(tag.name, tag.commit, notes.get(tag.name, "")) for tag in part.items],
            part=part,
        )

    def _commits(self, kind: str, request: Request) -> Response:
        page = self._site.repository_page(request, kind)
        path = request.query_params.get("path", "").strip("/")
        if path:
            commits, complete = history_of(page.repository, page.commit, path)
        else:
            commits, complete = page.repository.history(page.commit), True
        part = part_of(request, commits, _COMMITS_ON_A_PAGE)
        return self._site.render(request, "commits.html", page=page, folder_or_file=path, part=part, complete=complete)


def revisions_of(repository: Repository) -> tuple[list[Named], list[Named]]:
    """Return (branches, tags): of the branches main first, of both the one whose commit is the newest."""
    branches, tags = repository.references()
    with repository.objects() as objects:

        def named(references: dict[str, str]) -> list[Named]:
            found = []
            for name, oid in references.items():
                facts = objects.commit(oid.encode())
                found.append(Named(name, CommitEntry(oid, facts.message, facts.date)))
            return sorted(found, key=lambda one: (one.name != DEFAULT_BRANCH, -one.commit.date, one.name))

        return named(branches), named(tags)


def _notes(repository: Repository, tags: list[str]) -> dict[str, str]:
    """Return {tag: its message} of those tags that have one of their own."""
    references = DiskRefsContainer(repository.path).as_dict(b"refs/tags")
    notes = {}
    with Repo(repository.path) as repo:
        for name in tags:
            oid = references.get(name.encode())
            tag = repo[oid] if oid else None
            if isinstance(tag, Tag) and tag.message:
                notes[name] = tag.message.decode("utf-8", "replace").strip()
    return notes
