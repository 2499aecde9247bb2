"""Options that several commands of `axk1 hub` share."""

import os
import re
from enum import StrEnum
from typing import Annotated

import typer

from modeling_axk1.errors import UsageError


class RepositoryType(StrEnum):
    """What a repository holds."""

    model = "model"
    dataset = "dataset"


class Transport(StrEnum):
    """How large files go to a hub."""

    lfs = "lfs"
    xet = "xet"


AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def seconds(text: str) -> int:
    """Return how many seconds a time like 12h or 30d is."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if not match:
        raise UsageError(f"a time must be a number and m, h or d, like 12h or 30d, got {text!r}")
    return int(match[1]) * {"m": 60, "h": 3600, "d": 86400}[match[2]]


def token() -> str | None:
    """Return the token, which is no option: everybody who lists this machine's processes would read it."""
    return os.environ.get("HF_TOKEN") or None


def origin_token() -> str | None:
    """Return the token for the hub that a mirror reads from: the one in HF_TOKEN belongs to the hub it writes to."""
    return os.environ.get("AXK1_FROM_TOKEN") or None
