"""What garbage collection frees, what it leaves, and that nobody who uses the hub meanwhile notices."""

import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from modeling_axk1.errors import HubError
from modeling_axk1.hub.server import gc, serving
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.commits import AddLarge, AddRegular, CommitRequest, Delete
from modeling_axk1.hub.server.gc import Freed, collect, upkeep
from modeling_axk1.hub.server.refusal import Refusal
from tests.hub.conftest import fsck

LARGE = {f"large{number}": f"large file {number}".encode() * 100 for number in range(4)}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def upload(catalog, repository, content):
    with catalog.blobs.receive(digest(content), len(content)) as blob:
        blob.write(content)
    repository.large_files.add_uploaded(digest(content))


def commit(catalog, repository, *operations, branch="main"):
    return repository.commit(branch, CommitRequest("change", None, list(operations)), catalog.blobs.refresh)


def add(path, content):
    return AddLarge(path, digest(content), len(content))


@pytest.fixture
def catalog(tmp_path):
    return Catalog(tmp_path)


@pytest.fixture
def repository(catalog):
    catalog.create("models", "team", "model")
    return catalog.get("models", "team", "model")


class TestLargeFiles:
    def test_only_what_a_branch_or_a_tag_reaches_stays(self, catalog, repository):
        for name in ("old", "tagged", "now", "never"):
            upload(catalog, repository, name.encode())
        commit(catalog, repository, add("a.bin", b"tagged"))
        repository.add_tag("v1", "main", None)
        repository.add_branch("side", "main")
        commit(catalog, repository, add("a.bin", b"old"), branch="side")
        commit(catalog, repository, add("a.bin", b"now"))
        repository.delete_branch("side")
        report = collect(catalog.root, grace=0)
        assert report.blobs == Freed(2, len(b"old") + len(b"never"))
        here = {name for name in ("old", "tagged", "now", "never") if catalog.blobs.size(digest(name.encode()))}
        assert here == {"tagged", "now"}
        assert fsck(repository.path) == ""

    def test_a_dry_run_says_the_same_and_removes_nothing(self, catalog, repository):
        upload(catalog, repository, b"never")
        assert collect(catalog.root, grace=0, dry_run=True).blobs == Freed(1, 5)
        assert catalog.blobs.size(digest(b"never")) == 5

    def test_what_arrived_stays_for_the_time_of_grace(self, catalog, repository):
        upload(catalog, repository, b"new")
        assert collect(catalog.root, grace=60).blobs == Freed()
        os.utime(catalog.blobs.path(digest(b"new")), (time.time() - 61,) * 2)
        assert collect(catalog.root, grace=60).blobs == Freed(1, 3)

    def test_an_old_file_that_a_client_is_told_of_is_young_again(self, catalog, repository):
        upload(catalog, repository, b"old")
        os.utime(catalog.blobs.path(digest(b"old")), (0, 0))
        assert catalog.blobs.refresh(digest(b"old")) == 3
        assert collect(catalog.root, grace=60).blobs == Freed()

    def test_a_commit_while_it_runs_keeps_the_old_file_it_points_to(self, catalog, repository, monkeypatch):
        upload(catalog, repository, b"old")
        os.utime(catalog.blobs.path(digest(b"old")), (0, 0))
        sweep = gc._sweep_blobs

        def commit_first(*arguments):
            commit(catalog, repository, add("a.bin", b"old"))
            sweep(*arguments)

        monkeypatch.setattr(gc, "_sweep_blobs", commit_first)
        assert collect(catalog.root, grace=60).blobs == Freed()
        assert catalog.blobs.size(digest(b"old")) == 3

    def test_a_branch_may_come_back_to_a_commit_that_git_still_has(self, catalog, repository):
        upload(catalog, repository, b"side")
        repository.add_branch("side", "main")
        lost = commit(catalog, repository, add("a.bin", b"side"), branch="side")
        repository.delete_branch("side")
        os.utime(catalog.blobs.path(digest(b"side")), (0, 0))
        collect(catalog.root, grace=3600)
        repository.add_branch("again", lost)
        assert catalog.blobs.size(digest(b"side")) == 4

    def test_what_was_removed_must_be_uploaded_again(self, catalog, repository):
        upload(catalog, repository, b"gone")
        collect(catalog.root, grace=0)
        with pytest.raises(Refusal, match="must be uploaded first"):
            commit(catalog, repository, add("a.bin", b"gone"))

    def test_a_repository_that_lost_a_file_may_not_read_it_from_another(self, catalog, repository):
        catalog.create("models", "team", "other")
        other = catalog.get("models", "team", "other")
        for each in (repository, other):
            upload(catalog, each, b"shared")
            each.add_branch("side", "main")
            commit(catalog, each, add("a.bin", b"shared"), branch="side")
        repository.delete_branch("side")
        collect(catalog.root, grace=0)
        assert other.large_files.may_read(digest(b"shared"))
        assert not repository.large_files.may_read(digest(b"shared"))

    def test_one_that_is_moved_while_it_runs_keeps_its_files(self, catalog, repository, monkeypatch):
        for name in ("a", "b"):
            catalog.create("models", "team", name)
            each = catalog.get("models", "team", name)
            upload(catalog, each, name.encode())
            commit(catalog, each, add("x.bin", name.encode()))
            os.utime(catalog.blobs.path(digest(name.encode())), (0, 0))
        look = gc._collect_repository

        def move_first(path, *arguments):
            if path.name == "a.git":
                catalog.move("models", ("team", "b"), ("team", "0"))
            look(path, *arguments)

        monkeypatch.setattr(gc, "_collect_repository", move_first)
        assert collect(catalog.root, grace=0).blobs == Freed()

    def test_xorbs_that_no_file_was_made_of_go_with_the_rest(self, catalog, repository):
        raw = repository.path / "xet" / "raw" / ("0" * 64)
        raw.parent.mkdir(parents=True)
        raw.write_bytes(b"xorb")
        assert collect(catalog.root).xorbs == Freed()
        assert collect(catalog.root, grace=0, dry_run=True).xorbs == Freed(1, 4)
        assert collect(catalog.root, grace=0).xorbs == Freed(1, 4)
        assert not raw.exists()


