"""Make a repository on a hub equal to a source, in one commit, and prove it; the tag is somebody else's last act."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import HubError
from modeling_axk1.hub.remote import BRANCH, Remote
from modeling_axk1.hub.repo import RemoteFile, Repo
from modeling_axk1.hub.sources import Source, claimed_digests, git_id, hash_chunks, read_text
from modeling_axk1.hub.upload import Transport, upload
from modeling_axk1.progress import progress_bar
from modeling_axk1.weights.listing import SIGNATURE_FILE

CARD = "README.md"
_SAMPLE_BYTES = 512
_LARGE = 10 << 20  # from here on every hub takes a file as a large one

# The sums cannot list themselves, nor the signature made of them.
_NOT_LISTED = {SUMS_FILE, SIGNATURE_FILE}


@dataclass(frozen=True)
class Difference:
    """What a repository lacks of a source, holds the same (with the digest it gives), and holds too much."""

    uploaded: list[str]
    unchanged: dict[str, str]
    deleted: list[str]

    @property
    def equal(self) -> bool:
        """Whether both hold the same."""
        return not (self.uploaded or self.deleted)


def check_source(source: Source) -> dict[str, str]:
    """Refuse what is no release, before anything is sent; return what SHA256SUMS says of its files.

    Only names are compared here: the bytes are proven when they are read.
    """
    if CARD not in source.files:
        raise HubError(
            f"a published folder must hold its card, {CARD}; {source.name} has none; `axk1 hub export` writes one"
        )
    claims = claimed_digests(source)
    if claims:
        here = source.files.keys() - _NOT_LISTED
        for wrong, problem in ((claims.keys() - here, "is missing"), (here - claims.keys(), f"is not in {SUMS_FILE}")):
            if wrong:
                raise HubError(f"{source.name}: {min(wrong)} {problem}; nothing was sent; export it again")
    return claims


def compare(source: Source, remote: Mapping[str, RemoteFile], claims: Mapping[str, str]) -> Difference:
    """Compare every file with what a hub holds; only files of the same size, and not claimed otherwise, are read."""
    unchanged = {}
    candidates = {
        path: remote[path]
        for path, size in source.files.items()
        if path in remote
        and remote[path].size == size
        and (not remote[path].sha256 or claims.get(path, remote[path].sha256) == remote[path].sha256)
    }
    total = sum(file.size for file in candidates.values())
    with progress_bar(f"comparing {source.name}", total=total, in_bytes=True) as advance:
        for path, file in candidates.items():
            if file.sha256:
                same = source.digest(path) == file.sha256
                if not same and path in claims:
                    raise HubError(
                        f"{source.name}: {path} is damaged: it is not what {SUMS_FILE} says; export it again"
                    )
            else:
                same = git_id(iter([_small(source, path, claims)]), file.size) == file.blob_id
            if same:
                unchanged[path] = file.oid
            advance(file.size, note=path)
    return Difference(
        uploaded=sorted(source.files.keys() - unchanged.keys()),
        unchanged=unchanged,
        deleted=sorted(remote.keys() - source.files.keys()),
    )


def send(
    remote: Remote,
    repo: Repo,
    source: Source,
    claims: Mapping[str, str],
    difference: Difference,
    *,
    head: str,
    transport: Transport = "lfs",
    message: str | None = None,
) -> str:
    """Put what differs on `repo`'s main branch as one commit on top of `head`, prove it, and return its id.

    Raises HubError when the hub refuses, holds something else in the end, or has moved on to something else meanwhile.
    """
    if CARD in difference.uploaded:
        remote.check_card(read_text(source, CARD).decode("utf-8", "replace"), repo)
    sizes = {path: source.files[path] for path in difference.uploaded}
    large = remote.large_files(repo, sizes, lambda path: _sample(source, path))
    regular = [path for path in difference.uploaded if path not in large]
    digests = {path: claims.get(path) or source.digest(path) for path in sorted(large)}
    if digests:
        with progress_bar(f"sending {repo.id}", total=sum(sizes[path] for path in digests), in_bytes=True) as advance:
            upload(remote, repo, source, digests, transport, advance)

    expected = {**difference.unchanged, **digests}

    def lines() -> Iterator[dict[str, Any]]:
        # Deletions first: a folder may take the place of a file of the same name.
        for path in difference.deleted:
            yield {"key": "deletedFile", "value": {"path": path}}
        for path in regular:
            content = _small(source, path, claims)
            expected[path] = git_id(iter([content]), len(content))
            encoded = base64.b64encode(content).decode()
            yield {"key": "file", "value": {"path": path, "content": encoded, "encoding": "base64"}}
        for path, digest in digests.items():
            value = {"path": path, "algo": "sha256", "oid": digest, "size": sizes[path]}
            yield {"key": "lfsFile", "value": value}

    text = message or f"Publish {len(difference.uploaded)} changed and {len(difference.deleted)} deleted files"
    commit = remote.commit(repo, head, text, lines)
    if commit is None:
        commit = _ours(remote, repo, head, expected)
    found = {path: file.oid for path, file in remote.files(repo, commit).items()}
    wrong = sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))
    if wrong:
        raise HubError(f"{repo.id} does not hold what was sent: {wrong[0]} differs ({len(wrong)} in all); not tagged")
    return commit


def _ours(remote: Remote, repo: Repo, head: str, expected: Mapping[str, str]) -> str:
    """Return the commit that the branch is at instead of `head` if it is ours, whose answer was lost; else HubError."""
    branches, _ = remote.references(repo) or ({}, {})
    commit = branches.get(BRANCH, head)
    if commit != head and {path: file.oid for path, file in remote.files(repo, commit).items()} == expected:
        return commit
    raise HubError(
        f"{repo.id} is at {commit[:12]} now, the commit was made for {head[:12]}: somebody else changed it meanwhile; "
        "look, and publish again"
    )


def _small(source: Source, path: str, claims: Mapping[str, str]) -> bytes:
    """Return a small file; raises HubError when it is not what SHA256SUMS says."""
    content = read_text(source, path)
    if path in claims and hash_chunks(iter([content])) != claims[path]:
        raise HubError(f"{source.name}: {path} is damaged: it is not what {SUMS_FILE} says; export it again")
    return content


def _sample(source: Source, path: str) -> bytes:
    """Return how a file begins, by which a hub may tell text from what is none; a large one goes apart anyway."""
    if source.files[path] > _LARGE:
        return b""
    chunks = source.read(path)
    first = b"".join(islice(chunks, 1))[:_SAMPLE_BYTES]
    close = getattr(chunks, "close", None)
    if close:
        close()
    return first
