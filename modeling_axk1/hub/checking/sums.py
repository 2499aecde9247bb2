"""Digests: SHA256SUMS names every file and is right, the signature holds, and the SBOM lists the same files."""

import json
from collections.abc import Iterator
from pathlib import Path

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import WeightsError
from modeling_axk1.hub.checking.subject import Subject
from modeling_axk1.hub.release.sbom import SBOM_FILE
from modeling_axk1.weights.check import check
from modeling_axk1.weights.listing import SIGNATURE_FILE


def check_sums(subject: Subject, key: Path | None) -> Iterator[tuple[str, str]]:
    """Yield (file, what is wrong); with `key`, the signer's public key, there must be a signature too."""
    if subject.is_plan:
        return  # it lists SHA256SUMS among what is missing
    if SUMS_FILE not in subject.files:
        yield SUMS_FILE, "every file must have a digest, and there is none"
        return
    try:
        problems = check(subject.folder, key=key).problems
    except WeightsError as error:
        problems = [str(error)]
    for problem in problems:
        yield SIGNATURE_FILE if problem.startswith(SIGNATURE_FILE) else SUMS_FILE, problem


# Made from the others, or over them.
_NOT_IN_SBOM = {SBOM_FILE, "MANIFEST.json", SUMS_FILE, SIGNATURE_FILE}


def check_sbom(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield what the SBOM says wrongly of the files; a repository made before there was one has none."""
    if SBOM_FILE not in subject.files or SUMS_FILE not in subject.files:
        return
    try:
        components = json.loads(subject.text(SBOM_FILE))["components"]
        listed = {one["name"]: one["hashes"][0]["content"] for one in components if one["type"] == "file"}
        sums = parse_sums((subject.folder / SUMS_FILE).read_bytes())
    except (ValueError, KeyError, TypeError, IndexError) as error:
        yield SBOM_FILE, f"must be a CycloneDX document with files and their digests: {error!r:.80}"
        return
    wanted = {name: digest for name, digest in sums.items() if name not in _NOT_IN_SBOM}
    for name in sorted(wanted.keys() | listed.keys()):
        if wanted.get(name) != listed.get(name):
            yield SBOM_FILE, f"must list {name} as {SUMS_FILE} does"
