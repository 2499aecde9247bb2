"""SHA256SUMS: what every file of a folder must hash to, in the form that `sha256sum --check` reads.

One format for datasets, checkpoints and published repositories; each room says in its own words what is wrong.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from modeling_axk1.files import atomic_write_text, file_digests, leads_out

SUMS_FILE = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS over every other file below `folder`; equal files give equal bytes."""
    digests = file_digests(folder)
    digests.pop(SUMS_FILE, None)
    write_digests(folder, digests)


def write_digests(folder: Path, digests: Mapping[str, str]) -> None:
    """Write {relative path: SHA-256} as the SHA256SUMS of `folder`, in the order of the paths."""
    lines = [f"{digests[name]}  {name}\n" for name in sorted(digests, key=PurePosixPath)]
    atomic_write_text(folder / SUMS_FILE, "".join(lines))


def parse_sums(raw: bytes) -> dict[str, str]:
    """Return {relative path: SHA-256 in lower case} of the bytes of a SHA256SUMS.

    Raises ValueError with the rule and the line's number: a line that is none, a path that is not printable or leads
    out of the folder, a path named twice.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(raw.splitlines(), start=1):
        match = _LINE.fullmatch(line.decode("utf-8", errors="replace"))
        where = f"{SUMS_FILE}: line {number}"
        if not match:
            raise ValueError(f'{where} must be "<64 hex digits>  <path>"')
        name = match[2]
        if not name.isprintable():
            raise ValueError(f"{where}: a path must be printable characters, got {ascii(name)[:60]}")
        if leads_out(name):
            raise ValueError(f"{where}: a path must stay inside the folder, got {name[:60]!r}")
        name = PurePosixPath(name).as_posix()  # `find . -type f | xargs sha256sum` writes ./name
        if name in sums:
            raise ValueError(f"{where} names {name} a second time")
        sums[name] = match[1].lower()
    return sums
