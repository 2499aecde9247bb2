"""Open a release wherever it lies on this machine: as a folder, or packed as a bundle."""

from collections.abc import Mapping
from pathlib import Path

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import HubError
from modeling_axk1.hub.bundle_format import Bundle
from modeling_axk1.hub.release_set import RELEASE_FILE, ReleaseSet, read_release
from modeling_axk1.hub.sources import FolderSource, Source


def is_set(path: Path) -> bool:
    """Whether `path` is the folder of a release set, or a file that should be a bundle or its first volume."""
    return (path / RELEASE_FILE).is_file() or path.is_file() or path.with_name(f"{path.name}.001").is_file()


def open_set(path: Path, *, check: bool = True) -> tuple[ReleaseSet, dict[str, Source]]:
    """Return what release.json says and {folder: source} of the repositories.

    With `check` each must have the SHA256SUMS that release.json names.
    Raises HubError for what is no release set or no bundle, or damaged.
    """
    sources: dict[str, Source] = {}
    if path.is_dir():
        release = read_release(path)
        sources |= {member.folder: FolderSource(path / member.folder) for member in release.repositories}
    else:
        packed = Bundle(path)
        release = packed.release
        sources |= {member.folder: packed.source(member.folder) for member in release.repositories}
    if check:
        check_sums(release, sources)
    return release, sources


def check_sums(release: ReleaseSet, sources: Mapping[str, Source]) -> None:
    """Refuse repositories whose SHA256SUMS is missing or not the one that release.json names; raises HubError."""
    for member in release.repositories:
        source = sources[member.folder]
        if SUMS_FILE not in source.files or source.digest(SUMS_FILE) != member.sums_sha256:
            raise HubError(f"{source.name}: {SUMS_FILE} is not the one that {RELEASE_FILE} names")
