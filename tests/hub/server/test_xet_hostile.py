"""A client that lies: the hub stores nothing that is not what it was announced to be, and gives nothing away."""

import hashlib
import json
import os
import socket
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from modeling_axk1.hub.server import serving
from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.accounts import Accounts
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.requests import refuse
from modeling_axk1.hub.server.tickets import Tickets
from modeling_axk1.hub.server.xet.api import XetApi
from modeling_axk1.hub.server.xet.store import sweep
from modeling_axk1.hub.server.xet.xorb import LARGEST_BODY, MOST_CHUNKS
from tests.hub.server.xet_writer import GROUPED, LZ4, PLAIN, file_block, name_of, packed, shard

CHUNKS = [b"first chunk" * 9, b"second chunk" * 9, b"third" * 9]


@dataclass
class Store:
    """The store of a repository's chunks, spoken to by hand."""

    url: str
    token: str
    blobs: Path
    repository: Path

    def post(self, path: str, content: bytes, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return httpx.post(f"{self.url}/{path}", content=content, headers=headers, timeout=60)

    def put_xorb(self, chunks: list[bytes] = CHUNKS, name: str | None = None) -> httpx.Response:
        return self.post(f"v1/xorbs/default/{name or name_of(chunks)}", b"".join(map(packed, chunks)))

    def put_shard(self, *files: bytes) -> httpx.Response:
        return self.post("v1/shards", shard(*files))

    def coming(self) -> int:
        return len(list((self.blobs / "incoming").iterdir()))

    def kept(self) -> set[str]:
        return {path.name for path in self.blobs.glob("??/??/*")}


def store_of(hub, repo: str) -> Store:
    answer = httpx.get(f"{hub.endpoint}/api/models/{repo}/xet-write-token/main").json()
    return Store(answer["casUrl"], answer["accessToken"], hub.root / "blobs", hub.git_folder(repo))


@pytest.fixture
def store(hub, repo) -> Store:
    return store_of(hub, repo)


def sha256(chunks: list[bytes]) -> str:
    return hashlib.sha256(b"".join(chunks)).hexdigest()


def right_file() -> bytes:
    return file_block(sha256(CHUNKS), [(name_of(CHUNKS), 0, 3, CHUNKS)])


def test_an_honest_client(store):
    assert store.put_xorb().json() == {"was_inserted": True}
    assert store.put_xorb().json() == {"was_inserted": False}
    assert store.put_shard(right_file()).json() == {"result": 1}
    assert sha256(CHUNKS) in store.kept()
    assert store.put_xorb().json() == {"was_inserted": False}  # it lies in the blob now
    assert list((store.repository / "xet" / "raw").iterdir()) == []


class TestXorbs:
    def test_another_hash(self, store):
        answer = store.put_xorb(name="ab" * 32)
        assert (answer.status_code, "must have the hash" in answer.text) == (400, True)
        assert list((store.repository / "xet" / "raw").iterdir()) == []

    @pytest.mark.parametrize("name", ["x", "AB" * 32, "..%2F..%2Fsecret", "0" * 63])
    def test_a_name_that_is_no_hash(self, store, name):
        assert store.post(f"v1/xorbs/default/{name}", packed(b"x")).status_code == 400

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            packed(b"x")[:-1],
            packed(b"x")[:5],
            packed(b"x", version=1),
            packed(b"x", 3),
            packed(b"x" * 99, length=98),
            packed(b"x" * 99, length=100),
            packed(b"", length=0),
            packed(bytes(200_000), LZ4),
            packed(bytes(200_000), LZ4, length=100),
            packed(bytes(200_000), GROUPED, length=131_072),
            packed(b"x" * 99, LZ4, length=131_072),
            packed(bytes(16_000_000), LZ4, length=99),
            packed(b"\x00" * 140_000, PLAIN),
            bytes([0, 20, 0, 0, LZ4, 20, 0, 0]) + b"no frame of LZ4 here",
            b"XETBLOB\x01",
        ],
    )
    def test_what_is_no_xorb(self, store, content):
        answer = store.post(f"v1/xorbs/default/{name_of([b'x'])}", content)
        assert answer.status_code == 400, answer.text

    def test_too_many_chunks(self, store):
        chunks = [b"x"] * (MOST_CHUNKS + 1)
        answer = store.put_xorb(chunks)
        assert (answer.status_code, "8192 chunks" in answer.text) == (400, True)

    def test_an_upload_that_breaks_off_leaves_nothing(self, store):
        address = urlsplit(f"{store.url}/v1/xorbs/default/{name_of(CHUNKS)}")
        with socket.create_connection((address.hostname, address.port)) as connection:
            head = f"Host: {address.netloc}\r\nAuthorization: Bearer {store.token}\r\nContent-Length: 9999"
            connection.sendall(f"POST {address.path} HTTP/1.1\r\n{head}\r\n\r\n".encode() + packed(CHUNKS[0]))
            self.wait_until(lambda: store.coming() == 1)
        self.wait_until(lambda: store.coming() == 0)
        assert store.put_xorb().json() == {"was_inserted": True}

    @staticmethod
    def wait_until(condition):
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def test_too_large(self, store):
        answer = store.post(f"v1/xorbs/default/{'0' * 64}", bytes(LARGEST_BODY + 1))
        assert answer.status_code == 413


