"""Kill -9 at random times, of who publishes and of the hub: the end is what it would have been without."""

import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from modeling_axk1.checksums import write_sums
from modeling_axk1.files import sha256_file
from modeling_axk1.hub.prove import prove
from modeling_axk1.hub.publish import publish_set
from modeling_axk1.hub.release_set import Member, ReleaseSet, read_release
from modeling_axk1.hub.remote import Remote
from modeling_axk1.hub.remote_source import RemoteSource
from modeling_axk1.hub.repo import Repo
from tests.hub.conftest import fsck, git
from tests.hub.releases import make_set

KILLS = 50
SEED = 6


class KillableHub:
    """A hub with one address, however often it is killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "modeling_axk1", "hub", "serve"]
        # A group of its own, so that a hub of several processes is killed as a whole.
        self.process = subprocess.Popen(
            [*command, "--root", str(self.root), "--port", str(self.port)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.endpoint in self.process.stdout.readline()

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def folder(self, member: Member) -> Path:
        return self.root / "repositories" / f"{member.type}s" / f"{member.id}.git"

    def tagged(self, release: ReleaseSet) -> list[Member]:
        """Looked up on the disk: the hub may be dead."""
        return [
            member
            for member in release.repositories
            if self.folder(member).is_dir() and release.tag in git(self.folder(member), "tag").split()
        ]

    def files(self, member: Member, revision: str) -> dict[str, str]:
        """{path: git's id of the file or of its pointer}."""
        lines = git(self.folder(member), "ls-tree", "-rz", revision).split("\0")[:-1]
        found = {line.partition("\t")[2]: line.split()[2] for line in lines}
        return {path: oid for path, oid in found.items() if path != ".gitattributes"}


def next_release(folder: Path, number: int) -> ReleaseSet:
    """Change every repository of the set a little, and call it by the next tag."""
    rng = random.Random(number)
    for place in ("datasets/team/text", "models/team/nano"):
        (folder / place / "changed.bin").write_bytes(rng.randbytes(2_000_000))
        (folder / place / "notes.txt").write_text(f"release {number}\n")
        write_sums(folder / place)
    before = read_release(folder)
    members = tuple(
        Member(m.type, m.id, m.folder, sha256_file(folder / m.folder / "SHA256SUMS")) for m in before.repositories
    )
    release = ReleaseSet("nano", f"v0.{number}", members)
    (folder / "release.json").write_text(release.text())
    return release


def publish_and_tell(folder: Path, endpoint: str, answered: Event) -> None:
    """Publish, and tell when the hub has answered for the first time: from then on a publish outlives the hub."""
    call = Remote._call

    def told(*arguments: Any, **options: Any) -> Any:
        answer = call(*arguments, **options)
        answered.set()
        return answer

    Remote._call = told
    publish_set(folder, endpoint=endpoint)


@pytest.mark.slow
def test_fifty_random_kills_leave_what_no_kill_would_have_left(tmp_path):
    rng = random.Random(SEED)
    folder = make_set(tmp_path / "set")
    hub = KillableHub(tmp_path / "hub")
    fork = multiprocessing.get_context("fork")  # everything is imported already: a kill hits work, not imports
    publishers_killed = hubs_killed = releases = 0
    duration = 1.0
    try:
        while publishers_killed + hubs_killed < KILLS:
            releases += 1
            release = next_release(folder, releases)
            while True:
                answered = fork.Event()
                process = fork.Process(target=publish_and_tell, args=(folder, hub.endpoint, answered))
                began = time.monotonic()
                process.start()
                process.join(rng.uniform(0, duration))
                if process.is_alive():
                    if rng.random() < 0.3 and answered.is_set():
                        hub.kill()
                        hubs_killed += 1
                        hub.start()
                        process.join()
                    else:
                        process.kill()
                        process.join()
                        publishers_killed += 1
                if hub.tagged(release):
                    trees = [hub.files(member, "main") for member in release.repositories]
                    for member, tree in zip(release.repositories, trees, strict=True):
                        assert "changed.bin" in tree
                        assert tree["notes.txt"] == blob_id(folder / member.folder / "notes.txt")
                if process.exitcode == 0:
                    duration = 0.5 * duration + 0.5 * min(time.monotonic() - began, 2 * duration)
                    break
                assert process.exitcode == -signal.SIGKILL, "only a kill ends a publish early"
            assert hub.tagged(release) == list(release.repositories)
        assert min(publishers_killed, hubs_killed) >= 5
        check_everything(hub, folder, releases)
    finally:
        hub.kill()


def check_everything(hub: KillableHub, folder: Path, releases: int) -> None:
    release = read_release(folder)
    for member in release.repositories:
        commits = git(hub.folder(member), "rev-list", "--count", "main")
        assert int(commits) == releases + 1, "one commit for each release, and the hub's own first one"
        assert len(git(hub.folder(member), "tag").split()) == releases
        assert fsck(hub.folder(member)) == ""
        remote, repo = Remote(hub.endpoint), Repo(member.type, member.id)
        source = RemoteSource(remote, repo, remote.resolve(repo, release.tag))
        assert prove(source, sums_sha256=member.sums_sha256).problems == []
        api = HfApi(endpoint=hub.endpoint, token=False)
        tags = api.list_repo_refs(member.id, repo_type=member.type).tags
        assert {tag.name for tag in tags} == {f"v0.{number}" for number in range(1, releases + 1)}


def blob_id(path: Path) -> str:
    return subprocess.run(["git", "hash-object", str(path)], check=True, capture_output=True, text=True).stdout.strip()
