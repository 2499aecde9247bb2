"""Limits on what a hub takes, as stock clients meet them: the largest file, and what a namespace may keep."""

import hashlib
import json
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from typer.testing import CliRunner

from modeling_axk1.cli.hub import app
from modeling_axk1.errors import HubError, UsageError
from modeling_axk1.hub.publish import publish
from modeling_axk1.hub.server import run, serving
from modeling_axk1.hub.server.backup import backup, restore
from modeling_axk1.hub.server.large_files import LargeFiles
from modeling_axk1.hub.server.limits import Limits
from modeling_axk1.hub.server.quota import Quotas
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import Repository
from modeling_axk1.hub.server.store import BlobStore
from modeling_axk1.hub.server.usage import Counter, report
from tests.hub.conftest import Hub
from tests.hub.server.test_process import command

MIB = 1024 * 1024
_numbers = count()


@pytest.fixture
def team(hub):
    """A namespace of its own for each test, with one repository."""
    namespace = f"team{next(_numbers)}"
    hub.api.create_repo(f"{namespace}/model")
    return namespace


def used(hub: Hub, namespace: str) -> int:
    return Counter(hub.root, BlobStore(hub.root / "blobs")).namespace(namespace).total


def allow(hub: Hub, namespace: str, more: int) -> int:
    """Set the quota of a namespace to what it keeps and `more` bytes; returns it."""
    limit = used(hub, namespace) + more
    Limits(hub.root).set(namespace, limit)
    return limit


