"""Which files a release consists of: all below its folder, but for what belongs to git or a download tool."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.checkpoint import reason
from modeling_axk1.weights.store import Folder
from modeling_axk1.weights.strict_json import check_name

MANIFEST_FILE = "MANIFEST.json"
SIGNATURE_FILE = "model.sig"

# Git's files are those that the stock `model_signing` leaves out too; the last is what `hf download` leaves behind.
IGNORED = (".git", ".gitattributes", ".github", ".gitignore", ".cache/huggingface")

# What a killed run of ours may leave; the next one removes it.
_PARTS = tuple(f".{name}.part" for name in (MANIFEST_FILE, SUMS_FILE, SIGNATURE_FILE))


@dataclass
class Listing:
    """Relative paths in order: the files, what is ignored, and one line for everything that is neither file nor folder.

    `links` says whether any file is a symbolic link, as in the hub's cache.
    """

    files: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    links: bool = False


def list_files(folder: Folder) -> Listing:
    """List all files below `folder`; raises OSError for a folder that cannot be read."""
    found = Listing()
    for root, folders, files in os.walk(folder.folder, onerror=_raise):
        base = PurePosixPath(os.path.relpath(root, folder.folder))
        for name in [*folders, *files]:
            relative = (base / name).as_posix()
            is_link = Path(root, name).is_symlink()
            is_folder = name in folders
            if lies_in(relative, IGNORED) or relative in _PARTS:
                found.ignored.append(relative)
                if is_folder:
                    folders.remove(name)
            elif is_folder and is_link:
                found.problems.append(f"{ascii(relative)[1:-1]} must be a folder, and is a link to one")
            elif not is_folder:
                found.links |= is_link
                _add(found, folder, relative)
    found.files.sort()
    found.ignored.sort()
    found.problems.sort()
    return found


def lies_in(path: str, places: tuple[str, ...] | frozenset[str]) -> bool:
    """Whether `path` is one of `places` or lies in one of them."""
    return path in places or any(parent.as_posix() in places for parent in PurePosixPath(path).parents)


def _add(found: Listing, folder: Folder, relative: str) -> None:
    try:
        check_name(relative, folder.folder.name)
        if not folder.path(relative).is_file():
            raise WeightsError(f"{relative} must be a regular file")
        found.files.append(relative)
    except (WeightsError, OSError) as error:
        found.problems.append(reason(error, ascii(relative)[1:-1]))


def _raise(error: OSError) -> None:
    raise error
