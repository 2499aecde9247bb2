"""Put a folder on a hub as one commit, prove that the hub holds the same, and name it with a tag, in that order."""

import fnmatch
import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from modeling_axk1.errors import HubError, ReleasedTagError, UsageError
from modeling_axk1.files import sha256_file
from modeling_axk1.hub.client import REPOSITORY_TYPES, calling, check_endpoint
from modeling_axk1.progress import progress_bar

RepositoryType = Literal["model", "dataset"]

_BRANCH = "main"
# Left on this machine: caches, unfinished files, and .gitattributes, which the hub keeps itself.
_NOT_PUBLISHED = (".DS_Store", ".git", ".gitattributes", ".cache", "__pycache__", ".*.part")


@dataclass(frozen=True)
class PublishReport:
    """What a publish did, or would do (`dry_run`).

    `commit` is what the tag names (None in a dry run that would make a new one); `uploaded`, `unchanged` and
    `deleted` are paths in the repository.
    """

    repo_id: str
    repo_type: RepositoryType
    endpoint: str
    url: str
    commit: str | None
    tag: str | None
    uploaded: list[str]
    unchanged: list[str]
    deleted: list[str]
    dry_run: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class _Remote:
    """A file as the hub describes it: `sha256` for a large one, else git's own `blob_id`."""

    size: int
    sha256: str | None
    blob_id: str


class _Local:
    """A file of the folder; its bytes are read once at most for each digest, and only when the sizes agree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size

    @cached_property
    def _sha256(self) -> str:
        return sha256_file(self.path)

    @cached_property
    def _blob_id(self) -> str:
        content = self.path.read_bytes()
        # How git names a file; nothing here relies on SHA-1 against an attacker.
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

    def same_bytes(self, remote: _Remote) -> bool:
        """Tell whether the hub holds these bytes."""
        if self.size != remote.size:
            return False
        return self._sha256 == remote.sha256 if remote.sha256 else self._blob_id == remote.blob_id


def publish(
    folder: Path,
    repo_id: str,
    *,
    endpoint: str,
    repo_type: RepositoryType,
    tag: str | None,
    token: str | None = None,
    dry_run: bool = False,
    message: str | None = None,
) -> PublishReport:
    """Make `repo_id` on the hub at `endpoint` equal to `folder`, then tag it.

    Only files that differ are sent, in one commit; files that the folder lacks are deleted. The tag is created last,
    when the hub's listing has been compared with the folder. Killed at any point, the same call completes the work.

    Raises HubError when the folder is not publishable or the hub cannot be reached or refuses; ReleasedTagError when
    `tag` names something else already; UsageError for a name or an address that cannot be one.

    Example:
        publish(Path("out/model"), "me/A.X-K1-nano", endpoint="http://127.0.0.1:8000", repo_type="model", tag="v0.1")

    """
    if repo_type not in REPOSITORY_TYPES:
        raise UsageError(f"repo_type must be one of {REPOSITORY_TYPES}, got {repo_type!r}")
    if repo_id.count("/") != 1:
        raise UsageError(f"a repository must be NAMESPACE/NAME, got {repo_id!r}")
    endpoint = check_endpoint(endpoint)
    local = _local_files(folder)
    url = f"{endpoint}/{'datasets/' if repo_type == 'dataset' else ''}{repo_id}"

    def report(commit: str | None, uploaded: list[str], unchanged: list[str], deleted: list[str]) -> PublishReport:
        return PublishReport(repo_id, repo_type, endpoint, url, commit, tag, uploaded, unchanged, deleted, dry_run)

    with calling(endpoint, token) as api:
        head, released = _state(api, repo_id, repo_type, tag)
        at = released or head
        remote = _remote_files(api, repo_id, repo_type, at) if at else {}
        unchanged = _equal_files(local, remote)
        uploaded = sorted(local.keys() - set(unchanged))
        deleted = sorted(remote.keys() - local.keys())
        if released and (uploaded or deleted):
            raise ReleasedTagError(
                f"tag {tag} of {repo_id} is released (commit {released[:12]}) and differs; publish under a new tag"
            )
        if released or dry_run:
            commit = None if uploaded or deleted else at
            return report(commit, uploaded, unchanged, deleted)

        if head is None:
            api.create_repo(repo_id, repo_type=repo_type, exist_ok=True)
            head = api.repo_info(repo_id, repo_type=repo_type).sha
        commit = head
        if uploaded or deleted:
            commit = _commit(api, repo_id, repo_type, head, {path: local[path] for path in uploaded}, deleted, message)
            _check_equal(local, _remote_files(api, repo_id, repo_type, commit), repo_id)
        if tag:
            api.create_tag(repo_id, tag=tag, revision=commit, repo_type=repo_type)
        return report(commit, uploaded, unchanged, deleted)


def _local_files(folder: Path) -> dict[str, _Local]:
    """Return {path in the repository: file} for everything in `folder` that is published."""
    if not folder.is_dir():
        raise HubError(f"nothing to publish: {folder} is not a folder")
    files = {}
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder)
        ignored = any(fnmatch.fnmatchcase(part, pattern) for part in relative.parts for pattern in _NOT_PUBLISHED)
        if file.is_file() and not ignored:
            files[relative.as_posix()] = _Local(file)
    if not files:
        raise HubError(f"nothing to publish: {folder} is empty")
    if "README.md" not in files:
        raise HubError(f"a published folder must hold its card, README.md; {folder} has none")
    return files


def _state(api: Any, repo_id: str, repo_type: str, tag: str | None) -> tuple[str | None, str | None]:
    """Return the commits that the main branch and `tag` name, None for what does not exist yet."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        refs = api.list_repo_refs(repo_id, repo_type=repo_type)
    except RepositoryNotFoundError:
        return None, None
    heads = {branch.name: branch.target_commit for branch in refs.branches}
    tags = {known.name: known.target_commit for known in refs.tags}
    return heads.get(_BRANCH), tags.get(tag)


