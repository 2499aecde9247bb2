"""Which large files a repository may speak of: blobs are shared below ROOT/blobs, permission to name them is not."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from modeling_axk1.files import fsync_folder, part_name
from modeling_axk1.hub.server.names import check_sha256


class LargeFiles:
    """Empty files named after SHA-256 digests, in two folders of a bare repository.

        NAME.git/large/uploaded/ab/SHA256     somebody with the right to write here sent all of these bytes
        NAME.git/large/committed/ab/SHA256    and a commit of this repository has a pointer to them

    A commit or push may only bring pointers to what was uploaded *here*, and readers get only what was committed
    here. Knowing the SHA-256 of a file in somebody's private repository therefore gives nothing: neither its bytes nor
    whether the hub has it. The price is that a file which two repositories share travels twice; it is stored once.
    """

    def __init__(self, repository: Path) -> None:
        self._uploaded = repository / "large" / "uploaded"
        self._committed = repository / "large" / "committed"

    def are_known(self) -> bool:
        """Tell whether this was ever kept: not by earlier versions, nor by a repository restored from its git alone."""
        return self._committed.exists()

    def may_commit(self, oid: str) -> bool:
        """Tell whether a commit of this repository may point to the blob `oid`."""
        return _marker(self._uploaded, oid).exists() or self.may_read(oid)

    def may_read(self, oid: str) -> bool:
        """Tell whether readers of this repository may have the blob `oid`."""
        return _marker(self._committed, oid).exists()

    def add_uploaded(self, oid: str) -> None:
        """Remember that a writer of this repository has sent the whole blob `oid`."""
        _mark(self._uploaded, [oid])

    def rebuild(self, oids: Iterable[str]) -> None:
        """Make the record of what commits point to anew; it appears whole or not at all."""
        part = part_name(self._committed)
        shutil.rmtree(part, ignore_errors=True)
        _mark(part, oids)
        part.rename(self._committed)
        fsync_folder(part.parent)

    def add_committed(self, oids: Iterable[str]) -> None:
        """Remember that commits point to these blobs; call it before the branch moves."""
        _mark(self._committed, oids)

    def forget_committed(self, is_committed: Callable[[str], bool]) -> None:
        """Forget the blobs that no commit points to any more; call it as the repository's one writer."""
        for marker in self._committed.glob("*/*"):
            if not is_committed(marker.name):
                marker.unlink()


def _marker(folder: Path, oid: str) -> Path:
    return folder / check_sha256(oid)[:2] / oid


def _mark(folder: Path, oids: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    changed = set()
    for oid in oids:
        marker = _marker(folder, oid)
        if not marker.exists():
            marker.parent.mkdir(exist_ok=True)
            os.close(os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
            changed |= {marker.parent, folder}
    for parent in changed:
        fsync_folder(parent)
