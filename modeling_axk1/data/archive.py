"""The regular files of a package file (Debian package, wheel, npm or source tar), one after another as a stream.

Nothing is unpacked to disk and no file is held whole unless its reader asks: memory is bounded whatever lies in the
archive. Links are passed over (in these packages they stand for a page not translated), and so is a name that leads
out of the archive; both are counted.
"""

import lzma
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from modeling_axk1.errors import DataError
from modeling_axk1.files import leads_out

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60


_BROKEN = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError, RuntimeError)


@dataclass(frozen=True)
class Member:
    """A regular file of an archive: its path, and its content until the next member is asked for."""

    name: str
    package: str
    _file: IO[bytes]

    def read(self, most: int) -> bytes | None:
        """Return the content, or None when it has more than `most` bytes; DataError when the archive is broken."""
        try:
            content = self._file.read(most + 1)
        except _BROKEN as error:
            raise DataError(f"{self.package}: the archive is broken at {self.name}: {error}") from None
        return content if len(content) <= most else None


def members(path: Path, package: str, left_out: Counter[str]) -> Iterator[Member]:
    """Yield the regular files of an archive in its own order; `left_out` counts what is passed over, by reason.

    The kind is told by the first bytes. Raises DataError naming `package` when the archive is broken or of no known
    kind.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_AR_MAGIC))
            if magic == _AR_MAGIC:
                _seek_data(file, package)
                yield from _tar_members(file, package, left_out)
            elif magic.startswith(b"PK"):
                yield from _zip_members(file, package, left_out)
            else:
                file.seek(0)
                yield from _tar_members(file, package, left_out)
    except _BROKEN as error:
        raise DataError(f"{package}: the archive is broken: {error}") from None


def _seek_data(file: BinaryIO, package: str) -> None:
    # A Debian package is an ar archive of three members; the files are in data.tar.*
    while len(header := file.read(_AR_HEADER)) == _AR_HEADER:
        if header.startswith(b"data.tar"):
            return
        if not header[48:58].strip().isdigit():
            break
        size = int(header[48:58])
        file.seek(size + size % 2, 1)
    raise DataError(f"{package}: the archive is broken: a Debian package must hold data.tar")


def _tar_members(file: BinaryIO, package: str, left_out: Counter[str]) -> Iterator[Member]:
    with tarfile.open(fileobj=file, mode="r|*") as tar:
        for entry in tar:
            # The list of members that tarfile keeps would grow with the archive.
            tar.members = []  # type: ignore[attr-defined]
            if entry.isdir():
                continue
            content = tar.extractfile(entry) if entry.isreg() else None
            if content is None:
                left_out["a link or a special file of the package"] += 1
            elif leads_out(entry.name):
                left_out["a name that leads out of the package"] += 1
            else:
                yield Member(entry.name.removeprefix("./"), package, content)


def _zip_members(file: BinaryIO, package: str, left_out: Counter[str]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            if entry.flag_bits & 1:
                left_out["an encrypted file of the package"] += 1
            elif leads_out(entry.filename):
                left_out["a name that leads out of the package"] += 1
            else:
                with archive.open(entry) as content:
                    yield Member(entry.filename, package, content)
