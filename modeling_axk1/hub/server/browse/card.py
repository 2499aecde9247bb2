"""The card of a repository, what is known of it at a glance, and how to load it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.address import RepositoryPage, base_of, of_both_kinds
from modeling_axk1.hub.server.browse.front_matter import CARDS, body_of_card, listed, rows_of_card
from modeling_axk1.hub.server.browse.markdown import Links, Rendered, render
from modeling_axk1.hub.server.browse.reader import reader_of
from modeling_axk1.hub.server.browse.shown import tame
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.browse.snippet import newest_tag, snippet_of
from modeling_axk1.hub.server.cache import Cache
from modeling_axk1.hub.server.cards import card_of
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import DEFAULT_BRANCH, File, Folder
from modeling_axk1.hub.server.requests import endpoint_of
from modeling_axk1.hub.server.store import BlobStore

# Bytes; front matter alone may be long, where it lists many results.
_LONGEST_CARD = 1024 * 1024
# Where a release writes what it counted, by JSON.
_COUNTED = {"results/variant.json", "results/plan.json"}
_LARGEST_COUNT = 1024 * 1024
_REMEMBERED = 32 * 1024 * 1024
_MOST_RELATED = 10
_MOST_TAGS = 30

_rendered = Cache(_REMEMBERED)


@dataclass(frozen=True)
class Related:
    """A repository that a card names; `address` is where it is on this hub, None when it is not, or not for all."""

    repo_id: str
    address: str | None


class Cards:
    """README.md at a revision, or README.ko.md for who reads Korean."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site
        self._access = access

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [*of_both_kinds("", self._card), *of_both_kinds("/card/{revision:quoted}", self._card)]

    def _card(self, kind: str, request: Request) -> Response:
        page = self._site.repository_page(request, kind)
        entries = page.repository.listing(page.commit, recursive=True)
        files = [entry for entry in entries if isinstance(entry, File)]
        cards = {language: file for language, path in CARDS.items() for file in files if file.path == path}
        wanted = (request.query_params.get("card"), reader_of(request).language, *cards)
        shown = next((language for language in wanted if language in cards), None)
        data = card_of(page.repository, files)
        main = _text(page, cards["en"]) if "en" in cards else ""
        rows, unreadable = rows_of_card(main)
        load_revision = page.revision
        if page.revision == DEFAULT_BRANCH:
            load_revision = newest_tag(page.repository) or page.commit
        return self._site.render(
            request,
            "card.html",
            page=page,
            cards=cards,
            shown=shown,
            card=_render(page, cards[shown], entries) if shown else None,
            rows=rows,
            unreadable=unreadable,
            data={name: [tame(value, 60) for value in listed(data.get(name))[:_MOST_TAGS]] for name in _FACTS},
            related={name: self._related(request, data, name, kind) for name, kind in _RELATED.items()},
            files=len(files),
            bytes=sum(file.size for file in files),
            parameters=_parameters(page, files),
            changed=page.repository.commit_entry(page.commit).date,
            snippet=snippet_of(page.repository, kind, page.repo_id, load_revision, endpoint_of(request), data),
            needs_token=self._access.needs_token(page.kind, page.namespace, page.name),
        )

    def _related(self, request: Request, data: dict[str, Any], name: str, kind: str) -> list[Related]:
        found = []
        for repo_id in listed(data.get(name))[:_MOST_RELATED]:
            address = None
            namespace, slash, rest = repo_id.partition("/")
            if slash:
                try:
                    self._access.named(request, kind, namespace, rest, "read")
                    address = base_of(kind, repo_id)
                except Refusal:
                    address = None
            found.append(Related(tame(repo_id, 200), address))
        return found


_FACTS = ("license", "language", "pipeline_tag", "task_categories", "library_name", "tags")
_RELATED = {"base_model": "models", "datasets": "datasets"}


def _parameters(page: RepositoryPage, files: Sequence[File]) -> int | None:
    """Return the number of parameters that the release counted; None where none did (the tensors' page counts)."""
    for file in files:
        if file.path in _COUNTED and not file.pointer and file.size <= _LARGEST_COUNT:
            try:
                counted = json.loads(page.repository.content(file))["counted"]["parameters"]
            except (ValueError, TypeError, LookupError, RecursionError):
                continue
            if isinstance(counted, int) and 0 < counted < 10**18:
                return counted
    return None


def _text(page: RepositoryPage, file: File) -> str:
    """Return a card, or nothing for what is too long to be one."""
    if file.pointer or file.size > _LONGEST_CARD:
        return ""
    return page.repository.content(file).decode("utf-8", "replace")


def _render(page: RepositoryPage, file: File, entries: Sequence[File | Folder]) -> Rendered | None:
    """Return a card as HTML; None when it is too long or too deep."""
    if file.pointer or file.size > _LONGEST_CARD:
        return None
    folders = {entry.path for entry in entries if isinstance(entry, Folder)}
    links = Links(page=partial(_address, page, folders), image=partial(_image, page))
    key = (file.oid, page.base, page.revision, page.commit)
    found: Rendered | None = _rendered.get(
        key, lambda: render(body_of_card(_text(page, file)), links), lambda it: 2 * len(it.html) + 1000 if it else 1000
    )
    return found


def _address(page: RepositoryPage, folders: set[str], path: str) -> str:
    """Return the page of a file or folder that a card links to; of a card, the page that this is."""
    for language, name in CARDS.items():
        if path == name:
            return f"{page.card}?card={language}"
    return page.at("tree" if path in folders else "blob", path)


def _image(page: RepositoryPage, path: str) -> str:
    """Return where a picture of the repository is handed out as one, inert (`blob`)."""
    return page.at("image", path, revision=page.commit)