def _remote_files(api: Any, repo_id: str, repo_type: str, commit: str) -> dict[str, _Remote]:
    from huggingface_hub import RepoFile

    return {
        item.path: _Remote(item.size, item.lfs.sha256 if item.lfs else None, item.blob_id)
        for item in api.list_repo_tree(repo_id, recursive=True, revision=commit, repo_type=repo_type)
        if isinstance(item, RepoFile) and item.path != ".gitattributes"
    }


def _equal_files(local: dict[str, _Local], remote: dict[str, _Remote]) -> list[str]:
    """Return the paths whose bytes are the same on both sides."""
    equal = []
    with progress_bar("comparing with the hub", total=len(local)) as advance:
        for path, file in local.items():
            if path in remote and file.same_bytes(remote[path]):
                equal.append(path)
            advance(1, note=path)
    return equal


def _commit(
    api: Any,
    repo_id: str,
    repo_type: str,
    head: str,
    additions: dict[str, _Local],
    deletions: list[str],
    message: str | None,
) -> str:
    """Send the differences as one commit on top of `head`; a hub that has moved on meanwhile refuses it."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    # Deletions first: a folder may take the place of a file of the same name.
    operations = [CommitOperationDelete(path, is_folder=False) for path in deletions]
    operations += [CommitOperationAdd(path, str(file.path)) for path, file in additions.items()]
    try:
        commit = api.create_commit(
            repo_id,
            operations,
            commit_message=message or f"Publish {len(additions)} changed and {len(deletions)} deleted files",
            repo_type=repo_type,
            revision=_BRANCH,
            parent_commit=head,
        )
    except ValueError as error:
        # The client's word for a card whose front matter the hub rejects, and for a refused large file.
        raise HubError(" ".join(str(error).split())) from error
    except RuntimeError as error:
        # The client's wrapping of a failed upload of a large file; the reason lies beneath.
        raise error.__cause__ or error from None
    return str(commit.oid)


def _check_equal(local: dict[str, _Local], remote: dict[str, _Remote], repo_id: str) -> None:
    equal = set(_equal_files(local, remote))
    wrong = sorted((local.keys() | remote.keys()) - equal)
    if wrong:
        raise HubError(f"{repo_id} does not hold what was sent: {wrong[0]} differs ({len(wrong)} in all); not tagged")
