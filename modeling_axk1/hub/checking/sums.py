"""Digests: SHA256SUMS names every file and is right, release.json names that SHA256SUMS, the signature holds."""

from collections.abc import Iterator
from pathlib import Path

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import WeightsError
from modeling_axk1.hub.checking.subject import Subject
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
