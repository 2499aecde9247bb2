"""LFS batches, uploads and pointers that lie."""

import base64
import hashlib
import json
import socket

import pytest

pytestmark = pytest.mark.usefixtures("unharmed")

OID = hashlib.sha256(b"wanted").hexdigest()


def batch(target, repo, body: object):
    content = body if isinstance(body, bytes) else json.dumps(body)
    return target.post(f"/{repo}.git/info/lfs/objects/batch", content)


@pytest.mark.parametrize(
    "item",
    [7, None, [], {}, {"oid": OID}, {"size": 1}, {"oid": "../" * 21 + "x", "size": 1}, {"oid": OID.upper(), "size": 1},
     {"oid": OID + "\n", "size": 1}, {"oid": OID[:-1] + "\u0660", "size": 1}, {"oid": OID, "size": -1},
     {"oid": OID, "size": 1.5}, {"oid": OID, "size": True}, {"oid": OID, "size": "1"}, {"oid": OID, "size": 2**63},
     {"oid": OID, "size": 10**400}, {"oid": [OID], "size": 1}, {"oid": OID, "size": "1\r\nX-Evil: 1"}],
)  # fmt: skip
def test_a_hostile_object_in_a_batch_is_refused(target, victim, item):
    """As the whole answer or as that object's error; never as a place to upload to."""
    answer = batch(target, victim, {"operation": "upload", "objects": [item]})
    assert answer.status_code in {200, 400, 422}
    assert "x-evil" not in answer.headers
    if answer.status_code == 200:
        assert "actions" not in answer.json()["objects"][0]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, {"operation": "surprise", "objects": []},
     {"operation": "upload"}, {"operation": "upload", "objects": {}}, {"operation": ["upload"], "objects": []},
     {"operation": "upload", "objects": [{"oid": OID, "size": 1}], "hash_algo": {"x": []}, "transfers": 7,
      "ref": {"name": "../../x"}}],
)  # fmt: skip
def test_a_strange_batch_is_answered(target, victim, body):
    assert batch(target, victim, body).status_code in {200, 400, 409, 422}


def test_a_batch_of_a_hundred_thousand_is_answered_in_bounded_memory(target, victim):
    before = target.memory_mib()
    objects = [{"oid": hashlib.sha256(b"%d" % number).hexdigest(), "size": 1} for number in range(100_000)]
    assert batch(target, victim, {"operation": "upload", "objects": objects}).status_code in {200, 400, 413}
    assert target.memory_mib() < before + 300


def upload_address(target, repo, content: bytes) -> tuple[str, dict[str, str]]:
    """Where a stock client would put this content."""
    item = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
    answer = batch(target, repo, {"operation": "upload", "transfers": ["basic"], "objects": [item]})
    upload = answer.json()["objects"][0]["actions"]["upload"]
    return upload["href"], upload.get("header", {})


@pytest.mark.parametrize("sent", [b"", b"a-", b"a-wanted-and-more", b"b-wanted"])
def test_other_bytes_than_announced_are_refused(target, victim, sent):
    """Fewer, more, others: refused, and nothing of them stays."""
    href, headers = upload_address(target, victim, b"a-wanted")
    before = target.inside()
    assert target.client.put(href, content=sent, headers=headers).status_code == 400
    assert target.inside() == before


def test_an_upload_without_end_is_not_kept(target, victim):
    """Announced are 20 bytes; the rest of 200 MB goes nowhere."""
    href, headers = upload_address(target, victim, b"twenty bytes, no more")
    before = target.memory_mib()
    answer = target.client.put(href, content=(bytes(1_000_000) for _ in range(200)), headers=headers)
    assert answer.status_code == 400
    assert sum(path.stat().st_size for path in target.root.rglob("*") if path.is_file()) < 10_000_000
    assert target.memory_mib() < before + 100


def test_an_upload_that_breaks_off_leaves_no_blob(target, victim):
    """The connection ends in the middle."""
    content = b"x" * 1000
    href, _ = upload_address(target, victim, content)
    path = href.removeprefix(target.endpoint)
    before = target.inside()
    with target.connect(5) as connection:
        connection.sendall(
            f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n".encode() + content[:500]
        )
        connection.shutdown(socket.SHUT_RDWR)
    assert target.client.get("/").status_code == 200
    assert target.inside() == before


@pytest.mark.parametrize("oid", ["../../../x", "..%2f..%2fx", "0" * 63, "0" * 65, "G" * 64, OID.upper(), "%00" * 64])
@pytest.mark.parametrize("size", ["1", "-1", "1e3", "\uff11", "", "9" * 5000])
def test_a_hostile_upload_address_is_refused(target, victim, oid, size):
    path = f"/{victim}.git/info/lfs/objects/{oid}?size={size}"
    assert target.get(path, "PUT", body=b"x").status in {400, 401, 403, 404, 405}


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n"


def test_a_pointer_in_disguise_is_refused(target, victim):
    """As an ordinary file it would read as a large file that this repository never had."""
    content = base64.b64encode(POINTER.encode()).decode()
    line = {"key": "file", "value": {"path": "a.txt", "content": content, "encoding": "base64"}}
    assert target.post(f"/api/models/{victim}/commit/main", json.dumps(line)).status_code == 400


@pytest.mark.parametrize(
    "text",
    [POINTER.replace("\n", "\r\n"), POINTER + "x-extra 1\n", POINTER[:-1], POINTER.upper(), POINTER + "\n",
     POINTER.replace("size 1", "size -1"), POINTER.replace("size 1", "size 99999999999999999999"),
     POINTER.replace("sha256", "md5"), POINTER.replace("0" * 64, "../" * 21 + "x"), "version " * 30],
)  # fmt: skip
def test_what_is_nearly_a_pointer_is_text(target, victim, text):
    """It comes back byte for byte, or was refused; it never names a blob."""
    content = base64.b64encode(text.encode()).decode()
    line = {"key": "file", "value": {"path": "near.txt", "content": content, "encoding": "base64"}}
    answer = target.post(f"/api/models/{victim}/commit/main", json.dumps(line))
    assert answer.status_code in {200, 400}
    if answer.status_code == 200:
        assert target.client.get(f"/{victim}/resolve/main/near.txt").content == text.encode()


def test_a_large_file_of_the_wrong_size_is_refused(target, victim):
    """A commit cannot name a blob that is here by another size, nor one that never came."""
    oid = target.api.get_paths_info(victim, ["large.bin"])[0].lfs.sha256
    for value in ({"oid": oid, "size": 999}, {"oid": oid, "size": 0}, {"oid": "a" * 64, "size": 1}, {"oid": "a" * 64}):
        line = {"key": "lfsFile", "value": {"path": "a.bin", "algo": "sha256", **value}}
        assert target.post(f"/api/models/{victim}/commit/main", json.dumps(line)).status_code == 400
