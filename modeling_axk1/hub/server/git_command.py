"""Git's own programs as upkeep uses them: on bare repositories, with none of the user's settings."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from modeling_axk1.errors import HubError
from modeling_axk1.hub.server import lfs
from modeling_axk1.hub.server.git_process import git_program
from modeling_axk1.hub.server.refusal import Refusal

_SETTINGS = (
    "safe.directory=*",
    "gc.auto=0",
    "core.fsync=all",
    "core.fsyncMethod=fsync",
    "core.bigFileThreshold=16m",
    "pack.threads=1",
    "pack.windowMemory=128m",
    # Files beside the packs that the hub has no use for.
    "repack.writeBitmaps=false",
    "repack.updateServerInfo=false",
)

# What git-lfs itself reads as a pointer is no longer.
_LONGEST_POINTER = 200


def git(repository: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run one git command in a bare repository and return how it went; raises HubError where there is no git."""
    return subprocess.run(
        _command(repository, *arguments),
        env=_environment(),
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
    )


def pointers(repository: Path, *, reachable_only: bool = False) -> Iterator[lfs.Pointer]:
    """Yield every pointer to a large file that git holds in a repository, in no order, each once or more.

    `reachable_only` leaves out what no reference leads to. One object at a time is in memory. Raises HubError for a
    repository that git cannot read.
    """
    check = ["cat-file", "--batch-check=%(objecttype) %(objectsize) %(objectname)"]
    if reachable_only:
        with _piped(repository, "rev-list", "--objects", "--no-object-names", "--all") as listed:
            with _piped(repository, *check, given=listed.stdout) as sized:
                yield from _pointers_among(repository, sized)
            _check_ended_well(listed, repository)
    else:
        with _piped(repository, *check, "--batch-all-objects", "--unordered") as sized:
            yield from _pointers_among(repository, sized)
    _check_ended_well(sized, repository)


def _pointers_among(repository: Path, sized: "subprocess.Popen[bytes]") -> Iterator[lfs.Pointer]:
    assert sized.stdout is not None
    with _piped(repository, "cat-file", "--batch", given=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for line in sized.stdout:
            kind, size, oid = line.split()
            if kind != b"blob" or int(size) > _LONGEST_POINTER:
                continue
            reader.stdin.write(oid + b"\n")
            reader.stdin.flush()
            reader.stdout.readline()
            pointer = lfs.read_pointer(reader.stdout.read(int(size) + 1)[:-1])
            if pointer is not None:
                yield pointer
        reader.stdin.close()


def _piped(
    repository: Path, *arguments: str, given: int | IO[bytes] | None = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        _command(repository, *arguments),
        env=_environment(),
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _check_ended_well(process: "subprocess.Popen[bytes]", repository: Path) -> None:
    if process.wait():
        raise HubError(f"git cannot read {repository}; `axk1 hub fsck` says what is damaged")


def _command(repository: Path, *arguments: str) -> list[str]:
    try:
        program = git_program()
    except Refusal as refusal:
        raise HubError(refusal.message) from None
    settings = [text for setting in _SETTINGS for text in ("-c", setting)]
    return [program, *settings, "-C", str(repository.resolve()), *arguments]


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
