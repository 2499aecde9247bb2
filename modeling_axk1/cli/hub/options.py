"""Options that several commands of `axk1 hub` share."""

import os
from enum import StrEnum
from typing import Annotated

import typer


class RepositoryType(StrEnum):
    """What a repository holds."""

    model = "model"
    dataset = "dataset"


AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def token() -> str | None:
    """Return the token, which is no option: everybody who lists this machine's processes would read it."""
    return os.environ.get("HF_TOKEN") or None
