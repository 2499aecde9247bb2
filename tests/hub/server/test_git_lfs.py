"""Large files: stock git-lfs both ways, uploads that go on after a break, and nobody else's files."""

import hashlib
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from huggingface_hub import HfApi

from modeling_axk1.hub.server import serving, tickets, uploads
from modeling_axk1.hub.server.lfs import Pointer
from modeling_axk1.hub.server.store import BlobStore
from tests.hub.conftest import Hub, fsck
from tests.hub.server.git_user import GitUser
from tests.hub.server.test_process import in_this_process

CONTENT = bytes(range(256)) * 1000
OID = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def user(tmp_path: Path) -> GitUser:
    return GitUser(tmp_path / "user")


@pytest.fixture
def small_parts(monkeypatch):
    for place in (uploads, "modeling_axk1.hub.server.lfs_api"):
        target = place if isinstance(place, str) else place.__name__
        monkeypatch.setattr(f"{target}.SMALLEST_PART", 100_000)


def batch(endpoint, repo, operation, *objects, **more) -> list[dict]:
    wanted = [{"oid": oid, "size": size} for oid, size in objects]
    url = f"{endpoint}/{repo}.git/info/lfs/objects/batch"
    answer = httpx.post(url, json={"operation": operation, "objects": wanted, **more})
    answer.raise_for_status()
    assert answer.headers["content-type"] == "application/vnd.git-lfs+json"
    return answer.json()["objects"]


def upload(endpoint, repo, content=CONTENT) -> None:
    [answer] = batch(endpoint, repo, "upload", (hashlib.sha256(content).hexdigest(), len(content)))
    httpx.put(answer["actions"]["upload"]["href"], content=content).raise_for_status()