class TestShards:
    @pytest.fixture(autouse=True)
    def xorb(self, store):
        store.put_xorb()

    @pytest.mark.parametrize(
        "lie",
        [
            {"length": 5},
            {"length": 4_000_000_000},
            {"verification": bytes(32)},
            {"hash": bytes(32)},
            {"flags": 0},
            {"flags": 1 << 31},
            {"flags": 1 << 30},
        ],
    )
    def test_a_lie_about_a_file(self, store, lie):
        before = store.kept()
        answer = store.put_shard(file_block(sha256(CHUNKS), [(name_of(CHUNKS), 0, 3, CHUNKS)], **lie))
        assert answer.status_code == 400, answer.text
        assert store.kept() == before

    def test_another_sha256(self, store):
        answer = store.put_shard(file_block("ab" * 32, [(name_of(CHUNKS), 0, 3, CHUNKS)]))
        assert (answer.status_code, "with SHA-256 " + "ab" * 32 in answer.text) == (400, True)
        assert "ab" * 32 not in store.kept()

    @pytest.mark.parametrize(("start", "end"), [(0, 4), (3, 4), (2, 2), (2, 1), (0, 2**32 - 1), (2**32 - 1, 2**32 - 1)])
    def test_chunks_that_the_xorb_has_not(self, store, start, end):
        answer = store.put_shard(file_block(sha256(CHUNKS), [(name_of(CHUNKS), start, end, CHUNKS)]))
        assert (answer.status_code, "must lie within the 3 chunks" in answer.text) == (400, True)

    def test_a_xorb_that_never_came(self, store):
        answer = store.put_shard(file_block(sha256(CHUNKS), [("cd" * 32, 0, 3, CHUNKS)]))
        assert (answer.status_code, "upload again" in answer.text) == (409, True)

    def test_one_wrong_file_spoils_the_shard(self, store):
        odd = [b"of this test alone"]
        store.put_xorb(odd)
        right = file_block(sha256(odd), [(name_of(odd), 0, 1, odd)])
        assert store.put_shard(right, file_block("ab" * 32, [("cd" * 32, 0, 1, odd)])).status_code == 409
        assert sha256(odd) not in store.kept()

    @pytest.mark.parametrize(
        "content", [b"", b"x" * 96, shard()[:-96], shard(right_file())[:200], shard(b"\0" * 36 + b"\xff" * 12)]
    )
    def test_what_is_no_shard(self, store, content):
        assert store.post("v1/shards", content).status_code == 400

    def test_newer_clients_are_told_in_a_line(self, store):
        told = [json.loads(line) for line in store.post("v2/shards", b"nonsense").text.splitlines()]
        assert [(line["type"], line["retryable"]) for line in told] == [("error", False)]
        assert json.loads(store.post("v2/shards", shard(right_file())).text.splitlines()[-1]) == {"type": "result"}


class TestOthers:
    def test_chunks_of_another_repository_are_not_to_be_had(self, hub, repo, store):
        """Whoever knows all hashes of a file, but not the file, does not get it."""
        hub.api.create_repo(f"{repo}_thief")
        store.put_xorb()
        store.put_shard(right_file())
        thief = store_of(hub, f"{repo}_thief")
        answer = thief.put_shard(right_file())
        assert answer.status_code == 409
        assert thief.put_xorb().json() == {"was_inserted": True}  # nor is it told that the hub has this

    def test_a_blob_that_is_here_is_not_theirs(self, hub, repo, store):
        store.put_xorb()
        store.put_shard(right_file())
        hub.api.create_repo(f"{repo}_second")
        other = store_of(hub, f"{repo}_second")
        line = {
            "key": "lfsFile",
            "value": {"path": "a.bin", "algo": "sha256", "oid": sha256(CHUNKS), "size": len(b"".join(CHUNKS))},
        }
        body = json.dumps({"key": "header", "value": {"summary": "x"}}) + "\n" + json.dumps(line)
        assert other.put_shard(file_block(sha256(CHUNKS), [])).status_code == 400
        statuses = [
            httpx.post(f"{hub.endpoint}/api/models/{name}/commit/main", content=body).status_code
            for name in (f"{repo}_second", repo)
        ]
        assert statuses == [400, 200]

    def test_nobody_is_told_of_chunks(self, store):
        store.put_xorb()
        headers = {"Authorization": f"Bearer {store.token}"}
        assert httpx.get(f"{store.url}/v1/chunks/default/{'0' * 64}", headers=headers).status_code == 404


