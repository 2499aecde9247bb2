"""A hub under mixed traffic whose clients and server are killed at random; at the end its store must be clean.

Clients upload over LFS, commit, tag, download with a check of the digest, list, make and delete repositories. Every
second or so one of them gets SIGKILL and another takes its place; now and then all processes of the server do, and it
starts again on the same folder and port. At the end every acknowledged commit must be there with the right bytes,
every acknowledged tag must name its commit, `git fsck` must find nothing, and after one more start nothing may be left
of broken uploads.

Example: python benchmarks/hub_soak.py --seconds 300
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from hub_load import Server
from measure import RESULTS

from modeling_axk1.environment import environment

SEED = 6


class Hub:
    """The server, in a process group of its own so that one signal ends all its processes."""

    def __init__(self, root: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._root = root
        self.start()

    def start(self) -> None:
        """Start it; returns when it accepts connections."""
        command = [sys.executable, "-m", "modeling_axk1", "hub", "serve", "--root", str(self._root)]
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port), "--workers", "2"],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise SystemExit("the hub did not start")

    def end(self, how: signal.Signals) -> None:
        """Send a signal to all its processes and wait until they are gone."""
        os.killpg(self._process.pid, how)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def memory_mib(self) -> float:
        """Return what all its processes hold now."""
        return Server(self._process, self.port, "").memory_mib()


class Clients:
    """So many clients at any time, each with a file of notes that outlives it."""

    def __init__(self, endpoint: str, notes: Path, count: int) -> None:
        self._endpoint = endpoint
        self._notes = notes
        self._started = 0
        self._running = {place: self._start(place) for place in range(count)}

    def kill(self, place: int) -> None:
        """Kill one and start another in its place."""
        self._end(self._running[place])
        self._running[place] = self._start(place)

    def end(self) -> None:
        """Kill all."""
        for process in self._running.values():
            self._end(process)

    def _start(self, place: int) -> "subprocess.Popen[bytes]":
        self._started += 1
        script = str(Path(__file__).with_name("hub_soak_client.py"))
        notes = self._notes / f"client{place}"
        notes.touch()
        quiet = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        return subprocess.Popen(
            [sys.executable, script, self._endpoint, str(notes), str(SEED * 1000 + self._started)],
            env={**os.environ, **quiet},
            stderr=subprocess.DEVNULL,
        )

    @staticmethod
    def _end(process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        process.wait()


def soak(root: Path, notes: Path, seconds: float, count: int) -> dict[str, Any]:
    """Let the clients at the hub for a while; returns how often who was killed, and the memory over time."""
    chance = random.Random(SEED)  # noqa: S311  # who is killed when is no secret
    hub = Hub(root)
    clients = Clients(hub.endpoint, notes, count)
    memory: list[float] = []
    killed = {"clients": 0, "servers": 0}
    ends = time.monotonic() + seconds
    next_server_kill = time.monotonic() + chance.uniform(5, 30)
    try:
        while time.monotonic() < ends:
            time.sleep(chance.uniform(0.5, 2))
            memory.append(hub.memory_mib())
            clients.kill(chance.randrange(count))
            killed["clients"] += 1
            if time.monotonic() > next_server_kill:
                hub.end(signal.SIGKILL)
                hub.start()
                killed["servers"] += 1
                next_server_kill = time.monotonic() + chance.uniform(5, 30)
    finally:
        clients.end()
        hub.end(signal.SIGKILL)
    return {"killed": killed, "memory_mib": {"most": max(memory), "last": memory[-1]}}


def faults(root: Path, notes: Path) -> tuple[dict[str, int], list[str]]:
    """Start the hub once more and compare it with what was acknowledged; (what was checked, what is wrong)."""
    lines = [line for file in notes.iterdir() for line in file.read_text(encoding="utf-8").splitlines()]
    acknowledged = [json.loads(line) for line in lines]
    wrong = [note["wrong"] for note in acknowledged if "wrong" in note]
    acknowledged = [note for note in acknowledged if "commit" in note]
    checked = {"commits": len({note["commit"] for note in acknowledged}), "files": 0, "tags": 0, "repositories": 0}
    hub = Hub(root)
    try:
        for note in acknowledged:
            revision = note.get("tag", note["commit"])
            checked["tags"] += "tag" in note
            for path, digest in note["files"].items():
                answer = httpx.get(f"{hub.endpoint}/{note['repo']}/resolve/{revision}/{path}")
                checked["files"] += 1
                if answer.status_code != 200 or hashlib.sha256(answer.content).hexdigest() != digest:
                    wrong.append(f"{note['repo']} {revision} {path}: {answer.status_code}, or other bytes")
                elif answer.headers["X-Repo-Commit"] != note["commit"]:
                    wrong.append(f"{note['repo']} {revision} is {answer.headers['X-Repo-Commit']}")
    finally:
        hub.end(signal.SIGTERM)
    for folder in sorted((root / "repositories").glob("*/*/*.git")):
        command = ["git", "-c", "safe.directory=*", "-C", str(folder), "fsck", "--full", "--strict", "--no-dangling"]
        said = subprocess.run(command, capture_output=True, text=True)
        checked["repositories"] += 1
        if said.returncode or said.stdout.strip():
            wrong.append(f"{folder.name}: {said.stdout} {said.stderr}")
        # A branch on which an acknowledged commit is no longer was moved back.
        heads = subprocess.run([*command[:5], "rev-list", "--branches"], capture_output=True, text=True).stdout.split()
        mine = {note["commit"] for note in acknowledged if note["repo"] == f"{folder.parent.name}/{folder.stem}"}
        wrong += [f"{folder.name}: commit {oid} is on no branch" for oid in sorted(mine - set(heads))]
    left = [
        *root.glob("blobs/incoming/**/*"),
        *root.glob("repositories/**/*.lock"),
        *root.glob("repositories/**/*.part"),
    ]
    wrong += [f"left over: {path.relative_to(root)}" for path in left if path.is_file()]
    return checked, wrong


def main() -> None:
    """Soak a hub, write release/results/hub_soak.json, and end with 1 when something is wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300, help="how long (default: 300)")
    parser.add_argument("--clients", type=int, default=6, help="clients at any time (default: 6)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where to write the result")
    parser.add_argument("--quick", action="store_true", help="20 seconds with 3 clients")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.clients = 20, 3
    with tempfile.TemporaryDirectory() as home, contextlib.chdir(home):
        root, notes = Path(home) / "hub", Path(home) / "notes"
        notes.mkdir()
        result = soak(root, notes, options.seconds, options.clients)
        checked, wrong = faults(root, notes)
    settings = {"command": "python benchmarks/hub_soak.py", "seed": SEED}
    settings |= {"seconds": options.seconds, "clients": options.clients}
    text = json.dumps({**settings, **result, "checked": checked, "wrong": wrong, **environment()}, indent=2) + "\n"
    (options.out / "hub_soak.json").write_text(text, encoding="utf-8")
    print(json.dumps({**result, "checked": checked, "wrong": wrong}, indent=2), file=sys.stderr)
    sys.exit(1 if wrong or not checked["commits"] else 0)


if __name__ == "__main__":
    main()
