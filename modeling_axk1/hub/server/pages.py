"""Long lists in pages: the next one's address is in a Link header, as huggingface_hub follows it."""

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.requests import endpoint_of

LONGEST_PAGE = 1000

T = TypeVar("T")


def whole_number(request: Request, name: str, default: int, smallest: int) -> int:
    """Return a query parameter that must be a whole number of at least `smallest`; refuses another value."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < smallest:
        raise Refusal(400, f"{name} must be a whole number of {smallest} or more, got {text[:40]!r}")
    return int(text)


def page_of(request: Request, items: Sequence[T]) -> tuple[Sequence[T], int | None]:
    """Return the items that a request asks for by `limit` and `cursor`, and the next page's cursor (None: no more)."""
    limit = min(whole_number(request, "limit", LONGEST_PAGE, smallest=1), LONGEST_PAGE)
    start = whole_number(request, "cursor", 0, smallest=0)
    end = start + limit
    return items[start:end], end if end < len(items) else None


def paged(request: Request, described: list[Any], path: str, cursor: int | str | None) -> Response:
    """Return one page as JSON; `path` is where the next page is asked for."""
    headers = {}
    if cursor is not None:
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        address = f"{endpoint_of(request)}{path}?{urlencode([*query, ('cursor', cursor)])}"
        headers["Link"] = f'<{address}>; rel="next"'
    return JSONResponse(described, headers=headers)
