"""Files of a revision as files of this machine, for the sandbox to read."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modeling_axk1.hub.server.repository import File, Repository
from modeling_axk1.hub.server.store import BlobStore

# Of files that lie in git and are copied out for a page.
_MOST_BYTES = 256 << 20


def digest(file: File) -> str:
    """Return what settles a file's content for good."""
    return file.pointer.oid if file.pointer else file.oid


@contextmanager
def on_disk(repository: Repository, blobs: BlobStore, files: Iterable[File]) -> Iterator[dict[str, str | None]]:
    """Yield {path in the repository: path on this machine}; None where the bytes are gone.

    Large files are where they are; small ones lie in git and are copied for as long as the block runs. When these are
    too many bytes, the first file that has no more room and all after it are left out.
    """
    with tempfile.TemporaryDirectory(prefix="axk1-page-") as folder:
        left = _MOST_BYTES
        found: dict[str, str | None] = {}
        for number, file in enumerate(files):
            if file.pointer is not None:
                is_here = blobs.size(file.pointer.oid) == file.size
                found[file.path] = str(blobs.path(file.pointer.oid)) if is_here else None
                continue
            left -= file.size
            if left < 0:
                break
            copy = Path(folder) / str(number)
            copy.write_bytes(repository.content(file))
            found[file.path] = str(copy)
        yield found
