"""Ways to break a release in one place, and what the check finds of it."""

import json
from pathlib import Path

from modeling_axk1.hub.check import check
from tests.hub.release.conftest import MODEL


def found(release: Path, **options) -> set[tuple[str, str]]:
    """What the check finds: (rule, file)."""
    return {(finding.rule, finding.file) for finding in check(release, run=False, **options).findings}


def append(name: str, text: str):
    """Add a line to a file of the base model's repository."""

    def change(release: Path) -> None:
        path = release / MODEL / name
        path.write_text(path.read_text() + text + "\n")

    return change


def replace(name: str, old: str, new: str, folder: str = MODEL):
    def change(release: Path) -> None:
        path = release / folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return change


def write(name: str, content: bytes, folder: str = MODEL):
    def change(release: Path) -> None:
        path = release / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    return change


def edit(name: str, folder: str = MODEL, **values: object):
    def change(release: Path) -> None:
        path = release / folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}, indent=2, sort_keys=True) + "\n")

    return change
