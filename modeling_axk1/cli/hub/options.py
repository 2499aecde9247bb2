"""Options that several commands of `axk1 hub` share."""

import os
from enum import StrEnum
from typing import Annotated

import typer


class RepositoryType(StrEnum):
    """What a repository holds."""

    model = "model"
    dataset = "dataset"


class Transport(StrEnum):
    """How large files go to a hub."""

    lfs = "lfs"
    xet = "xet"


AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def token() -> str | None:
    """Return the token, which is no option: everybody who lists this machine's processes would read it."""
    return os.environ.get("HF_TOKEN") or None


def origin_token() -> str | None:
    """Return the token for the hub that a mirror reads from: the one in HF_TOKEN belongs to the hub it writes to."""
    return os.environ.get("AXK1_FROM_TOKEN") or None
