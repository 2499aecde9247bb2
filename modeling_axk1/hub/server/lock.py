"""Who may change a repository now: one writer at a time, across threads and processes."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modeling_axk1.hub.server.refusal import Refusal, repository_not_found

_NAME = "lock"

_PAUSE_SECONDS = 0.01


@contextmanager
def writing(repository: Path, patience: float = 120.0) -> Iterator[int]:
    """Be the one writer of the bare repository `repository` while the block runs; yields the lock's descriptor.

    The lock is a flock: it ends with the last process that holds the descriptor, however that ends, so a child that
    inherits it keeps other writers out even when the hub was killed. Refuses a repository that others keep busy for
    `patience` seconds (503; a large push takes some) or that was deleted meanwhile (404).

    What a killed writer left (git's own lock files, unfinished packs, quarantined pushes) is removed first: whoever
    has the lock knows that nobody is using it.
    """
    handle = _acquire(repository, patience)
    try:
        _clear_leftovers(repository)
        yield handle
    finally:
        os.close(handle)


def _acquire(repository: Path, patience: float) -> int:
    deadline = time.monotonic() + patience
    while True:
        try:
            handle = os.open(repository / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise repository_not_found(repository.name.removesuffix(".git")) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), (repository / _NAME).stat()):
                return handle
            # Otherwise the repository was deleted and made anew while this one waited.
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(handle)
                raise Refusal(503, "the repository is being changed by others; try again later") from None
        except FileNotFoundError:
            pass  # deleted while this one waited: the next round says so
        os.close(handle)
        time.sleep(_PAUSE_SECONDS)


def _clear_leftovers(repository: Path) -> None:
    objects = repository / "objects"
    packs = objects / "pack"
    unfinished = [pack for pack in packs.glob("*.pack") if not pack.with_suffix(".idx").exists()]
    for leftover in [
        *repository.glob("*.lock"),
        *(repository / "refs").rglob("*.lock"),
        *packs.glob("*.lock"),
        *packs.glob("*.keep"),
        *packs.glob("tmp_*"),
        *unfinished,
    ]:
        leftover.unlink(missing_ok=True)
    for quarantine in [*objects.glob("tmp_objdir-*"), *objects.glob("incoming-*")]:
        shutil.rmtree(quarantine)
