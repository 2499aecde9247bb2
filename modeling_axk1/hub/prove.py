"""Check every byte of a repository, wherever it lies, against SHA256SUMS and the signature; nothing is kept."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import HubError, UsageError, WeightsError
from modeling_axk1.hub.crew import Crew
from modeling_axk1.hub.record import Record
from modeling_axk1.hub.remote_source import RemoteSource
from modeling_axk1.hub.sources import Source, read_text
from modeling_axk1.progress import progress_bar
from modeling_axk1.weights.claims import Claim, disagreements
from modeling_axk1.weights.listing import IGNORED, SIGNATURE_FILE
from modeling_axk1.weights.store import Folder

# The sums cannot list themselves, nor the signature made of them; .gitattributes is a hub's own file.
_NOT_IN_SUMS = frozenset({SUMS_FILE, SIGNATURE_FILE, *IGNORED})

CONNECTIONS = 4


@dataclass
class Proof:
    """What was compared with what: `problems` must be empty, `unchecked` says what nobody should take for checked."""

    name: str
    files: int = 0
    bytes: int = 0
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the proof as JSON-ready values."""
        return asdict(self)


def prove(
    source: Source, *, key: Path | None = None, sums_sha256: str | None = None, record: Record | None = None
) -> Proof:
    """Read every file of `source` once, over several connections, and compare it with all that says what it must be.

    Args:
        source: the repository.
        key: the signer's public key; with it there must be a model.sig made with its private half.
        sums_sha256: what SHA256SUMS itself must be, by release.json.
        record: what was read before and need not be read again, and where to note what is read now.

    Raises UsageError for a key that is none. Everything else that is wrong is a line in `problems`, the causes first.

    """
    proof = Proof(source.name)
    digests, unread = _digests(source, record, proof)
    proof.files, proof.bytes = len(source.files), sum(source.files.values())
    claims = []
    if sums_sha256 and digests.get(SUMS_FILE, sums_sha256) != sums_sha256:
        proof.problems.append(
            f"{SUMS_FILE} must have SHA-256 {sums_sha256}, as release.json says, got {digests[SUMS_FILE]}"
        )
    signature = _signature(source, key, proof)
    if signature:
        claims.append(signature)
        proof.problems += disagreements(
            [Claim(signature.source, _only(signature.digests, SUMS_FILE), signature.silent)],
            _only(digests, SUMS_FILE),
            {},
        )
    if SUMS_FILE not in unread:
        try:
            claims.insert(0, Claim(SUMS_FILE, parse_sums(read_text(source, SUMS_FILE)), _NOT_IN_SUMS))
        except (HubError, ValueError) as error:
            proof.problems.append(str(error))
    if claims:
        proof.problems += disagreements(claims, digests, unread)
    else:
        proof.problems += unread.values()
    proof.checked += [f"{claim.source} ({len(claim.digests):,} files)" for claim in claims]
    proof.problems = list(dict.fromkeys(proof.problems))
    if record and not proof.problems:
        record.forget()
    elif record:
        sound = {
            path: digest
            for path, digest in digests.items()
            if all(c.digests.get(path, digest) == digest for c in claims)
        }
        record.keep(sound)
    return proof


def require(proof: Proof) -> Proof:
    """Return a proof without problems; raises HubError with the first of them."""
    if proof.problems:
        more = f" (and {len(proof.problems) - 1} more)" if proof.problems[1:] else ""
        raise HubError(f"{proof.name}: {proof.problems[0]}{more}")
    return proof


def _digests(source: Source, record: Record | None, proof: Proof) -> tuple[dict[str, str], dict[str, str]]:
    """Return the SHA-256 by file, and why other files could not be read."""
    unread: dict[str, str] = {}
    known = {path: record.known[path] for path in source.files if path in record.known} if record else {}
    if known:
        read_before = sum(source.files[path] for path in known)
        proof.unchecked.append(
            f"{len(known):,} files of {read_before:,} bytes, read by an earlier run: not read again (--fresh reads all)"
        )
    left = sorted(source.files.keys() - known.keys(), key=lambda path: -source.files[path])
    total = sum(source.files[path] for path in left)
    with progress_bar(f"proving {source.name}", total=total, in_bytes=True) as advance:
        crew = Crew(CONNECTIONS, advance)

        def read(path: str) -> tuple[str, str | None]:
            sha256 = hashlib.sha256()
            sha1 = hashlib.sha1(b"blob %d\0" % source.files[path], usedforsecurity=False)
            by_git = isinstance(source, RemoteSource) and not source.listing[path].sha256
            try:
                for chunk in source.read(path):
                    sha256.update(chunk)
                    if by_git:
                        sha1.update(chunk)
                    crew.moved(len(chunk), path)
                source.proven(path, sha256.hexdigest())
                if isinstance(source, RemoteSource) and by_git and sha1.hexdigest() != source.listing[path].blob_id:
                    raise HubError(f"{path} is damaged: it is not git's object {source.listing[path].blob_id}")
            except HubError as error:
                unread[path] = str(error)
                return path, None
            if record:
                record.add(path, sha256.hexdigest())
            return path, sha256.hexdigest()

        found = {path: digest for path, digest in crew.run(partial(read, path) for path in left) if digest}
    return known | found, unread


def _signature(source: Source, key: Path | None, proof: Proof) -> Claim | None:
    if key is None:
        proof.unchecked.append(
            f"{SIGNATURE_FILE}: only the signer's public key can check it (--key)"
            if SIGNATURE_FILE in source.files
            else f"no {SIGNATURE_FILE}: nothing proves who made these files"
        )
        return None
    from modeling_axk1.weights.sign import read_signature

    try:
        with tempfile.TemporaryDirectory(prefix="axk1-signature-") as home:
            (Path(home) / SIGNATURE_FILE).write_bytes(read_text(source, SIGNATURE_FILE))
            return read_signature(Folder(Path(home)), key)
    except UsageError:
        raise
    except (HubError, WeightsError) as error:
        proof.problems.append(str(error))
        return None


def _only(digests: Mapping[str, str], path: str) -> dict[str, str]:
    return {path: digests[path]} if path in digests else {}
