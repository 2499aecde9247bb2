"""What a repository is called on any hub, and what a hub says of its files."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from modeling_axk1.errors import UsageError
from modeling_axk1.hub.client import REPOSITORY_TYPES
from modeling_axk1.hub.release_set import RepositoryType


@dataclass(frozen=True)
class Repo:
    """A repository on any hub."""

    type: RepositoryType
    id: str

    def __post_init__(self) -> None:
        if self.type not in REPOSITORY_TYPES:
            raise UsageError(f"repo_type must be one of {REPOSITORY_TYPES}, got {self.type!r}")
        if self.id.count("/") != 1 or any(part in {"", ".", ".."} for part in self.id.split("/")):
            raise UsageError(f"a repository must be NAMESPACE/NAME, got {self.id!r}")

    @property
    def page(self) -> str:
        """Its address below that of the hub."""
        return f"{'datasets/' if self.type == 'dataset' else ''}{quote(self.id)}"

    @property
    def api(self) -> str:
        """Where its JSON lies."""
        return f"api/{self.type}s/{quote(self.id)}"


@dataclass(frozen=True)
class RemoteFile:
    """A file as a hub describes it: `sha256` for a large one, else git's own `blob_id`."""

    size: int
    sha256: str | None
    blob_id: str

    @property
    def oid(self) -> str:
        """By what the hub knows its bytes."""
        return self.sha256 or self.blob_id


def described(entry: dict[str, Any]) -> RemoteFile:
    """Return a file of a listing; raises ValueError for what is none."""
    large = entry.get("lfs") or {}
    digest, size = large.get("oid"), entry["size"]
    if type(size) is not int or size < 0 or not isinstance(entry["oid"], str) or not isinstance(digest, str | None):
        raise ValueError
    return RemoteFile(size, digest, entry["oid"])
