"""The outermost layer: a number and a log line for every request, counters, and an end to bodies that never come."""

import asyncio
import re
import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modeling_axk1.hub.server.log import RequestLog
from modeling_axk1.hub.server.metrics import OTHER_ROUTE, Metrics, template
from modeling_axk1.hub.server.pieces import ZERO_COPY
from modeling_axk1.hub.server.refusal import Refusal

# Seconds in which some more of a request's body must come.
_PATIENCE_SECONDS = 60.0
_UPLOADS = {"PUT", "PATCH"}
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

# Left in a request's scope: the caller's name, by `access`; the path of its route, by `naming`.
WHO = "axk1.who"
_ROUTE = "axk1.route"


def naming(path: str, app: ASGIApp) -> ASGIApp:
    """Return a route's `app` that says, when it is called, that it is the one at `path`."""

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        scope[_ROUTE] = path
        await app(scope, receive, send)

    return named


class Observed:
    """Wraps `app`, whose routes say which they are (`naming`)."""

    def __init__(self, app: ASGIApp, log: RequestLog, metrics: Metrics) -> None:
        self._app = app
        self._log = log
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and tell what came of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        seen = _Seen(receive, send, _request_id(scope))
        is_upload = scope["method"] in _UPLOADS
        if is_upload:
            self._metrics.upload_began()
        error = None
        try:
            await self._app(scope, seen.receive, seen.send)
        except BaseException as caught:
            error = type(caught).__name__
            raise
        finally:
            if is_upload:
                self._metrics.upload_ended()
            seconds = time.perf_counter() - began
            # A status of its own for clients that went away before they had an answer, as nginx writes it.
            status = seen.status or (500 if error not in (None, "CancelledError") else 499)
            route = scope.get(_ROUTE, OTHER_ROUTE)
            self._metrics.finished(route, status, seconds, seen.bytes_in, seen.bytes_out)
            self._log.write(
                id=seen.request_id,
                who=scope.get(WHO),
                method=scope["method"][:16],
                route=template(route),
                repository=_repository(scope),
                status=status,
                bytes_in=seen.bytes_in,
                bytes_out=seen.bytes_out,
                milliseconds=round(seconds * 1000, 1),
                error=error,
            )


class _Seen:
    """What passes between the server and the application."""

    def __init__(self, receive: Receive, send: Send, request_id: str) -> None:
        self._receive = receive
        self._send = send
        self.request_id = request_id
        self.status = self.bytes_in = self.bytes_out = 0
        self._body_is_here = False

    async def receive(self) -> Message:
        # When all of the body is here, this only waits for the client to go away, which may take as long as it likes.
        if self._body_is_here:
            return await self._receive()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                message = await self._receive()
        except TimeoutError:
            self._body_is_here = True
            raise Refusal(408, f"more of a request's body must come within {_PATIENCE_SECONDS:g} seconds") from None
        if message["type"] == "http.request":
            self.bytes_in += len(message.get("body", b""))
            self._body_is_here = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
            message = {**message, "headers": headers}
        elif message["type"] == ZERO_COPY:
            self.bytes_out += message["count"]
        else:
            self.bytes_out += len(message.get("body", b""))
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """Return the number that a proxy in front gave the request, or a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _repository(scope: Scope) -> str | None:
    found = scope.get("path_params") or {}
    return f"{found['namespace']}/{found['name']}"[:200] if {"namespace", "name"} <= found.keys() else None