class TestGitLfs:
    @pytest.mark.parametrize("kind", ["model", "dataset"])
    def test_what_one_person_pushes_another_clones_whole(self, hub, tmp_path, kind):
        name = "team/lfs"
        hub.api.create_repo(name, repo_type=kind)
        url = f"{hub.endpoint}/{'datasets/' if kind == 'dataset' else ''}{name}"
        one, two = GitUser(tmp_path / "one"), GitUser(tmp_path / "two")
        here = one.clone(url)
        files = {"model.safetensors": os.urandom(2_000_000), "sub/한글.bin": os.urandom(10), "a.txt": b"small"}
        one.commit(here, files)
        said = one.run("push", at=here)
        assert said.returncode == 0
        assert "lock" not in said.stderr.lower()
        there = two.clone(url)
        assert {name: (there / name).read_bytes() for name in files} == files
        downloaded = hub.api.hf_hub_download(name, "sub/한글.bin", repo_type=kind, cache_dir=tmp_path / "cache")
        assert Path(downloaded).read_bytes() == files["sub/한글.bin"]
        hub.api.upload_file(path_or_fileobj=b"new", path_in_repo="new.bin", repo_id=name, repo_type=kind)
        two.git("pull", "-q", at=there)
        assert (there / "new.bin").read_bytes() == b"new"
        assert fsck(hub.git_folder(name, f"{kind}s")) == ""

    def test_a_pointer_without_its_file_is_refused_by_path(self, hub, repo, user):
        here = user.clone(f"{hub.endpoint}/{repo}")
        user.commit(here, {"sub/a.bin": os.urandom(1000)})
        said = user.refused("push", "--no-verify", at=here)  # without the hook that uploads
        assert "remote: axk1 hub: 'sub/a.bin' points to the large file" in said
        assert "was not uploaded to this repository (git lfs push --all)" in said
        user.git("lfs", "push", "--all", "origin", at=here)
        user.git("push", "-q", "--no-verify", at=here)

    def test_a_download_goes_on_in_the_middle(self, hub, repo):
        upload(hub.endpoint, repo)
        hub.api.upload_file(path_or_fileobj=CONTENT, path_in_repo="a.bin", repo_id=repo)
        [answer] = batch(hub.endpoint, repo, "download", (OID, len(CONTENT)))
        part = httpx.get(answer["actions"]["download"]["href"], headers={"Range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, CONTENT[1000:2000])

    def test_one_bad_object_does_not_spoil_the_others(self, hub, repo):
        hub.api.upload_file(path_or_fileobj=CONTENT, path_in_repo="a.bin", repo_id=repo)
        good, unknown, wrong_size, broken = batch(
            hub.endpoint, repo, "download", (OID, len(CONTENT)), ("a" * 64, 1), (OID, 1), ("../x", 1)
        )
        assert "error" not in good
        assert [unknown["error"]["code"], wrong_size["error"]["code"], broken["error"]["code"]] == [404, 404, 422]
        assert "actions" not in {**unknown, **wrong_size, **broken}

    def test_errors_are_in_the_words_that_git_lfs_shows(self, hub, repo):
        answer = httpx.post(f"{hub.endpoint}/{repo}.git/info/lfs/objects/batch", json={})
        assert answer.json()["message"] == "an LFS batch must be an upload or download of a list of objects, got 'None'"


class TestOtherPeoplesFiles:
    """Two repositories, of which one may be private; a file's SHA-256 is no secret and no key."""

    @pytest.fixture
    def other(self, hub):
        hub.api.create_repo("team/other")
        hub.api.upload_file(path_or_fileobj=CONTENT, path_in_repo="secret.bin", repo_id="team/other")
        yield "team/other"
        hub.api.delete_repo("team/other")

    def test_a_file_is_downloaded_through_its_own_repository_only(self, hub, repo, other):
        [own] = batch(hub.endpoint, other, "download", (OID, len(CONTENT)))
        assert httpx.get(own["actions"]["download"]["href"]).content == CONTENT
        [foreign] = batch(hub.endpoint, repo, "download", (OID, len(CONTENT)))
        assert foreign["error"]["code"] == 404
        assert httpx.get(f"{hub.endpoint}/{repo}.git/info/lfs/objects/{OID}").status_code == 404

    def test_what_is_uploaded_and_not_committed_is_not_for_readers(self, hub, repo):
        upload(hub.endpoint, repo, b"not committed")
        oid = hashlib.sha256(b"not committed").hexdigest()
        assert batch(hub.endpoint, repo, "download", (oid, 13))[0]["error"]["code"] == 404
        assert "actions" not in batch(hub.endpoint, repo, "upload", (oid, 13))[0]

    def test_an_upload_is_asked_for_whether_or_not_others_have_the_file(self, hub, repo, other):
        known, unknown = batch(hub.endpoint, repo, "upload", (OID, len(CONTENT)), ("a" * 64, len(CONTENT)))
        assert known.keys() == unknown.keys() == {"oid", "size", "actions"}
        for answer in (known, unknown):
            verify = answer["actions"]["verify"]["href"]
            assert httpx.post(verify, json={"oid": answer["oid"], "size": len(CONTENT)}).status_code == 404

    def test_neither_a_commit_nor_a_push_can_name_it_unseen(self, hub, repo, other, user):
        line = {"key": "lfsFile", "value": {"path": "a.bin", "oid": OID, "size": len(CONTENT)}}
        answer = httpx.post(f"{hub.endpoint}/api/models/{repo}/commit/main", json=line)
        assert answer.status_code == 400
        assert "must be uploaded first" in answer.json()["error"]
        here = user.clone(f"{hub.endpoint}/{repo}")
        user.commit(here, {"a.txt": Pointer(OID, len(CONTENT)).to_bytes()})
        assert "was not uploaded to this repository" in user.refused("push", "--no-verify", at=here)

    def test_who_has_the_bytes_may_have_them_in_his_own_and_the_hub_stores_them_once(self, hub, repo, other):
        upload(hub.endpoint, repo)
        hub.api.upload_file(path_or_fileobj=CONTENT, path_in_repo="mine.bin", repo_id=repo)
        assert batch(hub.endpoint, repo, "download", (OID, len(CONTENT)))[0]["actions"]
        assert len(list((hub.root / "blobs").rglob(OID))) == 1

    def test_a_repository_restored_from_its_git_alone_has_its_files(self, tmp_path):
        with serving(tmp_path) as endpoint:
            api = HfApi(endpoint=endpoint, token=False)
            api.create_repo("team/old")
            api.upload_file(path_or_fileobj=CONTENT, path_in_repo="a.bin", repo_id="team/old")
        shutil.rmtree(tmp_path / "repositories" / "models" / "team" / "old.git" / "large")
        with serving(tmp_path) as endpoint:
            [answer] = batch(endpoint, "team/old", "download", (OID, len(CONTENT)))
            assert httpx.get(answer["actions"]["download"]["href"]).content == CONTENT


class TestUploadAddresses:
    def address(self, hub, repo) -> str:
        return batch(hub.endpoint, repo, "upload", (OID, len(CONTENT)))[0]["actions"]["upload"]["href"]

    def test_one_is_good_for_one_file_in_one_repository(self, hub, repo):
        hub.api.create_repo("team/elsewhere", exist_ok=True)
        address = self.address(hub, repo)
        for forged in (
            address.replace(OID, "b" * 64),
            address.replace(repo, "team/elsewhere"),
            address.replace(f"size={len(CONTENT)}", "size=5"),
            address.replace("expires=1", "expires=2"),
            address.partition("&signature")[0],
            address + "0",
            f"{hub.endpoint}/{repo}.git/info/lfs/objects/{OID}?expires=1%0Asize=3&signature=é",
        ):
            assert httpx.put(forged, content=CONTENT).status_code == 403
        assert httpx.put(address, content=CONTENT).status_code == 200

    def test_it_ends_after_a_day(self, tmp_path, monkeypatch):
        with in_this_process(tmp_path) as api:
            api.create_repo("team/model")
            [answer] = batch(api.endpoint, "team/model", "upload", (OID, len(CONTENT)))
            tomorrow = SimpleNamespace(time=lambda: time.time() + 24 * 3600 + 1)
            monkeypatch.setattr(tickets, "time", tomorrow)
            said = httpx.put(answer["actions"]["upload"]["href"], content=CONTENT)
        assert (said.status_code, "older than a day" in said.json()["message"]) == (403, True)

    def test_the_key_is_for_the_hub_alone(self, hub):
        assert (hub.root / "key").stat().st_mode & 0o777 == 0o600


class TestParts:
    """What huggingface_hub does with a large file."""

    def start(self, endpoint) -> dict:
        [answer] = batch(endpoint, "team/model", "upload", (OID, len(CONTENT)), transfers=["basic", "multipart"])
        return answer["actions"]["upload"]

    def put(self, action, number, content=None) -> httpx.Response:
        part = CONTENT[(number - 1) * 100_000 : number * 100_000] if content is None else content
        return httpx.put(action["header"][str(number)], content=part)

    def complete(self, action, *etags) -> httpx.Response:
        parts = [{"partNumber": number, "etag": etag} for number, etag in enumerate(etags, 1)]
        return httpx.post(action["href"], json={"oid": OID, "parts": parts})

    def test_the_stock_client_uploads_in_parts(self, tmp_path, small_parts):
        with in_this_process(tmp_path) as api:
            api.create_repo("team/model")
            api.upload_file(path_or_fileobj=CONTENT, path_in_repo="a.bin", repo_id="team/model")
            assert httpx.get(f"{api.endpoint}/team/model/resolve/main/a.bin").content == CONTENT
        assert list((tmp_path / "blobs" / "uploads").iterdir()) == []

    def test_stock_git_lfs_does_with_the_agent_of_huggingface_hub(self, tmp_path, small_parts, user):
        with in_this_process(tmp_path) as api:
            api.create_repo("team/model")
            here = user.clone(f"{api.endpoint}/team/model")
            program = Path(sys.executable).with_name("hf")
            user.git("config", "lfs.customtransfer.multipart.path", program, at=here)
            user.git("config", "lfs.customtransfer.multipart.args", "lfs-multipart-upload", at=here)
            user.commit(here, {"a.bin": CONTENT, "small.bin": b"small"})
            user.git("push", "-q", at=here)
            assert httpx.get(f"{api.endpoint}/team/model/resolve/main/a.bin").content == CONTENT
            assert httpx.get(f"{api.endpoint}/team/model/resolve/main/small.bin").content == b"small"

    def test_it_goes_on_after_the_hub_was_gone(self, tmp_path):
        content = bytes(uploads.SMALLEST_PART) + b"the end"
        oid = hashlib.sha256(content).hexdigest()
        with serving(tmp_path) as before:
            HfApi(endpoint=before, token=False).create_repo("team/model")
            [answer] = batch(before, "team/model", "upload", (oid, len(content)), transfers=["multipart"])
            header = answer["actions"]["upload"]["header"]
            first = httpx.put(header["1"], content=content[: uploads.SMALLEST_PART]).headers["etag"]
        with serving(tmp_path) as after:
            second = httpx.put(header["2"].replace(before, after), content=b"the end").headers["etag"]
            action = {"href": answer["actions"]["upload"]["href"].replace(before, after)}
            assert self.complete(action, first, second).status_code == 200
            # The answer may be lost on its way.
            assert self.complete(action, first, second).status_code == 200
            assert "actions" not in batch(after, "team/model", "upload", (oid, len(content)))[0]
        assert (tmp_path / "blobs" / oid[:2] / oid[2:4] / oid).stat().st_size == len(content)

    def test_only_the_right_parts_make_a_file(self, tmp_path, small_parts):
        with in_this_process(tmp_path) as api:
            api.create_repo("team/model")
            action = self.start(api.endpoint)
            assert action["header"].keys() == {"chunk_size", "1", "2", "3"}
            assert self.put(action, 1, b"short").status_code == 400
            assert self.put(action, 1, b"x" * 100_001).status_code == 400
            for number in ("0", "4", "99999999999999999999"):
                address = action["header"]["1"].replace("/parts/1", f"/parts/{number}")
                assert httpx.put(address, content=b"x").status_code == 400
            one, two, three = (self.put(action, number).headers["etag"] for number in (1, 2, 3))
            assert self.complete(action, one, two).status_code == 400
            assert self.complete(action, one, two, '"../../x"').status_code == 400
            assert self.complete(action, one, three, two).status_code == 400
            other = self.put(action, 2, b"x" * 100_000).headers["etag"]
            said = self.complete(action, one, other, three)
            assert (said.status_code, "an upload must be the 256000 bytes" in said.text) == (400, True)
            assert not (tmp_path / "blobs" / OID[:2]).exists()
            assert self.complete(action, one, self.put(action, 2).headers["etag"], three).status_code == 200

    def test_parts_that_nobody_completes_go_after_a_week(self, tmp_path):
        blobs = BlobStore(tmp_path)
        part = blobs.uploads / "upload" / "1.x"
        part.parent.mkdir()
        part.touch()
        blobs.sweep()
        assert part.exists()
        week_ago = time.time() - 7 * 24 * 3600 - 1
        os.utime(part.parent, (week_ago, week_ago))
        blobs.sweep()
        assert part.exists()  # the last part came later
        for path in (part, part.parent):
            os.utime(path, (week_ago, week_ago))
        blobs.sweep()
        assert not part.parent.exists()

    def test_another_process_of_the_hub_leaves_what_is_being_taken_in(self, tmp_path):
        blobs = BlobStore(tmp_path)
        (tmp_path / "incoming" / "left by a killed one").touch()
        with blobs.receive(OID, len(CONTENT)) as blob:
            BlobStore(tmp_path).sweep()
            blob.write(CONTENT)
        assert blobs.path(OID).read_bytes() == CONTENT
        assert list((tmp_path / "incoming").iterdir()) == []


class TestStreams:
    """What git-lfs does when `lfs.tustransfers` is set: one upload that goes on where it stopped."""

    def start(self, hub, repo) -> str:
        [answer] = batch(hub.endpoint, repo, "upload", (OID, len(CONTENT)), transfers=["basic", "tus"])
        return answer["actions"]["upload"]["href"]

    def offset(self, address) -> int:
        return int(httpx.head(address).headers["Upload-Offset"])

    def patch(self, address, at, content) -> httpx.Response:
        return httpx.patch(address, content=content, headers={"Upload-Offset": str(at), "Tus-Resumable": "1.0.0"})

    def test_stock_git_lfs_uploads_so(self, hub: Hub, repo, user):
        here = user.clone(f"{hub.endpoint}/{repo}")
        user.git("config", "lfs.tustransfers", "true", at=here)
        user.commit(here, {"a.bin": CONTENT})
        assert 'starting transfer adapter "tus"' in user.run("push", at=here, GIT_TRACE="1").stderr
        assert httpx.get(f"{hub.endpoint}/{repo}/resolve/main/a.bin").content == CONTENT

    def test_it_goes_on_where_a_broken_connection_left_it(self, hub, repo, user):
        here = user.clone(f"{hub.endpoint}/{repo}")
        address = self.start(hub, repo)
        assert self.offset(address) == 0
        host, port = hub.endpoint.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            target = address.removeprefix(hub.endpoint)
            head = f"PATCH {target} HTTP/1.1\r\nHost: {host}\r\nUpload-Offset: 0\r\n"
            head += f"Content-Length: {len(CONTENT)}\r\n\r\n"
            connection.sendall(head.encode() + CONTENT[:150_000])
            deadline = time.monotonic() + 30
            while self.offset(address) < 150_000:
                assert time.monotonic() < deadline
        user.git("config", "lfs.tustransfers", "true", at=here)
        user.commit(here, {"a.bin": CONTENT})
        said = user.run("push", at=here, GIT_TRACE="1", GIT_CURL_VERBOSE="1", GIT_TRACE_CURL="1").stderr
        assert "Upload-Offset: 150000" in said
        assert httpx.get(f"{hub.endpoint}/{repo}/resolve/main/a.bin").content == CONTENT
        assert list((hub.root / "blobs" / "uploads").iterdir()) == []

    def test_wrong_bytes_and_wrong_places_are_refused(self, hub, repo):
        address = self.start(hub, repo)
        assert self.patch(address, 5, CONTENT[5:]).status_code == 409
        assert self.patch(address, "x", CONTENT).status_code == 400
        assert self.patch(address, 0, CONTENT + b"x").status_code == 400
        (stream,) = (hub.root / "blobs" / "uploads").glob("*/stream")
        stream.unlink()
        assert self.patch(address, 0, CONTENT[:-1] + b"!").status_code == 400
        assert self.offset(address) == 0
        assert self.patch(address, 0, CONTENT[:7]).headers["Upload-Offset"] == "7"
        done = self.patch(address, 7, CONTENT[7:])
        assert (done.status_code, done.headers["Upload-Offset"]) == (204, str(len(CONTENT)))
        assert self.offset(address) == len(CONTENT)

    def test_a_hub_killed_after_the_last_byte_finishes_it_when_asked(self, hub, repo):
        address = self.start(hub, repo)
        self.patch(address, 0, CONTENT[:-1])
        (stream,) = (hub.root / "blobs" / "uploads").glob("*/stream")
        with stream.open("ab") as file:
            file.write(CONTENT[-1:])
        assert self.offset(address) == len(CONTENT)
        assert "actions" not in batch(hub.endpoint, repo, "upload", (OID, len(CONTENT)))[0]
