"""kill -9 at any moment, and disks that are full or cannot be written: nothing acknowledged is lost, nothing is half.

The disks are small file systems in memory, mounted where only the hub of the test sees them (Linux, unshare(1)).
"""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from modeling_axk1.hub.server.catalog import repositories_in
from modeling_axk1.hub.server.fsck import check
from modeling_axk1.hub.server.gc import collect
from tests.hub.conftest import fsck
from tests.hub.server.test_process import command

ROUNDS = 8


class Writer:
    """Changes one repository until the hub dies, and remembers what the hub acknowledged."""

    def __init__(self, number):
        self.name = f"team/model{number}"
        self.random = random.Random(number)
        self.files, self.tags, self.branches, self.deleted = {}, {}, set(), []
        self.number = 0

    def run(self, endpoint):
        api = HfApi(endpoint=endpoint, token=False)
        with contextlib.suppress(Exception):  # the hub is gone
            api.create_repo(self.name, exist_ok=True)
            while True:
                self.step(api)

    def step(self, api):
        self.number += 1
        kind = self.random.choice(["large", "small", "tag", "branch", "repository"])
        name = f"{kind}{self.number}"
        if kind in {"large", "small"}:
            content = os.urandom(200_000) if kind == "large" else os.urandom(100)
            path = f"{name}.bin" if kind == "large" else f"{name}.txt"
            api.create_commit(self.name, [CommitOperationAdd(path, content)], commit_message=name)
            self.files[path] = content
        elif kind == "tag":
            api.create_tag(self.name, tag=name)
            self.tags[name] = dict(self.files)
        elif kind == "branch":
            api.create_branch(self.name, branch=name)
            api.delete_branch(self.name, branch=name)
            self.deleted.append(name)
        else:
            other = f"{self.name}-{self.number}"
            api.create_repo(other)
            self.branches.add(other)
            if self.random.random() < 0.5:
                self.branches.discard(other)  # from here on it may or may not be there
                api.delete_repo(other)

    def check(self, endpoint):
        api = HfApi(endpoint=endpoint, token=False)
        if not self.files and not self.tags:
            return
        references = api.list_repo_refs(self.name)
        assert self.tags.keys() <= {tag.name for tag in references.tags}
        assert not set(self.deleted) & {branch.name for branch in references.branches}
        for path, content in self.files.items():
            assert httpx.get(f"{endpoint}/{self.name}/resolve/main/{path}").content == content
        for tag, files in self.tags.items():
            for path, content in list(files.items())[-2:]:
                assert httpx.get(f"{endpoint}/{self.name}/resolve/{tag}/{path}").content == content
        there = {repository.id for repository in api.list_models(author="team")}
        assert self.branches <= there


@pytest.fixture(autouse=True)
def impatient_clients(monkeypatch):
    """Clients ask a hub that is gone again and again, with pauses."""
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)


@pytest.mark.slow
def test_killed_again_and_again_it_keeps_what_it_acknowledged(tmp_path):
    chance = random.Random(6)
    writers = [Writer(number) for number in range(4)]
    for _ in range(ROUNDS):
        with command(tmp_path, "--workers", "1") as (process, (place, _)), ThreadPoolExecutor(5) as pool:
            endpoint = place.split()[-1]
            running = [pool.submit(writer.run, endpoint) for writer in writers]
            collecting = pool.submit(collect, tmp_path)
            threading.Timer(chance.uniform(0.2, 1.5), process.kill).start()
            process.wait()
            for job in running:
                job.result()
            collecting.exception()  # a repository may be gone under it; what it must not do is looked at below
    assert sum(len(writer.files) for writer in writers) > ROUNDS
    with command(tmp_path, "--workers", "1") as (_, (place, _)):
        for writer in writers:
            writer.check(place.split()[-1])
    assert check(tmp_path).damaged == []
    for _, name, path in repositories_in(tmp_path):
        assert fsck(path) == "", name
        assert not list(path.rglob("*.lock"))
    assert list((tmp_path / "blobs" / "incoming").iterdir()) == []
    assert not list((tmp_path / "repositories").glob("*/*/.*"))


def serve_on(options, root):
    """Return the command that serves `root` on a disk of its own, which nobody else sees there."""
    program = (
        'mount -t tmpfs -o "$1" none "$2" && exec "$0" -m modeling_axk1 hub serve --port 0 --workers 1 --root "$2"'
    )
    user = [] if os.getuid() == 0 else ["-r"]
    return ["unshare", "-m", *user, "sh", "-c", program, sys.executable, options, str(root)]


@contextmanager
def on_a_small_disk(root, size):
    """A hub on a disk of `size`; yields (endpoint, the folder as the hub sees it)."""
    root.mkdir()
    arguments = serve_on(f"size={size}", root)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            endpoint = process.stdout.readline().split()[-1]
            yield endpoint, Path(f"/proc/{process.pid}/root{root}")
        finally:
            process.kill()


class TestFullDisk:
    def test_uploads_and_commits_are_refused_and_the_store_stays_clean(self, tmp_path):
        with on_a_small_disk(tmp_path / "hub", "12m") as (endpoint, seen):
            api = HfApi(endpoint=endpoint, token=False)
            api.create_repo("team/model")
            files, refused = {}, None
            for number in range(12):
                content = os.urandom(1_500_000)
                try:
                    api.upload_file(path_or_fileobj=content, path_in_repo=f"{number}.bin", repo_id="team/model")
                except RuntimeError as error:
                    refused = error.__cause__.response
                    break
                files[f"{number}.bin"] = content
            assert refused.status_code == 507
            assert refused.headers["x-error-message"] == "the hub's disk is full; nothing was changed"
            assert len(files) > 3
            assert list((seen / "blobs" / "incoming").iterdir()) == []
            (seen / "filler").write_bytes(b"")
            with contextlib.suppress(OSError), (seen / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(b"0" * 4096)
            head = api.model_info("team/model").sha
            for change in (
                lambda: api.upload_file(path_or_fileobj=b"x" * 9000, path_in_repo="a.txt", repo_id="team/model"),
                lambda: api.create_tag("team/model", tag="v1"),
                lambda: api.create_repo("team/other"),
            ):
                with pytest.raises(Exception, match="507"):
                    change()
            assert httpx.get(f"{endpoint}/health").status_code == 503
            assert api.model_info("team/model").sha == head
            for path, content in files.items():
                assert httpx.get(f"{endpoint}/team/model/resolve/main/{path}").content == content
            (seen / "filler").unlink()
            api.upload_file(path_or_fileobj=b"room again", path_in_repo="a.txt", repo_id="team/model")
            api.create_tag("team/model", tag="v1")
            api.create_repo("team/other")
            # Git does not find its way through /proc.
            shutil.copytree(seen, tmp_path / "copy")
        for _, name, path in repositories_in(tmp_path / "copy"):
            assert fsck(path) == "", name
        assert check(tmp_path / "copy").damaged == []


def test_a_disk_that_cannot_be_written_is_one_line(tmp_path):
    done = subprocess.run(serve_on("ro", tmp_path), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    rule = f"{tmp_path} must be a folder that the hub can write"
    assert done.stderr == f"axk1: error: {rule}: Read-only file system; choose another --root\n"
