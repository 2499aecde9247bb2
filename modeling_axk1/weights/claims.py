"""What a folder says of its own files: SHA256SUMS and MANIFEST.json, and where their word and the files differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.listing import IGNORED, MANIFEST_FILE, SIGNATURE_FILE, lies_in
from modeling_axk1.weights.manifest import Manifest, parse_manifest
from modeling_axk1.weights.store import Folder, read_small

# Neither need list what is no part of a release, nor can it list itself and what is made of it afterwards.
_NOT_IN_SUMS = frozenset({SUMS_FILE, SIGNATURE_FILE, *IGNORED})
_NOT_IN_MANIFEST = _NOT_IN_SUMS | {MANIFEST_FILE}


@dataclass(frozen=True)
class Claim:
    """The digests that one source gives, by file, and the paths that it says nothing of."""

    source: str
    digests: Mapping[str, str]
    silent: frozenset[str]


def read_sums(folder: Folder) -> Claim:
    """Read SHA256SUMS; raises WeightsError for one that is missing or damaged, or OSError."""
    try:
        return Claim(SUMS_FILE, parse_sums(read_small(folder, SUMS_FILE)), _NOT_IN_SUMS)
    except ValueError as error:
        raise WeightsError(str(error)) from None


def read_own_manifest(folder: Folder) -> tuple[Claim, Manifest]:
    """Read MANIFEST.json; raises WeightsError for one that is missing or damaged, or OSError."""
    manifest = parse_manifest(read_small(folder, MANIFEST_FILE), MANIFEST_FILE)
    digests = {name: entry.sha256 for name, entry in manifest.files.items()}
    return Claim(MANIFEST_FILE, digests, _NOT_IN_MANIFEST), manifest


def disagreements(claims: Sequence[Claim], digests: Mapping[str, str], unread: Mapping[str, str]) -> list[str]:
    """Return one line for every file that is not as `claims` say: missing, unknown to one of them, or other bytes.

    `digests` are those of the files found; `unread` says why those of others could not be had.
    """
    problems = list(unread.values())
    for name in sorted({name for claim in claims for name in claim.digests} | digests.keys()):
        if name in unread:
            continue
        said: dict[str, list[str]] = {}
        for claim in claims:
            if name in claim.digests:
                said.setdefault(claim.digests[name], []).append(claim.source)
        if name not in digests:
            sources = [source for sources in said.values() for source in sources]
            problems.append(f"{name} is missing: {_join(sources)} {_verb(sources, 'list')} it")
            continue
        for digest, sources in said.items():
            if digest != digests[name]:
                problems.append(
                    f"{name} must have SHA-256 {digest}, as {_join(sources)} {_verb(sources, 'say')}, "
                    f"got {digests[name]}"
                )
        strange = [claim.source for claim in claims if name not in claim.digests and not lies_in(name, claim.silent)]
        if strange:
            problems.append(f"{name} lies in the folder and is not in {_join(strange)}")
    return problems


def _join(sources: Sequence[str]) -> str:
    return " and ".join(sources)


def _verb(sources: Sequence[str], verb: str) -> str:
    return verb if len(sources) > 1 else verb + "s"
