"""What every page has: its layout, its words, its security policy, who reads it."""

import hashlib
from functools import partial
from importlib.resources import files
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.address import RepositoryPage, base_of
from modeling_axk1.hub.server.browse.reader import THEMES, reader_of
from modeling_axk1.hub.server.browse.shown import FILTERS
from modeling_axk1.hub.server.browse.words import LANGUAGES, read_words
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.repository import DEFAULT_BRANCH
from modeling_axk1.hub.server.requests import endpoint_of

# Nothing runs, loads or is sent anywhere but to this hub's own files, whatever a card smuggles in.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Within the hub only: with no referrer at all, browsers would hide where its own forms come from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
    "Vary": "Accept, Accept-Language, Cookie",
}


class Site:
    """Makes pages of templates. One for each process; nothing in it ever changes."""

    def __init__(self, access: Access, catalog: Catalog) -> None:
        self._access = access
        self._catalog = catalog
        self._words = read_words()
        self.static = {
            file.name: file.read_bytes() for file in (files(__package__) / "static").iterdir() if file.is_file()
        }
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader(__package__, "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters |= FILTERS
        self._templates.globals |= {"static": self._static_address, "base_of": base_of}

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page in the reader's language and theme.

        A template has `say` (words), `reader`, `endpoint`, `path` (of this very page, for forms that come back),
        `signed_in` (a name or None), `may_sign_in`, and the filters of `shown`.
        """
        reader = reader_of(request)
        signed_in = self._access.signed_in(request)
        query = f"?{request.url.query}" if request.url.query else ""
        page = self._templates.get_template(template).render(
            say=partial(self.say, language=reader.language),
            reader=reader,
            languages=LANGUAGES,
            themes=THEMES,
            endpoint=endpoint_of(request),
            path=request.url.path + query,
            signed_in=signed_in,
            may_sign_in=self._access.knows_tokens and signed_in is None,
            **values,
        )
        return HTMLResponse(page, status, headers=HEADERS | {"Content-Language": reader.language})

    def say(self, key: str, /, language: str, **values: object) -> str:
        """Return the text of "FEATURE.key" in a language, its {names} filled; raises KeyError for an unknown key."""
        text = self._words[key][language]
        return text.format(**values) if values else text

    def repository_page(self, request: Request, kind: str, revision: str | None = None) -> RepositoryPage:
        """Return what a request's path names, at `revision`, else at the path's own, else at main.

        Refuses what the caller may not see and what is not there.
        """
        repository = self._access.repository(request, kind, "read")
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        named = revision or request.path_params.get("revision", DEFAULT_BRANCH)
        return RepositoryPage(
            kind,
            namespace,
            name,
            repository,
            named,
            repository.resolve(named),
            self._catalog.is_public(kind, namespace, name),
        )

    def _static_address(self, name: str) -> str:
        """Return the address of a static file; it changes with the file, so a browser may keep what it has for good."""
        return f"/-/static/{name}?v={hashlib.sha256(self.static[name]).hexdigest()[:12]}"
