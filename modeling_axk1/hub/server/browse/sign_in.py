"""Signing in with a token of this hub, and out."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.settings import back_of, form_of
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.store import BlobStore


class SignIn:
    """The form and what it does; what the cookie opens is written in `sessions`."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site
        self._access = access

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/-/sign-in", self._form),
            Route("/-/sign-in", self._sign_in, methods=["POST"]),
            Route("/-/sign-out", self._sign_out, methods=["GET", "POST"]),
        ]

    def _form(self, request: Request) -> Response:
        return self._site.render(request, "sign_in.html", back=back_of(dict(request.query_params)), wrong=False)

    async def _sign_in(self, request: Request) -> Response:
        form = await form_of(request)
        back = back_of(form)
        response = RedirectResponse(back, 303)
        if not self._access.sessions.begin(form.get("token", "").strip(), request, response):
            return await run_in_threadpool(self._site.render, request, "sign_in.html", 403, back=back, wrong=True)
        return response

    async def _sign_out(self, request: Request) -> Response:
        response = RedirectResponse("/", 303)
        if request.method == "POST":
            self._access.sessions.end(response)
        return response
