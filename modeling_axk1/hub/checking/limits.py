"""What a hub takes: how many files, how large, under which names."""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from modeling_axk1.hub.checking.subject import Subject

# The hub's documentation of repository limits: recommended counts, and what is refused outright.
MOST_FILES = 100_000
MOST_IN_FOLDER = 10_000
MOST_FILE_BYTES = 200_000_000_000
MOST_CARD_BYTES = 4_000_000
MOST_NAME_BYTES = 255


def check_limits(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield (file, what is over a limit)."""
    files = subject.files
    if len(files) > MOST_FILES:
        yield ".", f"a repository must have at most {MOST_FILES:,} files, got {len(files):,}"
    for folder, count in Counter(str(PurePosixPath(name).parent) for name in files).items():
        if count > MOST_IN_FOLDER:
            yield folder, f"a folder must have at most {MOST_IN_FOLDER:,} files, got {count:,}"
    for name in files:
        path = subject.folder / name
        if path.is_symlink() or not path.is_file():
            yield name, "must be a regular file, not a link or a device"
            continue
        size = path.stat().st_size
        if size > MOST_FILE_BYTES:
            yield name, f"a file must have at most {MOST_FILE_BYTES:,} bytes, got {size:,}"
        if name == "README.md" and size > MOST_CARD_BYTES:
            yield name, f"a card must have at most {MOST_CARD_BYTES:,} bytes, got {size:,}"
        if any(len(part.encode()) > MOST_NAME_BYTES for part in PurePosixPath(name).parts):
            yield name[:80], f"a name must have at most {MOST_NAME_BYTES} bytes"
        if not name.isprintable() or "\\" in name:
            yield ascii(name)[:80], "a name must be printable and without a backslash"
