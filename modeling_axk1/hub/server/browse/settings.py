"""A reader's language and theme, chosen by the buttons at the foot of every page."""

from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.reader import LANGUAGE_COOKIE, THEME_COOKIE, THEMES
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.browse.words import LANGUAGES
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.requests import body_of
from modeling_axk1.hub.server.store import BlobStore

_YEAR_SECONDS = 365 * 24 * 3600
_CHOICES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "language": (LANGUAGE_COOKIE, LANGUAGES),
    "theme": (THEME_COOKIE, THEMES),
}


class Settings:
    """Keeps the choices in cookies: the hub itself remembers nothing of its readers."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        pass

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/-/settings", self._settle, methods=["GET", "POST"])]

    async def _settle(self, request: Request) -> Response:
        # Only a form changes anything; who opens its address, as after an error, is led home.
        form = await form_of(request) if request.method == "POST" else {}
        response = RedirectResponse(back_of(form), 303)
        for field, (cookie, allowed) in _CHOICES.items():
            if (value := form.get(field)) is not None:
                if value not in allowed:
                    raise Refusal(400, f"{field} must be one of {', '.join(allowed)}, got {value[:40]!r}")
                response.set_cookie(
                    cookie,
                    value,
                    max_age=_YEAR_SECONDS,
                    httponly=True,
                    samesite="lax",
                    secure=request.url.scheme == "https",
                )
        return response


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form that a page of this hub sent."""
    fields = parse_qs((await body_of(request)).decode("utf-8", "replace"))
    return {name: values[-1] for name, values in fields.items()}


def back_of(fields: dict[str, str]) -> str:
    """Return the path to go back to after a form: on this hub, whatever the address of the form said."""
    back = fields.get("back", "/")
    is_here = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable() and back.isascii()
    return back if is_here else "/"
