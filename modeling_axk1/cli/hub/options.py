"""Options that several commands of `axk1 hub` share."""

import os
import re
from enum import StrEnum
from pathlib import Path
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


def _as_its_owner(root: Path) -> Path:
    """Refuse root beside the hub of another user: what root leaves there would be closed to the hub."""
    if os.geteuid() == 0 and root.exists() and (owner := root.stat().st_uid) != 0:
        raise UsageError(
            f"{root} belongs to user {owner}; run this as that user, or the hub could not read what it writes"
        )
    return root


AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Root = Annotated[Path, typer.Option(help="Folder that holds the hub.", callback=_as_its_owner)]


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