class TestGit:
    def test_many_small_packs_become_one(self, catalog, repository):
        for number in range(20):
            commit(catalog, repository, AddRegular("a.txt", b"%d" % number))
        packs = repository.path / "objects" / "pack"
        assert len(list(packs.glob("*.pack"))) > 20
        report = collect(catalog.root, grace=0)
        assert len(list(packs.glob("*.pack"))) == 1
        assert report.git.files > 20
        assert len(repository.history(repository.resolve("main"))) == 21
        assert fsck(repository.path) == ""

    def test_unreachable_history_stays_for_the_time_of_grace(self, catalog, repository):
        repository.add_branch("side", "main")
        lost = commit(catalog, repository, AddRegular("a.txt", b"x"), branch="side")
        repository.delete_branch("side")
        collect(catalog.root, grace=3600)
        assert repository.resolve(lost) == lost
        collect(catalog.root, grace=0)
        with pytest.raises(Refusal, match="no branch, tag or commit"):
            repository.resolve(lost)

    def test_a_damaged_repository_stops_it_before_anything_is_removed(self, catalog, repository):
        upload(catalog, repository, b"never")
        for pack in (repository.path / "objects").rglob("*.pack"):
            pack.chmod(0o600)
            pack.write_bytes(b"damaged")
        with pytest.raises(HubError, match="axk1 hub fsck"):
            collect(catalog.root, grace=0)
        assert catalog.blobs.size(digest(b"never")) == 5


