"""How the hub says what went wrong: a page to a browser, JSON or plain text as ever to all others."""

import errno
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.requests import refuse
from modeling_axk1.hub.server.sessions import known_to_browsers

# A browser challenged to Basic, as git is, would itself ask for a name and a password, and send them ever after.
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="axk1 hub"'}
# Statuses that have words of their own.
_TOLD = {400, 401, 403, 404, 405}


class Errors:
    """Turns exceptions into answers."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def handlers(self) -> dict[Any, Any]:
        """Return {exception: what answers it}, as Starlette takes them."""
        return {
            Refusal: self._on_refusal,
            OSError: self._on_os_error,
            HTTPException: self._on_http_exception,
            ClientDisconnect: self._on_disconnect,
            Exception: self._on_bug,
        }

    def answer(self, request: Request, refusal: Refusal) -> Response:
        """Return the answer to a request that is turned down."""
        if not _wants_page(request):
            return refuse(refusal)
        known_to_browsers(request.scope)  # who is signed in reads so on this page, too
        told = refusal.status if refusal.status in _TOLD else 500
        page = self._site.render(request, "error.html", refusal.status, told=told, message=refusal.message)
        page.headers.update(refusal.headers)
        if refusal.status == 401:
            page.headers.update(_CHALLENGE)
        return page

    def _on_refusal(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return self.answer(request, error)

    def _on_os_error(self, request: Request, error: Exception) -> Response:
        """Turn a full disk into 507, which clients do not retry, and say that nothing was changed."""
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return self.answer(request, Refusal(507, "the hub's disk is full; nothing was changed"))
        if isinstance(error, OSError) and error.errno == errno.EROFS:
            return self.answer(request, Refusal(503, "the hub's disk is read-only; nothing was changed"))
        raise error

    def _on_http_exception(self, request: Request, error: Exception) -> Response:
        """Answer for an address that no route knows (404), or not with this method (405)."""
        assert isinstance(error, HTTPException)
        if _wants_page(request):
            return self.answer(request, Refusal(error.status_code, f"{request.method} {request.url.path}"))
        return PlainTextResponse(error.detail, error.status_code, headers=error.headers)

    def _on_bug(self, request: Request, error: Exception) -> Response:
        """Answer for a mistake of the hub's own; what it was goes to its stderr, not to the reader."""
        if _wants_page(request):
            return self.answer(request, Refusal(500, "Internal Server Error"))
        return PlainTextResponse("Internal Server Error", 500)

    def _on_disconnect(self, request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # nobody is there to read it


def _wants_page(request: Request) -> bool:
    """Tell whether a request comes from a browser that would show the answer."""
    is_api = request.url.path.startswith(("/api/", "/xet/"))
    return "text/html" in request.headers.get("accept", "") and not is_api
