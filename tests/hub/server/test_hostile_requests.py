"""What a client that means harm, or is broken, may send: refused, and nothing outside its repository is touched."""

import base64
import hashlib
import json
import socket

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modeling_axk1.hub.server import names
from modeling_axk1.hub.server.refusal import Refusal
from tests.hub.conftest import fsck, git

HOSTILE_PATHS = [
    "",
    "/etc/passwd",
    "../x",
    "a/../../x",
    "a//b",
    "a/./b",
    "a/",
    ".git/config",
    "a/.GIT/hooks/post-checkout",
    "git~1/config",
    ".git./x",
    ".git::$INDEX_ALLOCATION/x",
    ".g\u200cit/config",
    ".gitmodules",
    "a\\b",
    "nul\0",
    "line\nfeed",
    "\ud800",
    "\u202egnp.exe",
    "x" * 256,
    "a/" * 2000 + "b",
    None,
    7,
]


def commit(hub, repo, *lines) -> httpx.Response:
    body = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    return httpx.post(f"{hub.endpoint}/api/models/{repo}/commit/main", content=body)


def add(path, content: bytes = b"x") -> dict:
    value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    return {"key": "file", "value": value}


HEADER = {"key": "header", "value": {"summary": "s"}}


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_hostile_path_is_refused_in_every_operation(hub, repo, path):
    head = hub.git(repo, "rev-parse", "main")
    blob = {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": "0" * 64, "size": 1}}
    for line in (add(path), blob):
        assert commit(hub, repo, HEADER, line).status_code == 400
    preupload = f"{hub.endpoint}/api/models/{repo}/preupload/main"
    assert httpx.post(preupload, content=json.dumps({"files": [{"path": path, "size": 1}]})).status_code == 400
    assert hub.git(repo, "rev-parse", "main") == head


def test_any_path_that_is_allowed_is_one_that_git_can_hold(hub, repo, tmp_path):
    """Whatever text comes: refused, or committed so that fsck finds nothing wrong and a clone has the file."""
    allowed: dict[str, bytes] = {}

    @given(st.text(min_size=1, max_size=12))
    @example(".gitignore")
    @example("a:b")
    @example("con")
    @example(" ")
    @example(".gitattributes.d")
    def collect(path):
        try:
            names.check_path(path)
        except Refusal:
            return
        if "/" not in path:
            allowed[path] = path.encode()

    collect()
    answer = commit(hub, repo, HEADER, *(add(path, content) for path, content in allowed.items()))
    assert answer.status_code == 200, answer.text
    assert fsck(hub.git_folder(repo)) == ""
    listed = git(hub.git_folder(repo), "ls-tree", "-r", "-z", "--name-only", "main").split("\0")[:-1]
    assert set(listed) - {".gitattributes"} == allowed.keys()
    for path, content in list(allowed.items())[:20]:
        assert hub.api.get_paths_info(repo, [path])[0].size == len(content)


@pytest.mark.parametrize(
    ("namespace", "name"),
    [("..", "x"), ("a", ".."), ("a", "b.git"), ("a", "b--c"), (".a", "b"), ("a", "-b"), ("a", "b\n"), ("a/b", "c"),
     ("datasets", "x"), ("api", "x"), ("a", ""), ("a", "b" * 97), ("a", "é"), ("a", "b.")],
)  # fmt: skip
def test_a_hostile_repository_name_is_refused(hub, namespace, name):
    before = sorted(hub.root.rglob("*.git"))
    for method, path in (("POST", "create"), ("DELETE", "delete")):
        answer = httpx.request(
            method, f"{hub.endpoint}/api/repos/{path}", json={"organization": namespace, "name": name, "type": "model"}
        )
        assert answer.status_code == 400 or (name == "" and answer.status_code in {400, 404})
    assert sorted(hub.root.rglob("*.git")) == before


@pytest.mark.parametrize(
    "target",
    [
        "/team/../../etc/passwd/resolve/main/x",
        "/..%2f..%2fetc/passwd/resolve/main/x",
        "/a/b/resolve/main/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/a/b/resolve/..%2f..%2fHEAD/config",
        "/api/models/a%2fb/c",
        "/api/models/%00/b",
        "/api/models/a/b/tree/main/%ff%fe",
        "/api/models/a/b/revision/%2e%2e%2f%2e%2e%2fHEAD",
    ],
)
def test_a_url_that_climbs_finds_nothing(hub, target):
    """Sent as raw bytes: clients and proxies would tidy such a path up first."""
    hub.api.create_repo("a/b", exist_ok=True)
    host, port = hub.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        status = int(connection.makefile("rb").readline().split()[1])
    assert status in {400, 404}


@pytest.mark.parametrize(
    "lines",
    [
        [b"not json\n"],
        [b"[]\n"],
        [b'{"key": "file"}\n'],
        [b'{"key": "file", "value": []}\n'],
        [{"key": "surprise", "value": {}}],
        [{"key": "file", "value": {"path": "a", "content": "!!!", "encoding": "base64"}}],
        [{"key": "file", "value": {"path": "a", "content": "", "encoding": "utf-8"}}],
        [{"key": "lfsFile", "value": {"path": "a", "oid": "../../x", "size": 1}}],
        [{"key": "lfsFile", "value": {"path": "a", "oid": "f" * 64, "size": -1}}],
        [{"key": "header", "value": 7}],
        [b"[" * 100_000 + b"\n"],
        [b"\xff\xfe\n"],
    ],
)
def test_a_malformed_commit_changes_nothing(hub, repo, lines):
    head = hub.git(repo, "rev-parse", "main")
    assert commit(hub, repo, HEADER, add("good.txt"), *lines).status_code == 400
    assert hub.git(repo, "rev-parse", "main") == head


def test_a_file_too_large_for_git_must_be_an_lfs_file(hub, repo):
    assert commit(hub, repo, HEADER, add("a.txt", b"x" * (11 * 1024 * 1024))).status_code == 413


def test_a_pointer_in_disguise_is_refused(hub, repo):
    """It would read as another repository's large file."""
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n".encode()
    assert commit(hub, repo, HEADER, add("a.txt", pointer)).status_code == 400


def test_a_large_file_that_was_never_uploaded_is_refused(hub, repo):
    line = {"key": "lfsFile", "value": {"path": "a.bin", "algo": "sha256", "oid": "a" * 64, "size": 3}}
    answer = commit(hub, repo, HEADER, line)
    assert answer.status_code == 400
    assert "must be uploaded first" in answer.json()["error"]


class TestLfsUploads:
    def batch(self, hub, repo, *objects) -> httpx.Response:
        url = f"{hub.endpoint}/{repo}.git/info/lfs/objects/batch"
        return httpx.post(url, json={"operation": "upload", "objects": objects})

    def blobs(self, hub) -> set[str]:
        return {path.name for path in (hub.root / "blobs").rglob("*") if path.is_file()}

    @pytest.mark.parametrize("content", [b"others", b"short", b"longer than announced"])
    def test_bytes_that_are_not_the_announced_ones_are_refused(self, hub, repo, content):
        oid = hashlib.sha256(b"wanted").hexdigest()
        before = self.blobs(hub)
        [wanted] = self.batch(hub, repo, {"oid": oid, "size": 6}).json()["objects"]
        assert httpx.put(wanted["actions"]["upload"]["href"], content=content).status_code == 400
        assert self.blobs(hub) == before

    @pytest.mark.parametrize(("oid", "size"), [("../" * 3 + "x", 1), ("F" * 64, 1), ("0" * 64, -1), ("0" * 64, "x")])
    def test_a_hostile_oid_or_size_is_refused(self, hub, repo, oid, size):
        address = f"{hub.endpoint}/{repo}.git/info/lfs/objects/{oid.replace('/', '%2F')}?size={size}"
        assert httpx.put(address, content=b"x").status_code in {400, 403}
        [answer] = self.batch(hub, repo, {"oid": oid, "size": size}).json()["objects"]
        assert answer["error"]["code"] == 422
        assert "actions" not in answer

    def test_a_blob_needs_a_repository_to_go_to(self, hub):
        assert self.batch(hub, "team/nowhere", {"oid": "0" * 64, "size": 1}).status_code == 404

    def test_the_batch_tells_who_asks_wrongly(self, hub, repo):
        url = f"{hub.endpoint}/{repo}.git/info/lfs/objects/batch"
        assert self.batch(hub, repo, 7).json()["objects"][0]["error"]["code"] == 422
        assert httpx.post(url, json={"operation": "surprise", "objects": []}).status_code == 400
        assert httpx.post(url, content=b"{").status_code == 400


def test_a_web_page_cannot_change_the_hub(hub, repo):
    """A browser on this machine reaches the loopback port as well as its owner does."""
    request = {"organization": "team", "name": repo.split("/")[1]}
    answer = httpx.request(
        "DELETE", f"{hub.endpoint}/api/repos/delete", json=request, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    assert hub.api.repo_exists(repo)
