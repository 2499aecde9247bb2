"""Put a release on a hub: each repository as one commit, proven to hold the same, and then, last of all, the tags.

Killed at any point, the same call completes the work: what the hub holds is compared, never remembered. Of a release
of several repositories none is tagged before all hold their files.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modeling_axk1.errors import ReleasedTagError
from modeling_axk1.hub.release_set import RepositoryType
from modeling_axk1.hub.remote import BRANCH, Remote
from modeling_axk1.hub.repo import Repo
from modeling_axk1.hub.send import Difference, check_source, compare, send
from modeling_axk1.hub.sets import open_set
from modeling_axk1.hub.sources import FolderSource, Source
from modeling_axk1.hub.upload import Transport


@dataclass(frozen=True)
class PublishReport:
    """What a publish did to one repository, or would do (`dry_run`).

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
class Item:
    """One repository to publish: where it goes, what it shall hold, and under which tag."""

    repo: Repo
    source: Source
    tag: str | None


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
    transport: Transport = "lfs",
) -> PublishReport:
    """Make `repo_id` on the hub at `endpoint` equal to `folder`, then tag it.

    Only files that differ are sent, in one commit; files that the folder lacks are deleted. A file must be what the
    folder's SHA256SUMS says, where there is one. The tag is created last, when the hub's listing has been compared
    with the folder.

    Raises HubError when the folder is not publishable or the hub cannot be reached or refuses; ReleasedTagError when
    `tag` names something else already; UsageError for a name or an address that cannot be one.

    Example:
        publish(Path("out/model"), "me/A.X-K1-nano", endpoint="http://127.0.0.1:8000", repo_type="model", tag="v0.1")

    """
    remote, repo = Remote(endpoint, token), Repo(repo_type, repo_id)
    item = Item(repo, FolderSource(folder), tag)
    return publish_all([item], remote, dry_run=dry_run, message=message, transport=transport)[0]


def publish_set(
    place: Path,
    *,
    endpoint: str,
    token: str | None = None,
    dry_run: bool = False,
    message: str | None = None,
    transport: Transport = "lfs",
) -> list[PublishReport]:
    """Publish every repository of a release set, then tag them all.

    `place` is a folder with release.json, or a bundle, which is read where it lies and not unpacked. Raises what
    `publish` raises, and HubError when a SHA256SUMS is not the one that release.json names.
    """
    release, sources = open_set(place)
    items = [Item(Repo(member.type, member.id), sources[member.folder], release.tag) for member in release.repositories]
    return publish_all(items, Remote(endpoint, token), dry_run=dry_run, message=message, transport=transport)


def publish_all(
    items: Sequence[Item],
    remote: Remote,
    *,
    dry_run: bool = False,
    message: str | None = None,
    transport: Transport = "lfs",
) -> list[PublishReport]:
    """Compare all, send what differs, repository by repository, and tag when all hold their files."""
    plans = []
    for item in items:
        claims = check_source(item.source)
        head, released = _state(remote, item)
        at = released or head
        difference = compare(item.source, remote.files(item.repo, at) if at else {}, claims)
        if released and not difference.equal:
            raise ReleasedTagError(
                f"tag {item.tag} of {item.repo.id} is released (commit {released[:12]}) and differs: "
                f"{[*difference.uploaded, *difference.deleted][0]}; publish under a new tag"
            )
        plans.append((item, claims, head, released, difference))

    commits: list[str | None] = []
    for item, claims, head, released, difference in plans:
        commit = released or (head if difference.equal else None)
        if not released and not dry_run:
            # Also a repository that is there may be without the branch that a killed hub was about to make.
            head = head or remote.create(item.repo)
            commit = head
            if not difference.equal:
                commit = send(
                    remote, item.repo, item.source, claims, difference, head=head, transport=transport, message=message
                )
        _remember(item.source)
        commits.append(commit)
    for (item, _, _, released, _), commit in zip(plans, commits, strict=True):
        if item.tag and commit and not released and not dry_run:
            remote.tag(item.repo, item.tag, commit)
    return [
        _report(remote, item, commit, difference, dry_run=dry_run)
        for (item, _, _, _, difference), commit in zip(plans, commits, strict=True)
    ]


def _state(remote: Remote, item: Item) -> tuple[str | None, str | None]:
    """Return the commits that the main branch and the tag name, None for what does not exist yet."""
    branches, tags = remote.references(item.repo) or ({}, {})
    return branches.get(BRANCH), tags.get(item.tag) if item.tag else None


def _remember(source: Source) -> None:
    if isinstance(source, FolderSource):
        source.remember()


def _report(remote: Remote, item: Item, commit: str | None, difference: Difference, *, dry_run: bool) -> PublishReport:
    return PublishReport(
        repo_id=item.repo.id,
        repo_type=item.repo.type,
        endpoint=remote.endpoint,
        url=f"{remote.endpoint}/{item.repo.page}",
        commit=commit,
        tag=item.tag,
        uploaded=difference.uploaded,
        unchanged=sorted(difference.unchanged),
        deleted=difference.deleted,
        dry_run=dry_run,
    )
