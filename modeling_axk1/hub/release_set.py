"""Several repositories that are one release: release.json, written last into the folder that holds them.

    {"format": "axk1-release-1", "name": "A.X-K1-nano", "tag": "v0.1",
     "repositories": [{"type": "dataset", "id": "me/text", "folder": "datasets/me/text", "sums_sha256": "..."}, ...]}

The order is that of publishing. `sums_sha256` is the SHA-256 of the repository's SHA256SUMS.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import HubError, WeightsError
from modeling_axk1.files import atomic_write_text, leads_out, sha256_file
from modeling_axk1.weights.strict_json import check_name, parse_object

RELEASE_FILE = "release.json"
FORMAT = "axk1-release-1"
LARGEST_RELEASE_FILE = 1 << 20

RepositoryType = Literal["model", "dataset"]

_ID = re.compile(r"[A-Za-z0-9_.-]{1,96}/[A-Za-z0-9_.-]{1,96}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Member:
    """One repository of a release and where it lies in the release's folder."""

    type: RepositoryType
    id: str
    folder: str
    sums_sha256: str


@dataclass(frozen=True)
class ReleaseSet:
    """What release.json says."""

    name: str
    tag: str
    repositories: tuple[Member, ...]

    def text(self) -> str:
        """Return the file's text; equal sets give equal text."""
        repositories = [vars(member) for member in self.repositories]
        value = {"format": FORMAT, "name": self.name, "tag": self.tag, "repositories": repositories}
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def folder_of(repo_type: str, repo_id: str) -> str:
    """Return where a repository lies in the folder of a set."""
    return f"{repo_type}s/{repo_id}"


def write_release(folder: Path, name: str, tag: str, repositories: Sequence[tuple[RepositoryType, str]]) -> None:
    """Write release.json over the finished repositories (type, id), which lie at `folder_of` in `folder`."""
    members = []
    for repo_type, repo_id in repositories:
        place = folder_of(repo_type, repo_id)
        members.append(Member(repo_type, repo_id, place, sha256_file(folder / place / SUMS_FILE)))
    atomic_write_text(folder / RELEASE_FILE, ReleaseSet(name, tag, tuple(members)).text())


def read_release(folder: Path) -> ReleaseSet:
    """Read the release.json in `folder`; raises HubError when there is none, or saying which rule it breaks."""
    path = folder / RELEASE_FILE
    if not path.is_file():
        raise HubError(f"{folder} is no release set: it has no {RELEASE_FILE}; `axk1 hub export` makes one")
    if path.stat().st_size > LARGEST_RELEASE_FILE:
        raise HubError(f"{RELEASE_FILE} must be at most {LARGEST_RELEASE_FILE:,} bytes, got {path.stat().st_size:,}")
    return parse_release(path.read_bytes())


def parse_release(raw: bytes) -> ReleaseSet:
    """Validate the bytes of a release.json that nobody vouches for; raises HubError saying which rule they break."""
    try:
        value = parse_object(raw, RELEASE_FILE)
        if value.get("format") != FORMAT:
            raise HubError(f"{RELEASE_FILE}: format must be {FORMAT!r}, got {value.get('format')!r:.60}")
        name, tag, repositories = value.get("name"), value.get("tag"), value.get("repositories")
        if not isinstance(name, str) or not isinstance(tag, str) or not _TAG.fullmatch(tag):
            raise HubError(
                f"{RELEASE_FILE}: name and tag must be the names of a release, got {name!r:.60}, {tag!r:.60}"
            )
        check_name(name, RELEASE_FILE)
        if not isinstance(repositories, list) or not repositories:
            raise HubError(f"{RELEASE_FILE}: repositories must be a list of at least one")
        members = tuple(_member(entry) for entry in repositories)
    except WeightsError as error:
        raise HubError(str(error)) from None
    for what in ("folder", "id"):
        seen = [(member.type, getattr(member, what)) for member in members]
        if len(set(seen)) < len(seen):
            raise HubError(f"{RELEASE_FILE} must name every repository once")
    return ReleaseSet(name, tag, members)


def _member(entry: Any) -> Member:
    if not isinstance(entry, dict) or not {"type", "id", "folder", "sums_sha256"} <= entry.keys():
        raise HubError(f"{RELEASE_FILE}: a repository must have type, id, folder and sums_sha256")
    repo_type, repo_id, folder, sums = (entry[key] for key in ("type", "id", "folder", "sums_sha256"))
    if repo_type not in ("model", "dataset"):
        raise HubError(f"{RELEASE_FILE}: type must be model or dataset, got {repo_type!r:.60}")
    if not isinstance(repo_id, str) or not _ID.fullmatch(repo_id) or leads_out(repo_id):
        raise HubError(f"{RELEASE_FILE}: a repository must be NAMESPACE/NAME, got {repo_id!r:.60}")
    if folder != folder_of(repo_type, repo_id):
        raise HubError(f"{RELEASE_FILE}: {repo_id} must lie in {folder_of(repo_type, repo_id)}, got {folder!r:.60}")
    if not isinstance(sums, str) or not _SHA256.fullmatch(sums):
        raise HubError(f"{RELEASE_FILE}: sums_sha256 of {repo_id} must be 64 hex digits, got {sums!r:.70}")
    return Member(repo_type, repo_id, folder, sums)
