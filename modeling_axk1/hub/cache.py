"""Check huggingface_hub's own cache, which hands out a flipped byte as readily as a right one.

    DIR/models--NAMESPACE--NAME/blobs/ETAG                   ETAG is a large file's SHA-256, a small one's git id
    DIR/models--NAMESPACE--NAME/snapshots/COMMIT/PATH        a link to a blob; a copy where there are no links

Every blob must be what its name says, and every file of a snapshot what the snapshot's SHA256SUMS says. That a
snapshot lacks files is no damage: clients fetch what they need.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import HubError, UsageError, WeightsError
from modeling_axk1.hub.prove import Proof
from modeling_axk1.progress import progress_bar
from modeling_axk1.weights.listing import SIGNATURE_FILE
from modeling_axk1.weights.store import Folder

_REPOSITORY = re.compile(r"(models|datasets)--(.+)--(.+)")
_ETAG = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class _Digests:
    """How a blob's bytes are called: by SHA-256, and by git."""

    sha256: str
    git: str


def default_cache() -> Path:
    """Return where huggingface_hub keeps what it downloads: $HF_HUB_CACHE, by default ~/.cache/huggingface/hub."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def prove_cache(cache: Path, repo_id: str | None = None, *, key: Path | None = None) -> list[Proof]:
    """Check all repositories in `cache`, or `repo_id` alone; each is a proof with its problems.

    With the signer's public `key`, SHA256SUMS of each snapshot must be the signed one. Raises HubError when there is
    nothing to check, UsageError for a key that is none.
    """
    folders = []
    for folder in sorted(cache.glob("*--*--*")) if cache.is_dir() else ():
        match = _REPOSITORY.fullmatch(folder.name)
        if match and repo_id in (None, f"{match[2]}/{match[3]}"):
            folders.append((folder, f"{'datasets/' if match[1] == 'datasets' else ''}{match[2]}/{match[3]}"))
    if not folders:
        raise HubError(
            f"nothing to check: {cache} holds no {repo_id or 'repository'}; HF_HUB_CACHE names another cache"
        )
    return [_prove(folder, name, key) for folder, name in folders]


def _prove(folder: Path, name: str, key: Path | None) -> Proof:
    proof = Proof(f"{name} in the cache")
    blobs = {path.name: path for path in sorted((folder / "blobs").glob("*")) if _ETAG.fullmatch(path.name)}
    unfinished = list((folder / "blobs").glob("*.incomplete"))
    snapshots = sorted(path for path in (folder / "snapshots").glob("*") if path.is_dir())
    files = {snapshot: sorted(path for path in snapshot.rglob("*") if not path.is_dir()) for snapshot in snapshots}
    names = {
        path.resolve(): f"{path.relative_to(snapshot).as_posix()} (snapshot {snapshot.name[:12]})"
        for snapshot, paths in files.items()
        for path in paths
    }
    copies = [path for paths in files.values() for path in paths if path.is_file() and not path.is_symlink()]
    found: dict[Path, _Digests] = {}
    total = sum(path.stat().st_size for path in [*blobs.values(), *copies])
    with progress_bar(f"proving {name}", total=total, in_bytes=True) as advance:
        for path in [*blobs.values(), *copies]:
            try:
                found[path.resolve()] = _read(path, advance)
            except OSError as error:
                proof.problems.append(f"{path.name} cannot be read: {error.strerror}")
    damaged: set[Path] = set()
    for etag, path in blobs.items():
        digests = found.get(path.resolve())
        if digests and etag not in (digests.sha256, digests.git):
            damaged.add(path.resolve())
            proof.problems.append(f"{names.get(path.resolve(), 'a file of no snapshot')} is damaged: blob {etag}")
    # A damaged blob has its line: what a damaged SHA256SUMS says of other files, or a right one of it, adds nothing.
    sound = {path: digests for path, digests in found.items() if path not in damaged}
    for snapshot, paths in files.items():
        if (snapshot / SUMS_FILE).resolve() not in damaged:
            _check_snapshot(snapshot, [path for path in paths if path.resolve() not in damaged], sound, key, proof)
    proof.files, proof.bytes = len(found), total
    proof.checked.append(f"{len(blobs):,} blobs against their names")
    if unfinished:
        proof.unchecked.append(f"{len(unfinished):,} unfinished downloads")
    proof.problems = list(dict.fromkeys(proof.problems))
    return proof


def _check_snapshot(
    snapshot: Path, paths: list[Path], found: dict[Path, _Digests], key: Path | None, proof: Proof
) -> None:
    where = f"(snapshot {snapshot.name[:12]})"
    sums = snapshot / SUMS_FILE
    if key:
        _check_signature(snapshot, found, key, where, proof)
    if not sums.is_file():
        proof.unchecked.append(
            f"{where[1:-1]} has no {SUMS_FILE}: its files were compared with their blobs' names only"
        )
        return
    try:
        claims = parse_sums(sums.read_bytes())
    except ValueError as error:
        proof.problems.append(f"{error} {where}")
        return
    missing = [name for name in claims if not (snapshot / name).exists()]
    for path in paths:
        name = path.relative_to(snapshot).as_posix()
        digests = found.get(path.resolve())
        if digests is None:
            proof.problems.append(f"{name} {where} is a link to nothing in this cache")
        elif claims.get(name, digests.sha256) != digests.sha256:
            proof.problems.append(
                f"{name} {where} must have SHA-256 {claims[name]}, as {SUMS_FILE} says, got {digests.sha256}"
            )
    proof.checked.append(f"{SUMS_FILE} {where}")
    if missing:
        proof.unchecked.append(f"{len(missing):,} files of {where[1:-1]} were never downloaded")


def _check_signature(snapshot: Path, found: dict[Path, _Digests], key: Path, where: str, proof: Proof) -> None:
    from modeling_axk1.weights.sign import read_signature

    if not (snapshot / SIGNATURE_FILE).exists():
        proof.unchecked.append(f"{SIGNATURE_FILE} of {where[1:-1]} was never downloaded")
        return
    try:
        signed = read_signature(Folder(snapshot), key).digests
    except UsageError:
        raise
    except (WeightsError, OSError) as error:
        proof.problems.append(f"{error} {where}")
        return
    for name in sorted(signed):
        digests = found.get((snapshot / name).resolve())
        if digests and digests.sha256 != signed[name]:
            proof.problems.append(
                f"{name} {where} must have SHA-256 {signed[name]}, as {SIGNATURE_FILE} says, got {digests.sha256}"
            )
    proof.checked.append(f"{SIGNATURE_FILE} {where}")


def _read(path: Path, advance: Callable[..., None]) -> _Digests:
    sha256 = hashlib.sha256()
    sha1 = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    by_git = len(path.name) == 40
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
            if by_git:
                sha1.update(chunk)
            advance(len(chunk), note=path.name)
    return _Digests(sha256.hexdigest(), sha1.hexdigest())
