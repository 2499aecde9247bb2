"""Which ranges of sparse files hold data: one line for each that came or went, never believed if it was torn.

A range is noted as held after its bytes are on the disk, and as gone before they are given back. So whatever moment a
kill, a full disk or a power cut strikes, a hole is never noted as data; at worst data is fetched a second time.
"""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from modeling_axk1.files import atomic_write_text

_LINE = re.compile(rb"([+-] ([0-9]{1,19}) ([0-9]{1,19}) (.+)) ([0-9a-f]{8})")


class Entry(NamedTuple):
    """A range of a file that came or went."""

    held: bool
    file: str
    start: int
    end: int

    def line(self) -> str:
        """Return the entry's line: a newline before it too keeps it whole behind one that was torn."""
        text = f"{'+' if self.held else '-'} {self.start} {self.end} {self.file}"
        return f"\n{text} {crc32(text.encode()):08x}\n"


class Journal:
    """The journal in the file `path`, which is made if need be. Several processes may add to it."""

    def __init__(self, path: Path) -> None:
        """Open it; raises OSError where that cannot be."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)

    def entries(self) -> Iterator[Entry]:
        """Yield what was noted, the oldest first."""
        for line in self.path.read_bytes().splitlines():
            match = _LINE.fullmatch(line)
            if match and crc32(match[1]) == int(match[5], 16):
                yield Entry(line.startswith(b"+"), match[4].decode(), int(match[2]), int(match[3]))

    def note(self, entry: Entry) -> None:
        """Add an entry; one of a range that is gone is on the disk when this returns. Raises OSError."""
        raw = entry.line().encode()
        if os.write(self._descriptor, raw) < len(raw):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        if not entry.held:
            os.fsync(self._descriptor)

    def rewrite(self, entries: Iterable[Entry]) -> None:
        """Say the same more briefly; only for a process that is alone with the journal."""
        atomic_write_text(self.path, "".join(entry.line() for entry in entries))
        self.close()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
