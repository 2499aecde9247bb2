"""What benchmarks wrote, and what a table of a page is made of."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "release" / "results"

Word = Callable[[str], str]
"""Turns words into the page's language."""
Table = tuple[list[str], list[list[str]], int, str | None]
"""Header in English, rows, how many of the first columns are words, and the result that the figures come from."""


@cache
def result(name: str) -> dict[str, Any]:
    """What a benchmark wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
