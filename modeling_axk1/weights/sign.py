"""Sign a release with a key of one's own, and read such a signature, offline.

The format is that of the library model-signing (the OpenSSF's), whose own command reads our signatures as we read its:
model.sig is a Sigstore bundle around the list of all files with their SHA-256. The library signs and proves; the
digests are ours, computed in parallel, so that a terabyte is read once.
"""

from __future__ import annotations

import base64
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.files import atomic_write
from modeling_axk1.weights.claims import Claim, disagreements, read_own_manifest, read_sums
from modeling_axk1.weights.facts import Wanted
from modeling_axk1.weights.listing import IGNORED, MANIFEST_FILE, SIGNATURE_FILE, list_files
from modeling_axk1.weights.record import check_writable, refuse
from modeling_axk1.weights.store import Folder, read_small
from modeling_axk1.weights.strict_json import check_name, parse_object
from modeling_axk1.weights.survey import Reading, survey

_KEY_RULE = "must be a PEM file of an elliptic-curve key (P-256, P-384 or P-521) without a password"


@dataclass
class SignReport:
    """What was signed, or would be (`dry_run`): all files and their bytes, of which `trusted` were not read."""

    path: str
    files: int
    bytes: int
    trusted: int
    dry_run: bool
    notes: list[str] = field(default_factory=list)


