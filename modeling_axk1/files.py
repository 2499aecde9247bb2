"""Files and folders that are either finished or not there at all.

Everything this package writes goes through here: a temporary name beside the target, fsync, then one rename.
A crash, a full disk or kill -9 leaves the old state (and perhaps a `.part` name that the next run removes).
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO


def user_cache() -> Path:
    """Return the folder for what can be had again: $XDG_CACHE_HOME/axk1, by default ~/.cache/axk1.

    Raises RuntimeError for a user without a home.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "axk1"


def leads_out(name: str) -> bool:
    """Whether a relative path that somebody else wrote, with slashes between its parts, may leave its folder."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts


def part_name(path: Path) -> Path:
    """Return the temporary sibling under which `path` is written until it is whole."""
    return path.with_name(f".{path.name}.part")


@contextmanager
def atomic_write(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a temporary sibling of `path` for writing; it takes the name `path` only when the block succeeds.

    `mode` is who may read and write the new file, less what the umask forbids.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_name(path)
    try:
        part.unlink(missing_ok=True)  # one that a killed process left would keep its own mode
        with open(part, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        fsync_folder(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def atomic_write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that takes the name `path` only when the block succeeds.

    An existing folder at `path` is replaced as a whole, at the very end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_name(path)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        for file in part.rglob("*"):
            if file.is_file():
                _fsync_file(file)
        old = path.with_name(f".{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        part.rename(path)
        fsync_folder(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; raises BlockingIOError when another process holds it.

    The lock ends with its process, however that ends. Where there are no such locks (Windows) nobody is kept out.
    """
    with path.open("wb") as file:
        try:
            import fcntl
        except ImportError:
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(error.errno, "another process is at work there", str(path.parent)) from None
        yield


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(folder: Path) -> dict[str, str]:
    """Return {relative POSIX path: SHA-256} for every regular file below `folder`, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


def _fsync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def fsync_folder(path: Path) -> None:
    """Bring the names in a folder onto the disk: a file that was renamed is found after a power cut too."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
