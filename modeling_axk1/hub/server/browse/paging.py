"""Long lists on several pages, by a `page` in the address."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.requests import Request

from modeling_axk1.hub.server.pages import whole_number

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """One page of a list: its items, its number (from 1), how many pages there are, how many items in all."""

    items: Sequence[T]
    number: int
    last: int
    total: int


def part_of(request: Request, items: Sequence[T], on_a_page: int) -> Part[T]:
    """Return the part of a list that a request asks for; after the last page comes the last page."""
    last = max(1, -(-len(items) // on_a_page))
    number = min(whole_number(request, "page", 1, smallest=1), last)
    return Part(items[(number - 1) * on_a_page : number * on_a_page], number, last, len(items))