def blob(number: int, size: int = 1000) -> bytes:
    return number.to_bytes(8, "big") * (size // 8)


def oid_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def batch(endpoint: str, repo: str, *contents: bytes, transfers: tuple[str, ...] = ("basic",)) -> list[dict]:
    body = {
        "operation": "upload",
        "transfers": transfers,
        "objects": [{"oid": oid_of(data), "size": len(data)} for data in contents],
    }
    answer = httpx.post(f"{endpoint}/{repo}.git/info/lfs/objects/batch", json=body)
    assert answer.status_code == 200
    return answer.json()["objects"]


def href(answer: dict) -> str:
    return answer["actions"]["upload"]["href"]


def upload(api: HfApi, repo: str, data: bytes, path: str = "model.safetensors") -> None:
    api.upload_file(path_or_fileobj=data, path_in_repo=path, repo_id=repo)


@contextmanager
def slow_upload(url: str, data: bytes):
    """A client that has sent half of its file and waits while the block runs."""
    half, go_on = threading.Event(), threading.Event()

    def body():
        yield data[: len(data) // 2]
        half.set()
        assert go_on.wait(30)
        yield data[len(data) // 2 :]

    with ThreadPoolExecutor() as pool:
        answer = pool.submit(httpx.put, url, content=body(), headers={"Content-Length": str(len(data))})
        try:
            assert half.wait(30)
            time.sleep(0.2)
            yield
        finally:
            go_on.set()
        assert answer.result().status_code == 200


class TestLargeFiles:
    def test_the_exact_limit_passes_and_one_byte_more_is_refused(self, hub, team):
        data = blob(1)
        allow(hub, team, len(data) - 1)
        with pytest.raises(ValueError, match=f"the quota of {team} is .* 1,000 more asked for"):
            upload(hub.api, f"{team}/model", data)
        allow(hub, team, len(data))
        upload(hub.api, f"{team}/model", data)
        assert Path(hub.api.hf_hub_download(f"{team}/model", "model.safetensors")).read_bytes() == data

    def test_the_refusal_says_what_is_used_allowed_and_asked_for(self, hub, team):
        limit = allow(hub, team, 999)
        (answer,) = batch(hub.endpoint, f"{team}/model", blob(1))
        assert "actions" not in answer
        assert answer["error"] == {
            "code": 507,
            "message": f"the quota of {team} is {limit:,} bytes: {limit - 999:,} used, 0 on their way, "
            "1,000 more asked for",
        }

    def test_the_files_of_one_batch_are_counted_together(self, hub, team):
        allow(hub, team, 2000)
        answers = batch(hub.endpoint, f"{team}/model", blob(1), blob(2), blob(1), blob(3))
        assert [answer.get("error", {}).get("code") for answer in answers] == [None, None, None, 507]

    def test_what_is_here_needs_no_room(self, hub, team):
        upload(hub.api, f"{team}/model", blob(1))
        Limits(hub.root).set(team, 1)
        (answer,) = batch(hub.endpoint, f"{team}/model", blob(1))
        assert "error" not in answer

    def test_each_repository_that_names_a_file_keeps_it(self, hub, team):
        hub.api.create_repo(f"{team}/copy")
        upload(hub.api, f"{team}/model", blob(1))
        allow(hub, team, 999)
        (answer,) = batch(hub.endpoint, f"{team}/copy", blob(1))
        assert answer["error"]["code"] == 507

    def test_models_and_datasets_share_a_quota(self, hub, team):
        hub.api.create_repo(f"{team}/data", repo_type="dataset")
        allow(hub, team, 1000)
        upload(hub.api, f"{team}/model", blob(1))
        (answer,) = batch(hub.endpoint, f"datasets/{team}/data", blob(2))
        assert answer["error"]["code"] == 507

    def test_publish_says_so_in_one_line(self, hub, team, folder):
        Limits(hub.root).set(team, 1)
        with pytest.raises(HubError, match=f"the quota of {team} is 1 bytes: [0-9,]+ used") as caught:
            publish(folder, endpoint=hub.endpoint, repo_id=f"{team}/model", repo_type="model", tag=None)
        assert "\n" not in str(caught.value)

    def test_an_address_from_before_the_quota_takes_nothing_now(self, hub, team):
        data = blob(1)
        address = href(batch(hub.endpoint, f"{team}/model", data)[0])
        Limits(hub.root).set(team, 1)
        answer = httpx.put(address, content=data)
        assert (answer.status_code, answer.json()["message"].split(":")[0]) == (507, f"the quota of {team} is 1 bytes")

    def test_a_stock_client_gives_up_at_once(self, hub, team, monkeypatch):
        """Also when the room went between its question and its bytes; 507 is not among what it tries again."""
        from huggingface_hub import lfs

        ask = lfs.post_lfs_batch_info

        def ask_then_fill(*arguments, **options):
            found = ask(*arguments, **options)
            Limits(hub.root).set(team, 1)
            return found

        monkeypatch.setattr("huggingface_hub._commit_api.post_lfs_batch_info", ask_then_fill)
        monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"the client waits {seconds} s to try again"))
        with pytest.raises(RuntimeError) as caught:
            upload(hub.api, f"{team}/model", blob(1))
        assert f"the quota of {team} is 1 bytes" in str(caught.value.__cause__)


class TestOnTheirWay:
    def test_bytes_on_their_way_count(self, hub, team):
        allow(hub, team, 1500)
        first, second = batch(hub.endpoint, f"{team}/model", blob(1))[0], blob(2)
        address = href(batch(hub.endpoint, f"{team}/model", second)[0])
        with slow_upload(href(first), blob(1)):
            (answer,) = batch(hub.endpoint, f"{team}/model", second)
            assert "1,000 on their way, 1,000 more asked for" in answer["error"]["message"]
            assert httpx.put(address, content=second).status_code == 507
        assert used(hub, team) <= Limits(hub.root).of(team)

    def test_an_upload_that_broke_off_stops_counting(self, hub, team):
        allow(hub, team, 1000)
        data = blob(1)
        path = href(batch(hub.endpoint, f"{team}/model", data)[0])

        def broken():
            yield data[:500]
            raise ConnectionError

        with pytest.raises(ConnectionError):
            httpx.put(path, content=broken(), headers={"Content-Length": "1000"})
        deadline = time.monotonic() + 10
        while "error" in batch(hub.endpoint, f"{team}/model", blob(2))[0] and time.monotonic() < deadline:
            time.sleep(0.05)
        upload(hub.api, f"{team}/model", blob(2))

    def test_parts_count_as_the_whole_file_until_it_is_whole(self, hub, team):
        data = blob(1, 65 * MIB)
        allow(hub, team, len(data) + 500)
        (answer,) = batch(hub.endpoint, f"{team}/model", data, transfers=("multipart",))
        action = answer["actions"]["upload"]
        part = int(action["header"]["chunk_size"])
        tags = [httpx.put(action["header"]["1"], content=data[:part], timeout=60).headers["etag"]]
        assert batch(hub.endpoint, f"{team}/model", blob(2))[0]["error"]["code"] == 507
        tags.append(httpx.put(action["header"]["2"], content=data[part:], timeout=60).headers["etag"])
        listed = [{"partNumber": number, "etag": tag} for number, tag in enumerate(tags, 1)]
        assert httpx.post(action["href"], json={"oid": oid_of(data), "parts": listed}, timeout=60).status_code == 200
        assert "error" not in batch(hub.endpoint, f"{team}/model", blob(2, 500))[0]

    def test_a_stream_counts_until_it_is_whole_or_its_repository_is_deleted(self, hub, team):
        allow(hub, team, 1000)
        hub.api.create_repo(f"{team}/other")
        allow(hub, team, 1000)
        (answer,) = batch(hub.endpoint, f"{team}/model", blob(1), transfers=("tus",))
        headers = {"Upload-Offset": "0", "Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
        assert httpx.patch(href(answer), content=blob(1)[:400], headers=headers).status_code == 204
        assert batch(hub.endpoint, f"{team}/other", blob(2))[0]["error"]["code"] == 507
        again = httpx.patch(href(answer), content=blob(1)[400:800], headers={**headers, "Upload-Offset": "400"})
        assert again.status_code == 204
        hub.api.delete_repo(f"{team}/model")
        assert "error" not in batch(hub.endpoint, f"{team}/other", blob(2))[0]

    def test_several_processes_together_keep_to_the_limit(self, tmp_path):
        """Eight clients at once, each with its own file, where there is room for three."""
        with command(tmp_path, "--workers", "2") as (_, lines):
            endpoint = lines[0].split()[-1]
            HfApi(endpoint=endpoint, token=False).create_repo("team/model")
            hub = Hub(tmp_path, endpoint, HfApi())
            contents = [blob(number, MIB) for number in range(8)]
            addresses = [href(batch(endpoint, "team/model", data)[0]) for data in contents]
            limit = allow(hub, "team", 3 * MIB)
            with ThreadPoolExecutor(8) as pool:
                answers = list(
                    pool.map(lambda pair: httpx.put(pair[0], content=pair[1]), zip(addresses, contents, strict=True))
                )
            assert sorted(answer.status_code for answer in answers) == [200] * 3 + [507] * 5
            assert used(hub, "team") == limit

    def test_two_processes_see_what_the_other_takes(self, tmp_path):
        blobs = BlobStore(tmp_path / "blobs")
        path = tmp_path / "repositories" / "models" / "team" / "model.git"
        path.mkdir(parents=True)
        Repository.create(path)
        here, there, repository = Quotas(tmp_path, blobs), Quotas(tmp_path, blobs), Repository(path)
        Limits(tmp_path).set("team", Counter(tmp_path, blobs).namespace("team").total + 100)
        with here.take_file(repository, "a" * 64, 60):
            assert there.left(repository) == 40
            with there.take_file(repository, "a" * 64, 60):  # the same file: counted once
                assert here.left(repository) == 40
            with pytest.raises(Refusal, match="60 on their way, 41 more"):
                there.take_bytes(repository, 41)
            with there.take_bytes(repository, 40):
                assert here.left(repository) == 0
        assert there.left(repository) == 100


class TestGit:
    def test_a_commit_needs_room_for_its_files(self, hub, team):
        allow(hub, team, 9)
        with pytest.raises(HfHubHTTPError, match=f"the quota of {team} .* 10 more asked for") as caught:
            upload(hub.api, f"{team}/model", b"0123456789", "notes.txt")
        assert caught.value.response.status_code == 507
        allow(hub, team, 10)
        upload(hub.api, f"{team}/model", b"0123456789", "notes.txt")

    def test_a_full_namespace_can_still_delete(self, hub, team):
        upload(hub.api, f"{team}/model", b"text", "notes.txt")
        hub.api.create_branch(f"{team}/model", branch="old")
        Limits(hub.root).set(team, 1)
        hub.api.delete_file("notes.txt", f"{team}/model")
        hub.api.delete_branch(f"{team}/model", branch="old")

    def test_a_push_needs_room_and_git_shows_why(self, hub, team, tmp_path):
        push = self.clone(hub, team, tmp_path)
        (tmp_path / "clone" / "noise.txt").write_bytes(os.urandom(200_000))
        allow(hub, team, 100_000)
        refused = push("main")
        assert refused.returncode != 0
        assert f"remote: the quota of {team} is" in refused.stderr
        assert "more asked for" in refused.stderr
        allow(hub, team, 2_200_000)
        assert push("main").returncode == 0

    def test_a_push_that_is_far_too_large_is_not_taken_in(self, hub, team, tmp_path):
        push = self.clone(hub, team, tmp_path)
        (tmp_path / "clone" / "noise.txt").write_bytes(os.urandom(2_000_000))
        allow(hub, team, 100)
        refused = push("main")
        assert refused.returncode != 0
        assert f"the quota of {team} has room for 100 more bytes" in refused.stderr

    def test_a_push_that_removes_a_branch_needs_no_room(self, hub, team, tmp_path):
        hub.api.create_branch(f"{team}/model", branch="old")
        push = self.clone(hub, team, tmp_path)
        Limits(hub.root).set(team, 1)
        removed = push(":old", changed=False)
        assert removed.returncode == 0, removed.stderr

    @staticmethod
    def clone(hub, team, tmp_path):
        folder = tmp_path / "clone"
        environment = {**os.environ, "GIT_LFS_SKIP_SMUDGE": "1", "GIT_TERMINAL_PROMPT": "0"}

        def git(*arguments):
            who = ("-c", "user.name=m", "-c", "user.email=m@example.org")
            return subprocess.run(["git", *who, *arguments], capture_output=True, text=True, env=environment)

        assert git("clone", "-q", f"{hub.endpoint}/{team}/model", str(folder)).returncode == 0

        def push(what, *, changed=True):
            if changed:
                git("-C", str(folder), "add", ".")
                git("-C", str(folder), "commit", "-qm", "More")
            return git("-C", str(folder), "push", "-q", "origin", what)

        return push


class TestFreeing:
    def test_deleting_a_repository_frees_what_it_kept(self, hub, team):
        hub.api.create_repo(f"{team}/second")
        upload(hub.api, f"{team}/model", blob(1))
        Limits(hub.root).set(team, used(hub, team))
        assert batch(hub.endpoint, f"{team}/second", blob(2))[0]["error"]["code"] == 507
        hub.api.delete_repo(f"{team}/model")
        upload(hub.api, f"{team}/second", blob(2))

    def test_what_has_landed_is_not_counted_twice(self, tmp_path):
        blobs = BlobStore(tmp_path / "blobs")
        path = tmp_path / "repositories" / "models" / "team" / "model.git"
        path.mkdir(parents=True)
        Repository.create(path)
        quotas, repository, data = Quotas(tmp_path, blobs), Repository(path), blob(1)
        Limits(tmp_path).set("team", Counter(tmp_path, blobs).namespace("team").total + 1500)
        with quotas.take_file(repository, oid_of(data), len(data)):
            self.place(blobs, data)
            assert quotas.left(repository) == 500
            repository.large_files.add_uploaded(oid_of(data))
            assert quotas.left(repository) == 500
        assert quotas.left(repository) == 500

    def test_a_repository_moves_only_to_where_there_is_room(self, hub, team):
        upload(hub.api, f"{team}/model", blob(1, 100_000))
        other = f"{team}-other"
        Limits(hub.root).set(other, 50_000)
        with pytest.raises(HfHubHTTPError, match=f"the quota of {other} is 50,000 bytes"):
            hub.api.move_repo(f"{team}/model", f"{other}/model")
        Limits(hub.root).set(other, used(hub, team))
        hub.api.move_repo(f"{team}/model", f"{other}/model")
        assert hub.api.repo_exists(f"{other}/model")

    def test_collected_files_are_not_counted_before_anybody_is_refused(self, tmp_path):
        """Collection may remove the bytes of an uploaded file and leave its marker; their return counts again."""
        blobs = BlobStore(tmp_path / "blobs")
        path = tmp_path / "repositories" / "models" / "team" / "model.git"
        path.mkdir(parents=True)
        Repository.create(path)
        data = blob(1)
        self.place(blobs, data)
        LargeFiles(path).add_uploaded(oid_of(data))
        long_ago = time.time() - 3600
        for folder in path.rglob("*/"):
            os.utime(folder, (long_ago, long_ago))
        quotas, counter = Quotas(tmp_path, blobs), Counter(tmp_path, blobs)
        Limits(tmp_path).set("team", counter.namespace("team").total)
        assert quotas.left(Repository(path)) == 0
        blobs.path(oid_of(data)).unlink()
        with quotas.take_bytes(Repository(path), 1000):
            pass
        assert quotas.left(Repository(path)) == 1000
        self.place(blobs, data)
        assert quotas.left(Repository(path)) == 0

    @staticmethod
    def place(blobs, data):
        with blobs.receive(oid_of(data), len(data)) as incoming:
            incoming.write(data)


class TestCounting:
    def test_only_what_changed_is_counted_again(self, tmp_path):
        asked = []

        class Blobs(BlobStore):
            def size(self, oid):
                asked.append(oid)
                return 7

        path = tmp_path / "repositories" / "models" / "team" / "model.git"
        oids = [f"{number:064x}"[::-1] for number in range(300)]
        LargeFiles(path).add_committed(oids)
        LargeFiles(path).add_uploaded(oids[0])
        long_ago = time.time() - 3600
        for folder in path.rglob("*/"):
            os.utime(folder, (long_ago, long_ago))
        counter = Counter(tmp_path, Blobs(tmp_path / "blobs"))
        assert counter.namespace("team").large == 300 * 7
        assert sorted(asked) == sorted(oids)
        asked.clear()
        assert counter.namespace("team").files == 300
        assert asked == []
        LargeFiles(path).add_uploaded("1" * 64)
        assert counter.namespace("team").files == 301
        assert {oid[:2] for oid in asked} == {"11"}

    def test_two_changes_in_one_tick_of_the_clock_are_both_seen(self, tmp_path):
        class Blobs(BlobStore):
            def size(self, oid):
                return 7

        path = tmp_path / "repositories" / "models" / "team" / "model.git"
        counter = Counter(tmp_path, Blobs(tmp_path / "blobs"))
        now = time.time()
        for number in range(1, 4):
            LargeFiles(path).add_uploaded(f"{number:064x}")
            os.utime(path / "large" / "uploaded" / "00", (now, now))
            assert counter.namespace("team").files == number


class TestLargestFile:
    def test_one_byte_more_is_refused_before_it_is_sent(self, tmp_path):
        started, stop, said = threading.Event(), threading.Event(), []
        options = {"largest_file": 10 * MIB}
        announce = lambda endpoint: (said.append(endpoint), started.set())  # noqa: E731
        thread = threading.Thread(target=run, args=(tmp_path, "127.0.0.1", 0, announce, stop.wait), kwargs=options)
        thread.start()
        try:
            assert started.wait(10)
            api = HfApi(endpoint=said[0], token=False)
            api.create_repo("team/model")
            upload(api, "team/model", bytes(10 * MIB))
            with pytest.raises(
                HfHubHTTPError, match="must not exceed 10485760 bytes on this hub, got 10485761"
            ) as caught:
                upload(api, "team/model", bytes(10 * MIB + 1))
            assert caught.value.response.status_code == 413
            (answer,) = batch(said[0], "team/model", bytes(10 * MIB + 1))
            assert answer["error"]["code"] == 413
        finally:
            stop.set()
            thread.join(20)

    @pytest.mark.parametrize("size", [10 * MIB - 1, (1 << 40) + 1])
    def test_it_is_between_what_git_holds_and_a_tebibyte(self, tmp_path, size):
        with pytest.raises(UsageError, match=f"the largest file must be in .* got {size}"):
            run(tmp_path, "127.0.0.1", 0, print, largest_file=size)


class TestCommands:
    @staticmethod
    def say(*arguments) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    def test_set_list_and_take_back(self, tmp_path):
        root = ("--root", tmp_path)
        assert self.say("quota", "list", *root) == "no quotas: every namespace may keep any number of bytes\n"
        assert self.say("quota", "set", "*", "1TiB", *root) == "* may keep 1,099,511,627,776 bytes\n"
        self.say("quota", "set", "team", "50GB", *root)
        self.say("quota", "set", "free", "none", *root)
        assert json.loads(self.say("quota", "list", *root, "--json")) == {
            "*": 1 << 40,
            "team": 50 * 10**9,
            "free": None,
        }
        assert [Limits(tmp_path).of(name) for name in ("team", "free", "other")] == [50 * 10**9, None, 1 << 40]
        self.say("quota", "set", "team", "default", *root)
        assert Limits(tmp_path).of("team") == 1 << 40

    @pytest.mark.parametrize(("namespace", "size"), [("../x", "1GB"), ("api", "1GB"), ("team", "much"), ("team", "-1")])
    def test_nonsense_is_refused(self, tmp_path, namespace, size):
        with pytest.raises(UsageError):
            self.say("quota", "set", "--root", tmp_path, "--", namespace, size)
        assert Limits(tmp_path).all() == {}

    def test_serve_sets_the_quota_of_all(self, tmp_path):
        with command(tmp_path, "--quota", "2GiB", "--max-file-size", "1GiB"):
            assert Limits(tmp_path).all() == {"*": 2 << 30}

    def test_usage_shows_everything_and_counts_shared_bytes_once(self, tmp_path):
        with serving(tmp_path) as endpoint:
            api = HfApi(endpoint=endpoint, token=False)
            for name in ("team/a", "team/b", "other/c"):
                api.create_repo(name)
                upload(api, name, blob(1))
            upload(api, "team/b", blob(2, 4000), "more.safetensors")
            Limits(tmp_path).set("team", 1_000_000)
            found = json.loads(self.say("usage", "--root", tmp_path, "--json"))
            words = self.say("usage", "--root", tmp_path)
        other, team = found["namespaces"]
        assert (other["namespace"], other["quota"], other["large_bytes"]) == ("other", None, 1000)
        assert (team["namespace"], team["quota"], team["large_bytes"], team["files"]) == ("team", 1_000_000, 6000, 3)
        second = next(item for item in team["repositories"] if item["id"] == "team/b")
        assert (second["type"], second["files"], second["large_bytes"]) == ("model", 2, 5000)
        assert second["git_bytes"] == sum(
            path.stat().st_size for path in (tmp_path / "repositories/models/team/b.git/objects").rglob("*.*")
        )
        assert (found["stored"]["files"], found["stored"]["large_bytes"]) == (2, 5000)
        assert found["stored"]["git_bytes"] == team["git_bytes"] + other["git_bytes"]
        rows = [line.split() for line in words.splitlines()]
        assert rows[0] == ["files", "large", "git", "total", "quota"]
        assert [row[0] for row in rows[1:]] == ["other", "c", "team", "a", "b", "stored"]
        assert rows[2][:2] == ["c", "(model)"]
        assert rows[3][-1] == "1,000,000"

    def test_a_backup_takes_the_quotas_along_and_not_what_was_on_its_way(self, tmp_path):
        root = tmp_path / "hub"
        with serving(root) as endpoint:
            HfApi(endpoint=endpoint, token=False).create_repo("team/model")
            Limits(root).set("team", 1_000_000)
            (answer,) = batch(endpoint, "team/model", blob(1))
            with slow_upload(href(answer), blob(1)):
                assert len(list((root / "quota" / "arriving" / "team").iterdir())) == 2  # it, and the lock
                backup(root, tmp_path / "backups")
        restore(tmp_path / "backups", tmp_path / "again")
        assert Limits(tmp_path / "again").all() == {"team": 1_000_000}
        assert not (tmp_path / "again" / "quota" / "arriving").exists()

    def test_usage_needs_a_hub(self, tmp_path):
        with pytest.raises(HubError, match="holds no hub"):
            report(tmp_path / "nothing")