class TestTokens:
    @pytest.fixture(scope="class")
    def locked(self, tmp_path_factory):
        root = tmp_path_factory.mktemp("locked")
        with serving(root, policy="tokens") as endpoint:
            token = Accounts(root).add("minji", "write", ("team",))[1]
            with httpx.Client(base_url=endpoint, headers={"Authorization": f"Bearer {token}"}) as client:
                for name in ("one", "two"):
                    client.post("/api/repos/create", json={"name": name, "organization": "team", "private": True})
                yield client

    def ask(self, client, name="one", **headers):
        return client.get(f"/api/models/team/{name}/xet-write-token/main", headers=headers)

    def test_the_address_is_the_one_the_client_came_by(self, locked):
        answer = self.ask(locked)
        base = str(locked.base_url).rstrip("/")
        assert answer.json()["casUrl"].startswith(f"{base}/xet/models/team/one/")
        assert answer.headers["x-xet-cas-url"] == answer.json()["casUrl"]
        assert time.time() < int(answer.headers["x-xet-token-expiration"]) <= time.time() + 3600

    def test_a_token_is_good_for_its_repository_and_its_time(self, locked):
        url = self.ask(locked).json()["casUrl"]
        right = self.ask(locked).json()["accessToken"]
        path = f"{url}/v1/xorbs/default/{name_of(CHUNKS)}"
        wrong = {
            "x": 401,
            right.replace("expires=1", "expires=9"): 401,
            self.ask(locked, name="two").json()["accessToken"]: 401,
        }
        for token, status in wrong.items():
            answer = httpx.post(path, content=packed(b"x"), headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status, token
        content = b"".join(map(packed, CHUNKS))
        assert httpx.post(path, content=content, headers={"Authorization": f"Bearer {right}"}).status_code == 200

    def test_there_is_none_to_read(self, locked):
        answer = locked.get("/api/models/team/one/xet-read-token/main")
        assert (answer.status_code, "plain HTTP" in answer.text) == (501, True)

    def test_without_a_token_of_the_hub_there_is_none(self, locked):
        assert self.ask(locked, Authorization="").status_code == 401


def test_a_sweep_removes_what_no_file_was_made_of(hub, store):
    store.put_xorb()
    (raw,) = (store.repository / "xet" / "raw").iterdir()
    sweep(hub.root, cutoff=time.time() - 60)
    assert raw.exists()
    os.utime(raw, (1, 1))
    sweep(hub.root, cutoff=time.time() - 60)
    assert not raw.exists()
    assert store.put_shard(right_file()).status_code == 409
    assert store.put_xorb().json() == {"was_inserted": True}
    assert store.put_shard(right_file()).status_code == 200


class TestLimits:
    """One place decides what may still come, both of a xorb and of a file made of many."""

    @pytest.mark.parametrize("allowed", [100, 300])
    def test_a_refusal_keeps_everything_out(self, tmp_path, allowed):
        class Few:
            def take_bytes(self, repository, size):
                if size > allowed:
                    raise Refusal(507, f"only {allowed} bytes may come, got {size}")
                return nullcontext()

            def take_file(self, repository, oid, size):
                return self.take_bytes(repository, size)

        catalog = Catalog(tmp_path)
        catalog.create("models", "team", "one")
        routes = XetApi(
            Access(catalog, Accounts(tmp_path), "open"), catalog.blobs, Tickets(tmp_path / "key"), Few()
        ).routes()
        app = Starlette(routes=routes, exception_handlers={Refusal: lambda _, error: refuse(error)})
        with TestClient(app) as client:
            answer = client.get("/api/models/team/one/xet-write-token/main").json()
            client.headers["Authorization"] = f"Bearer {answer['accessToken']}"
            xorb = client.post(
                f"{answer['casUrl']}/v1/xorbs/default/{name_of(CHUNKS)}", content=b"".join(map(packed, CHUNKS))
            )
            file = file_block(sha256(CHUNKS * 2), [(name_of(CHUNKS), 0, 3, CHUNKS)] * 2)
            made = client.post(f"{answer['casUrl']}/v1/shards", content=shard(file))
        catalog.close()
        assert (xorb.status_code, made.status_code) == ((507, 409) if allowed == 100 else (200, 507))
        assert not list((tmp_path / "blobs").glob("??/??/*"))