def generate_keys(out: Path, *, dry_run: bool = False) -> tuple[Path, Path]:
    """Write a new P-256 key pair: OUT.pem, which only its owner may read, and OUT.pub.pem, for everybody.

    Raises UsageError when one of them is there already. With `dry_run` only their names come.
    """
    _library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    name = out.name.removesuffix(".pem")
    private, public = out.with_name(f"{name}.pem"), out.with_name(f"{name}.pub.pem")
    for path in (private, public):
        if path.exists():
            raise UsageError(f"a key is never overwritten: {path} is there already; name another")
    if dry_run:
        return private, public
    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    with atomic_write(private, mode=0o600) as file:
        file.write(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        )
    with atomic_write(public) as file:
        file.write(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def sign(
    path: Path,
    key: Path,
    *,
    trust_manifest: bool = False,
    dry_run: bool = False,
    reading: Reading = Reading(),  # noqa: B008  # it is frozen
) -> SignReport:
    """Write model.sig, a signature over every file in the folder `path`, made with the private key in `key`.

    Args:
        path: the folder of a release; SHA256SUMS and MANIFEST.json in it must fit its files.
        key: PEM file of the private key.
        trust_manifest: take digests from MANIFEST.json, by names and sizes, instead of reading the files again.
        dry_run: say what would be signed; read and write nothing.
        reading: on how many threads, in how much memory, and where to remember what was read.

    Raises WeightsError when files are not as SHA256SUMS or MANIFEST.json say, UsageError for what is no private key or
    a missing library, OSError when writing fails.

    Example: `sign(Path("A.X-K1"), Path("release.pem"))`

    """
    library = _library()
    signer = library.signing.Config()
    with _as_usage_error("the private key", key):
        signer.use_elliptic_key_signer(private_key=key)
    folder = Folder(path)
    listing = list_files(folder)
    refuse(listing.problems)
    names = [name for name in listing.files if name != SIGNATURE_FILE]
    claims = [read_sums(folder)] if SUMS_FILE in names else []
    trusted: dict[str, str] = {}
    if MANIFEST_FILE in names:
        claim, manifest = read_own_manifest(folder)
        claims.append(claim)
        for name, entry in manifest.files.items():
            if trust_manifest and name in names:
                if folder.size(name) != entry.size:
                    raise WeightsError(
                        f"{name} must have {entry.size:,} bytes by {MANIFEST_FILE}, got {folder.size(name):,}"
                    )
                trusted[name] = entry.sha256
    elif trust_manifest:
        raise WeightsError(f"{path} must hold {MANIFEST_FILE} to be trusted; `axk1 weights manifest` writes it")
    report = SignReport(str(path), len(names), sum(folder.size(name) for name in names), len(trusted), dry_run)
    if dry_run:
        return report
    check_writable(path)
    found = survey(
        folder, {name: None for name in names if name not in trusted}, Wanted(sha256=True), reading, "signing"
    )
    try:
        digests = trusted | found.digests()
        refuse(disagreements(claims, digests, found.problems))
        declared = _declare(library, path.resolve().name, digests, links=listing.links)
        with tempfile.TemporaryDirectory(prefix="axk1-sign-") as home:
            signer.set_hashing_config(declared).sign(path, Path(home) / SIGNATURE_FILE)
            bundle = (Path(home) / SIGNATURE_FILE).read_bytes()
        with atomic_write(path / SIGNATURE_FILE) as file:
            file.write(bundle)
    except BaseException:
        found.close(done=False)
        raise
    found.close(done=True)
    report.notes += found.notes()
    return report


def read_signature(folder: Folder, key: Path) -> Claim:
    """Return the digests that model.sig gives, proven to be signed by the owner of the public key in `key`.

    No file is read but the signature. Raises WeightsError when there is none, or it was made with another key, is
    damaged, or of a kind that this package cannot compare; UsageError for what is no public key or a missing library.
    """
    library = _library()
    verifier = library.verifying.Config()
    with _as_usage_error("the public key", key):
        verifier.use_elliptic_key_verifier(public_key=key)
    digests = _read_bundle(read_small(folder, SIGNATURE_FILE))
    # The library proves the bundle's content and compares it with what a hashing configuration finds. Ours "finds"
    # what we read in the bundle ourselves: then just that is proven, and files are compared later, line by line.
    try:
        declared = _declare(library, folder.folder.name, digests)
        verifier.set_hashing_config(declared)
        with contextlib.redirect_stdout(sys.stderr):  # it may print a warning
            verifier.verify(folder.folder, folder.path(SIGNATURE_FILE))
    except Exception as error:  # whatever hostile bytes make of a library that expects its own
        said = str(error).strip().splitlines()
        why = said[0] if said else "the signature does not fit what it signs"
        raise WeightsError(f"{SIGNATURE_FILE} is no valid signature by {key.name}: {why:.200}") from None
    return Claim(SIGNATURE_FILE, digests, frozenset({SIGNATURE_FILE, *declared.left_out}))


def _read_bundle(raw: bytes) -> dict[str, str]:
    """Return the digests in a bundle, unproven; raises WeightsError."""
    try:
        envelope = parse_object(raw, SIGNATURE_FILE)["dsseEnvelope"]
        statement = parse_object(base64.b64decode(envelope["payload"], validate=True), SIGNATURE_FILE)
        serialization, resources = statement["predicate"]["serialization"], statement["predicate"]["resources"]
        kinds = {serialization["hash_type"], *(resource["algorithm"] for resource in resources)}
        if serialization["method"] != "files" or kinds != {"sha256"}:
            raise WeightsError(
                f"{SIGNATURE_FILE} must be over the SHA-256 of whole files, got {', '.join(sorted(kinds))} over "
                f"{serialization['method']}; the command model_signing can check it"
            )
        digests = {str(resource["name"]): str(resource["digest"]) for resource in resources}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise WeightsError(f"{SIGNATURE_FILE} is no signature of a model as model-signing writes it") from None
    if len(digests) != len(resources):
        raise WeightsError(f"{SIGNATURE_FILE} must name every file once")
    for name in digests:
        check_name(name, SIGNATURE_FILE)
    return digests


def _declare(library: ModuleType, name: str, digests: Mapping[str, str], *, links: bool = False) -> Any:
    """Return a hashing configuration of the library that hashes nothing: it answers with `digests`."""
    from model_signing._hashing.hashing import Digest

    serialization = library.manifest.SerializationType.from_args(
        {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": links,
            "ignore_paths": [*IGNORED, SIGNATURE_FILE],
        }
    )
    items = [serialization.new_item(file, Digest("sha256", bytes.fromhex(digest))) for file, digest in digests.items()]
    declared = library.manifest.Manifest(name, items, serialization)

    class Declared(library.hashing.Config):  # type: ignore[name-defined]
        left_out: tuple[str, ...] = ()  # the proven ones, when it is asked to verify

        def add_ignored_paths(self, *, model_path: Any, paths: Any) -> None:
            self.left_out = tuple(map(str, paths))

        def hash(self, model_path: Any, *, files_to_hash: Any = None) -> Any:
            return declared

    return Declared()


@contextlib.contextmanager
def _as_usage_error(what: str, key: Path) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # which of a dozen kinds depends on what the file holds instead
        raise UsageError(f"{what} {_KEY_RULE}, got {key.name}; `axk1 weights keygen` makes a pair") from error


def _library() -> ModuleType:
    try:
        import model_signing
    except ImportError as error:
        raise UsageError(
            f"signatures need the extra `sign`: pip install 'axk1[sign]' ({error.name} is missing)"
        ) from None
    return model_signing
