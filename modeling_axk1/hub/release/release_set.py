"""release.json: which repositories a release set holds, in the order in which they are published.

OUT/release.json                      written last: without it there is no release
OUT/datasets/NAMESPACE/NAME/...       a repository each
OUT/models/NAMESPACE/NAME/...
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import HubError
from modeling_axk1.files import atomic_write_text, leads_out, sha256_file

RELEASE_FILE = "release.json"
FORMAT = "axk1-release-1"

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Repository:
    """One repository of a set; `folder` is relative to the set, `sums_sha256` is of its SHA256SUMS."""

    type: Literal["model", "dataset"]
    id: str
    folder: str
    sums_sha256: str


@dataclass(frozen=True)
class ReleaseSet:
    """A release as it lies in a folder."""

    folder: Path
    name: str
    tag: str
    repositories: tuple[Repository, ...]

    def path(self, repository: Repository) -> Path:
        """Where a repository's files lie."""
        return self.folder / repository.folder


def folder_of(kind: str, repo_id: str) -> str:
    """Return where a repository lies in a set: "models/me/nano"."""
    return f"{kind}s/{repo_id}"


def write_release(folder: Path, name: str, tag: str, repositories: Sequence[tuple[str, str]]) -> None:
    """Write release.json over the finished repositories (type, id), which lie at `folder_of` in `folder`."""
    entries = [
        {
            "type": kind,
            "id": repo_id,
            "folder": folder_of(kind, repo_id),
            "sums_sha256": sha256_file(folder / folder_of(kind, repo_id) / SUMS_FILE),
        }
        for kind, repo_id in repositories
    ]
    content = {"format": FORMAT, "name": name, "tag": tag, "repositories": entries}
    atomic_write_text(folder / RELEASE_FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_release(folder: Path) -> ReleaseSet:
    """Read the release.json of a set; raises HubError for what is none.

    Folders are inside the set and exist; whether their files are right is `axk1 hub check`'s affair.
    """
    path = folder / RELEASE_FILE
    if not path.is_file():
        raise HubError(f"{folder} is no release set: it has no {RELEASE_FILE}; `axk1 hub export` makes one")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise HubError(f"{path}: format must be {FORMAT}, got {content['format']!r:.60}")
        repositories = tuple(Repository(**entry) for entry in content["repositories"])
        release = ReleaseSet(folder, str(content["name"]), str(content["tag"]), repositories)
    except (KeyError, TypeError, ValueError) as error:
        raise HubError(f"{path} is not what `axk1 hub export` writes: {error!r:.120}") from None
    for entry in release.repositories:
        _check(entry, release)
    if not release.repositories:
        raise HubError(f"{path} must name at least one repository")
    return release


def as_dict(release: ReleaseSet) -> dict[str, Any]:
    """Return a set as JSON takes it."""
    return {**asdict(release), "folder": str(release.folder)}


def _check(entry: Repository, release: ReleaseSet) -> None:
    path = release.folder / RELEASE_FILE
    if not all(isinstance(value, str) for value in asdict(entry).values()):
        raise HubError(f"{path}: a repository's type, id, folder and sums_sha256 must be texts")
    if entry.type not in ("model", "dataset"):
        raise HubError(f"{path}: type must be model or dataset, got {entry.type!r:.60}")
    if entry.id.count("/") != 1 or leads_out(entry.id):
        raise HubError(f"{path}: id must be NAMESPACE/NAME, got {entry.id!r:.100}")
    if leads_out(entry.folder) or not release.path(entry).is_dir():
        raise HubError(f"{path}: folder of {entry.id} must be a folder inside the set, got {entry.folder!r:.100}")
    if not _SHA256.fullmatch(entry.sums_sha256):
        raise HubError(f"{path}: sums_sha256 of {entry.id} must be 64 hex digits, got {entry.sums_sha256!r:.80}")