class AnyHistory(RuleBasedStateMachine):
    """Commits, branches, tags, deletions, uploads and collections in any order, beside a model of them."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.catalog = Catalog(self.root)
        self.catalog.create("models", "team", "model")
        self.repository = self.catalog.get("models", "team", "model")
        self.references = {("branch", "main"): {}}
        self.ever = {("branch", "main"): frozenset()}  # what any commit holds that a reference leads to

    def teardown(self):
        shutil.rmtree(self.root)

    branches = st.sampled_from(["main", "b1", "b2"])
    tags = st.sampled_from(["v1", "v2"])
    names = st.sampled_from(sorted(LARGE))

    @rule(name=names)
    def upload(self, name):
        upload(self.catalog, self.repository, LARGE[name])

    @rule(branch=branches, path=st.sampled_from(["a.bin", "b/c.bin"]), name=names)
    def commit_large(self, branch, path, name):
        self.commit(branch, add(path, LARGE[name]), path, LARGE[name])

    @rule(branch=branches, path=st.sampled_from(["a.txt", "a.bin"]), content=st.binary(max_size=3))
    def commit_regular(self, branch, path, content):
        self.commit(branch, AddRegular(path, content), path, content)

    @rule(branch=branches, path=st.sampled_from(["a.txt", "a.bin", "b/c.bin"]))
    def commit_deletion(self, branch, path):
        self.commit(branch, Delete(path, folder=False), path, None)

    def commit(self, branch, operation, path, content):
        try:
            commit(self.catalog, self.repository, operation, branch=branch)
        except Refusal:
            return
        files = dict(self.references["branch", branch])
        files.pop(path, None)
        if content is not None:
            files[path] = content
        self.references["branch", branch] = files
        self.ever["branch", branch] |= {content}

    @rule(name=branches, of=branches)
    def branch(self, name, of):
        self.refer(("branch", name), of, lambda: self.repository.add_branch(name, of))

    @rule(name=tags, of=branches)
    def tag(self, name, of):
        self.refer(("tag", name), of, lambda: self.repository.add_tag(name, of, "a release"))

    def refer(self, key, of, change):
        try:
            change()
        except Refusal:
            return
        self.references[key] = self.references["branch", of]
        self.ever[key] = self.ever["branch", of]

    @rule(name=branches)
    def delete_branch(self, name):
        self.forget(("branch", name), self.repository.delete_branch)

    @rule(name=tags)
    def delete_tag(self, name):
        self.forget(("tag", name), self.repository.delete_tag)

    def forget(self, key, delete):
        try:
            delete(key[1])
        except Refusal:
            return
        del self.references[key], self.ever[key]

    @rule()
    def collect(self):
        collect(self.root, grace=0)
        reached = {name for name, content in LARGE.items() if any(content in held for held in self.ever.values())}
        assert {name for name, content in LARGE.items() if self.catalog.blobs.size(digest(content))} <= reached
        assert fsck(self.repository.path) == ""

    @invariant()
    def everything_reachable_reads_back(self):
        branches, tags = self.repository.references()
        assert {("branch", name) for name in branches} | {("tag", name) for name in tags} == set(self.references)
        for (_, name), files in self.references.items():
            found = {
                item.path: item
                for item in self.repository.listing(self.repository.resolve(name), recursive=True)
                if hasattr(item, "pointer") and item.path != ".gitattributes"
            }
            assert {path: self.read(file) for path, file in found.items()} == files

    def read(self, file):
        if file.pointer:
            return self.catalog.blobs.path(file.pointer.oid).read_bytes()
        return self.repository.content(file)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)


class TestCommand:
    def test_it_runs_beside_a_serving_hub_whose_clients_notice_nothing(self, run_axk1, tmp_path):
        with serving(tmp_path) as endpoint:
            api = HfApi(endpoint=endpoint, token=False)
            api.create_repo("team/model")
            wrong, stop = [], threading.Event()

            def read():
                while not stop.is_set():
                    answer = httpx.get(f"{endpoint}/team/model/resolve/main/config.json")
                    if answer.status_code != 200 or answer.content != b"{}":
                        wrong.append(answer)

            api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="team/model")
            reader = threading.Thread(target=read)
            reader.start()
            for number in range(12):
                old = CommitOperationDelete(f"{number - 1}.bin")
                new = CommitOperationAdd(f"{number}.bin", os.urandom(1000))
                api.create_commit("team/model", [old, new] if number else [new], commit_message="change")
                if number % 4 == 0:
                    collect(tmp_path, grace=0)
            stop.set()
            reader.join()
            assert wrong == []
            result = run_axk1("hub", "gc", "--root", tmp_path, "--grace", "0", "--json")
            assert result.returncode == 0, result.stderr
            assert json.loads(result.stdout)["reached"] == 12
        assert fsck(tmp_path / "repositories" / "models" / "team" / "model.git") == ""

    def test_where_there_is_no_hub_it_says_so(self, run_axk1, tmp_path):
        result = run_axk1("hub", "gc", "--root", tmp_path)
        assert (result.returncode, result.stderr) == (
            1,
            f"axk1: error: {tmp_path} holds no hub; `axk1 hub serve` makes one\n",
        )

    def test_one_at_a_time(self, catalog, repository):
        with upkeep(catalog.root), pytest.raises(HubError, match="another gc, backup or fsck is at work"):
            collect(catalog.root)
