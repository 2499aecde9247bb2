"""Git's own programs as children of the hub: how they are started, what they may do, and how they end."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import IO, Literal

from modeling_axk1.hub.server.refusal import Refusal

Service = Literal["upload-pack", "receive-pack"]

# core.fsync, cat-file --batch-command and upload-pack that trusts safe.directory came with these.
_OLDEST_GIT = (2, 38)

LARGEST_PUSH = 2 * 1024**3
# One allocation of git's: a delta of a few bytes may claim to unfold into any size.
_LARGEST_ALLOCATION = "512m"
_SECONDS_TO_CLEAN_UP = 5

_SETTINGS = {
    "safe.directory": "*",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # A push is on the disk before git's client hears of it.
    "core.fsync": "all",
    "core.fsyncMethod": "fsync",
    # Files above this are never whole in memory.
    "core.bigFileThreshold": "16m",
    "pack.threads": "2",
    "pack.windowMemory": "128m",
    "transfer.hideRefs": "refs/",
    "transfer.fsckObjects": "true",
    "receive.autogc": "false",
    "receive.maxInputSize": str(LARGEST_PUSH),
    # Every push arrives as one pack, whose objects the hook lists.
    "receive.unpackLimit": "1",
    "receive.advertiseAtomic": "true",
    # The hook has its own, clearer words for it.
    "receive.denyDeleteCurrent": "ignore",
    "uploadpack.allowFilter": "true",
}
_SHOWN = ("!refs/heads/", "!refs/tags/")

_HOOK = '#!/bin/sh\nexec "$AXK1_HUB_PYTHON" -m modeling_axk1.hub.server.pre_receive\n'


class Git:
    """Starts `git upload-pack` and `git receive-pack` on bare repositories.

    A machine without git serves everything else; only git's own clients are refused there (501). The user's and the
    machine's settings of git, and hooks inside repositories, have no effect. `folder` holds requests on their way in
    and the one hook there is, which checks what a push brings; a push is refused where that hook cannot run.
    """

    def __init__(self, folder: Path, blobs: Path) -> None:
        # Git looks for a relative path inside the repository, finds no hook there, and takes every push unchecked.
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._hook = self.folder / "pre-receive"
        self._blobs = blobs.resolve()

    async def start(
        self,
        service: Service,
        *options: str,
        repository: Path,
        protocol: str,
        body: IO[bytes] | None,
        lock: int | None = None,
    ) -> asyncio.subprocess.Process:
        """Start a service that reads `body` (None: nothing); it and its children hold `lock` while they live."""
        program = git_program()
        if service == "receive-pack":
            self._make_hook()
        return await asyncio.create_subprocess_exec(
            program,
            service,
            "--stateless-rpc",
            *options,
            str(repository.resolve()),
            stdin=asyncio.subprocess.DEVNULL if body is None else body,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=self._environment(service, protocol),
            pass_fds=() if lock is None else (lock,),
            start_new_session=True,
        )

    def _environment(self, service: Service, protocol: str) -> dict[str, str]:
        settings = [*_SETTINGS.items(), *(("transfer.hideRefs", shown) for shown in _SHOWN)]
        settings.append(("core.hooksPath", str(self.folder)))
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": str(len(settings)),
            "GIT_PROTOCOL": protocol,
        }
        for number, (key, value) in enumerate(settings):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        if service == "receive-pack":
            environment |= {
                "GIT_ALLOC_LIMIT": _LARGEST_ALLOCATION,
                "AXK1_HUB_PYTHON": sys.executable,
                "AXK1_HUB_BLOBS": str(self._blobs),
                "PYTHONPATH": str(Path(__file__).parents[3]),
                # The hook runs inside the repository, which must lend it no modules.
                "PYTHONSAFEPATH": "1",
            }
        return environment

    def _make_hook(self) -> None:
        if not self._hook.exists() or self._hook.read_text() != _HOOK:
            # Several processes of one hub may do this at once, so each has a name of its own for it.
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(_HOOK.encode())
            part = Path(file.name)
            part.chmod(0o700)
            part.replace(self._hook)
        # Git itself would only warn, and take the push unchecked.
        if not os.access(self._hook, os.X_OK):
            raise Refusal(501, "pushes need a hub whose folder lets programs run; this one's is mounted without that")


async def stop(process: asyncio.subprocess.Process) -> None:
    """End a process and its children; returns when it is gone."""
    if process.returncode is not None:
        return
    # Git removes its lock files and its quarantine when it is asked to end.
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            await asyncio.wait_for(process.wait(), _SECONDS_TO_CLEAN_UP)
        except ProcessLookupError:
            await process.wait()
            return
        except TimeoutError:
            continue
        return


@cache
def git_program() -> str:
    """Return the path of git; refuses a machine without it, or with one that is too old."""
    program = shutil.which("git")
    oldest = ".".join(map(str, _OLDEST_GIT))
    if program is None:
        raise Refusal(501, f"this hub has no git program; install git {oldest} or newer on its machine")
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST_GIT:
        raise Refusal(501, f"this hub's git must be {oldest} or newer, got {said.strip()!r}")
    return program
