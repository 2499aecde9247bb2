"""Headers that are huge, strange, or speak for somebody else."""

import base64
import json

import pytest

pytestmark = pytest.mark.usefixtures("unharmed")

HOSTS = [
    b"evil.example", b"evil.example:80", b"hub:99999", b"hub:x", b"[::1", b"[::1]:8000", b"::1", b"", b"a b", b"a\tb",
    b"\xff\xfe", b"a/../../b", b"a?b#c", b"user:pass@evil.example", b"<script>alert(1)</script>", b'"><img src=x>',
    b"a" * 8000, b"\xed\x95\x9c", b"a%0d%0aX-Evil: 1", b",", b"[", b"]", b"[v1.x]", b"http://evil.example",
]  # fmt: skip


def with_host(target, host: bytes, path: bytes, method: bytes = b"GET", body: bytes = b""):
    length = b"Content-Length: %d\r\n" % len(body)
    head = b"%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n" % (method, path, host, length)
    return target.send(head + body, patience_s=20)


@pytest.mark.parametrize("host", HOSTS)
def test_a_hostile_host_is_answered_and_never_runs(target, victim, host):
    """The page, JSON, a commit's address, a Link and an LFS address are made from Host: none breaks, none is HTML."""
    batch = json.dumps({"operation": "upload", "objects": [{"oid": "0" * 64, "size": 1}]}).encode()
    requests = [
        (b"GET", b"/", b""),
        (b"GET", b"/api/models/%s/tree/main?limit=1" % victim.encode(), b""),
        (b"GET", b"/api/models?limit=1", b""),
        (b"POST", b"/%s.git/info/lfs/objects/batch" % victim.encode(), batch),
        (b"POST", b"/api/repos/create", json.dumps({"organization": "team", "name": victim.split("/")[1]}).encode()),
    ]
    for method, path, body in requests:
        for answer in with_host(target, host, path, method, body):
            assert answer.status in {200, 400, 403, 409, 421, 431}, (method, path)
            assert b"<script>" not in answer.body
            assert b"<img" not in answer.body
            assert "x-evil" not in answer.headers


def test_two_hosts_are_refused_or_the_request_is_answered_once(target):
    answers = target.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: b\r\nConnection: close\r\n\r\n")
    assert len(answers) == 1
    assert answers[0].status in {200, 400, 403}


@pytest.mark.parametrize("count", [100, 20_000])
def test_many_headers(target, count):
    answer = target.get("/", headers=b"".join(b"X-%d: y\r\n" % number for number in range(count)))
    assert answer.status in {200, 400, 431}


@pytest.mark.parametrize("size", [10_000, 1_000_000])
@pytest.mark.parametrize("name", [b"X-Long", b"Authorization", b"Cookie", b"Range", b"If-Range", b"If-None-Match"])
def test_a_huge_header(target, victim, name, size):
    before = target.memory_mib()
    for answer in target.send(
        b"GET /%s/resolve/main/large.bin HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s: %s\r\n\r\n"
        % (victim.encode(), name, b"a" * size)
    ):
        assert answer.status in {200, 206, 400, 401, 403, 416, 431}
    assert target.memory_mib() < before + 50


@pytest.mark.parametrize("size", [10_000, 60_000, 1_000_000])
def test_a_very_long_url(target, size):
    for place in (b"/", b"/api/models/", b"/team/x/resolve/main/", b"/api/models?search="):
        for answer in target.send(
            b"GET %s%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % (place, b"a" * size)
        ):
            assert answer.status in {200, 400, 404, 414, 431}


@pytest.mark.parametrize(
    "value",
    [b"Bearer", b"Bearer ", b"Bearer \xff\xfe", b"Basic !!!", b"Basic " + base64.b64encode(b"no colon"), b"Basic ====",
     b"Basic " + base64.b64encode(b"\xff\xfe:\xff"), b"Digest x", b"Bearer " + b"a" * 5000, b"bearer hf_x, Bearer hf_y",
     b"Bearer ../../x", b"Bearer '; DROP TABLE tokens; --", b"\x00"],
)  # fmt: skip
def test_strange_credentials(target, victim, value):
    """Nobody's: what is open stays open, or it is 401; never an error of the hub's own."""
    for path in ("/api/whoami-v2", f"/api/models/{victim}", f"/{victim}/resolve/main/small.txt"):
        assert target.get(path, headers=b"Authorization: " + value + b"\r\n").status in {200, 400, 401, 403}


@pytest.mark.parametrize("value", [b"a\r\nX-Evil: 1", b"a\nX-Evil: 1", "한글".encode(), b"\\u000d\\u000aX-Evil: 1"])
def test_an_error_message_is_one_header(target, victim, value):
    """What a request said is told back in X-Error-Message, and cannot end that header."""
    text = value.decode()
    for path, body in (
        (f"/api/models/{victim}/preupload/main", {"files": [{"path": "a", "size": text}]}),
        (f"/api/models/{victim}/preupload/main", {"files": [{"path": text * 900, "size": 1}]}),
        ("/api/repos/create", {"name": text, "type": "model"}),
        ("/api/repos/create", {"name": "x", "type": text}),
        (f"/api/models/{victim}/tag/{'%0d%0aX-Evil:%201'}", {"tag": "v1"}),
    ):
        answer = target.post(path, json.dumps(body))
        assert 400 <= answer.status_code < 500
        assert "x-evil" not in answer.headers
        assert len(answer.headers["X-Error-Message"]) < 4096, "a proxy's buffer for headers is some kilobytes"


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-Host: evil.example", "X-Forwarded-Proto: javascript", "X-Forwarded-For: 1.2.3.4, \xff",
     "Forwarded: host=evil.example", "X-Original-URL: /api/repos/delete", "X-Rewrite-URL: /secret.txt",
     "X-HTTP-Method-Override: DELETE", "Upgrade: websocket", "Upgrade: h2c", "Expect: 100-continue", "Expect: banana",
     "Transfer-Encoding: identity", "Content-Type: multipart/form-data", "Accept-Encoding: \xff", "TE: trailers",
     "Connection: Host", "If-Modified-Since: yesterday", "If-None-Match: *", "Origin: null"],
)  # fmt: skip
def test_headers_that_others_obey_change_nothing(target, victim, header):
    """No other path, method or host is taken from them, and the file is the file."""
    raw = header.encode("latin-1") + b"\r\n"
    answer = target.get(f"/{victim}/resolve/main/small.txt", headers=raw)
    assert answer.status in {200, 304, 400, 417, 426, 501}
    assert answer.status != 200 or answer.body == b"0123456789" * 100
    assert b"evil.example" not in target.get("/", headers=raw).body
    assert target.api.repo_exists(victim)


def test_a_web_page_cannot_change_the_hub(target, victim):
    """A browser on this machine reaches the loopback port as well as its owner does."""
    body = json.dumps({"organization": "team", "name": victim.split("/")[1]})
    for origin in ("https://evil.example", "null", target.endpoint.replace("127.0.0.1", "localhost")):
        answer = target.client.request("DELETE", "/api/repos/delete", content=body, headers={"Origin": origin})
        assert answer.status_code in {401, 403}
    assert target.api.repo_exists(victim)
