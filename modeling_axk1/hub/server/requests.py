"""What every handler needs from a request, and how it says what went wrong."""

import json
from typing import Any
from urllib.parse import unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modeling_axk1.hub.server.refusal import Refusal

# Lists of paths in preupload and paths-info are the largest of these.
_LARGEST_BODY = 64 * 1024 * 1024
_LONGEST_REASON = 1024


class _Quoted(Convertor[str]):
    """One part of a URL path. Clients send `refs%2Fpr%2F1` as one part, so routes are matched before unquoting."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        raise NotImplementedError("URLs are written where they are sent")


class _QuotedPath(_Quoted):
    """The rest of a URL path."""

    regex = ".+"


register_url_convertor("quoted", _Quoted())
register_url_convertor("quoted_path", _QuotedPath())


def endpoint_of(request: Request) -> str:
    """Return the address by which the client reached this hub, without a final slash."""
    return str(request.base_url).rstrip("/")


async def body_of(request: Request) -> bytes:
    """Return the body of a request that is not an upload; refuses a larger one than any of them needs (413)."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise Refusal(413, f"this request's body must not exceed {_LARGEST_BODY} bytes")
    return bytes(body)


async def json_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request's body; an empty body is an empty object."""
    body = await body_of(request)
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refusal(400, f"the body must be a JSON object, got {body[:80]!r}")
    return value


def refuse(refusal: Refusal, **facts: str) -> Response:
    """Return the HTTP error for a refusal, in the form that huggingface_hub reads; `facts` go beside the message."""
    # One line of a header, whatever the request had in it, and short enough for a proxy's buffer.
    told = "".join(character if character.isprintable() else " " for character in refusal.message)
    told = told.encode("ascii", "backslashreplace").decode()[:_LONGEST_REASON]
    headers = {**refusal.headers, "X-Error-Message": told}
    if refusal.code:
        headers["X-Error-Code"] = refusal.code
    return JSONResponse({"error": refusal.message, **facts}, refusal.status, headers)
