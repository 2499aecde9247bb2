"""HTTP itself: requests hidden in requests, spoken slowly, by thousands, or not HTTP at all."""

import contextlib
import json
import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("unharmed")

DELETE = b"DELETE /api/repos/delete HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s"


def hidden(victim: str) -> bytes:
    """A request that must never be carried out."""
    body = json.dumps({"organization": "team", "name": victim.split("/")[1]}).encode()
    return DELETE % (len(body), body)


# Headers and what follows them; %(x)s is the hidden request, %(n)d more than its length.
SMUGGLED = {
    "length and chunks": b"Content-Length: %(n)d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%(x)s",
    "two lengths": b"Content-Length: 2\r\nContent-Length: %(n)d\r\n\r\n{}%(x)s",
    "two lengths in one": b"Content-Length: 2, %(n)d\r\n\r\n{}%(x)s",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\nContent-Length: 5\r\n\r\n0\r\n\r\n%(x)s",
    "xchunked": b"Transfer-Encoding: xchunked\r\nContent-Length: %(n)d\r\n\r\n0\r\n\r\n%(x)s",
    "space before colon": b"Content-Length : %(n)d\r\n\r\n%(x)s",
    "folded": b"Transfer-Encoding:\r\n chunked\r\nContent-Length: %(n)d\r\n\r\n0\r\n\r\n%(x)s",
    "plus length": b"Content-Length: +%(n)d\r\n\r\n{}%(x)s",
    "hexadecimal length": b"Content-Length: 0x%(n)x\r\n\r\n{}%(x)s",
    "negative length": b"Content-Length: -1\r\n\r\n%(x)s",
    "chunk of nonsense": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n%(x)s",
    "chunk overflow": b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n%(x)s",
    "NUL in a header": b"X: a\0b\r\nContent-Length: %(n)d\r\n\r\n%(x)s",
    "carriage return in a header": b"X: a\rContent-Length: 0\r\nContent-Length: %(n)d\r\n\r\n%(x)s",
}


@pytest.mark.parametrize("form", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_a_hidden_request_is_not_carried_out(target, victim, form):
    """Where a body's end is in doubt the connection ends, or the doubt is settled so that the hidden part is body."""
    secret = hidden(victim)
    head = b"POST /api/validate-yaml HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    answers = target.send(head + form % {b"n": len(secret) + 5, b"x": secret}, patience_s=0.5)
    assert all(answer.status in {200, 400, 404, 405, 411, 501} for answer in answers)
    assert target.api.repo_exists(victim), "the hidden request was carried out"


NOT_HTTP = {
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
    "TLS": bytes.fromhex("160301020001000001fc0303") + bytes(500),
    "git": b"0032git-upload-pack /team/x.git\0host=hub\0",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing": b"\r\n" * 1000,
    "NUL": b"\0" * 10_000,
    "no version": b"GET / HTTP/\r\n\r\n",
    "no path": b"GET  HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "LF only": b"GET / HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n\n",
    "another host": b"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    "everything": b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    "trace": b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: secret\r\nConnection: close\r\n\r\n",
    "a method of its own": b"B\xc3\xa4R / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a long method": b"A" * 100_000 + b" / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe\x80 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    "control in the path": b"GET /\x01\x7f HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    "a fragment": b"GET /#/api HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("raw", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_not_quite_http(target, raw):
    """A refusal, silence, or the page; never an error of the hub's own, and nothing is told back."""
    for answer in target.send(raw, patience_s=0.5):
        assert answer.status in {200, 400, 403, 404, 405, 414, 426, 431, 505}
        assert b"secret" not in answer.body


def test_requests_in_a_row_are_answered_in_a_row(target, victim):
    """A hundred on one connection, sent before the first answer, each gets its own."""
    count = 100
    requests = [
        b"GET /%s/resolve/main/small.txt HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes=%d-%d\r\n%s\r\n"
        % (victim.encode(), number, number, b"Connection: close\r\n" if number == count - 1 else b"")
        for number in range(count)
    ]
    answers = target.send(b"".join(requests), patience_s=20)
    assert [answer.body for answer in answers] == [b"%d" % (number % 10) for number in range(count)]


def test_those_who_say_nothing_keep_nobody_waiting(target, victim):
    """Two thousand connections, half of them in the middle of a request: others are served as before."""
    with contextlib.ExitStack() as stack:
        for number in range(2000):
            connection = stack.enter_context(target.connect(5))
            if number % 2:
                connection.sendall(
                    b"POST /api/repos/create HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"
                )
        began = time.monotonic()
        for _ in range(20):
            assert target.client.get(f"/{victim}/resolve/main/small.txt").status_code == 200
        assert time.monotonic() - began < 20
    assert target.client.get("/").status_code == 200


def test_a_reader_who_stops_reading_holds_no_memory(target, victim):
    """Fifty downloads of 20 MB each, of which nobody takes a byte."""
    target.api.upload_file(path_or_fileobj=bytes(20_000_000), path_in_repo="zeros.bin", repo_id=victim)
    before = target.memory_mib()
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            connection = stack.enter_context(target.connect(5))
            connection.sendall(b"GET /%s/resolve/main/zeros.bin HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % victim.encode())
        assert target.client.get("/").status_code == 200
        assert target.memory_mib() < before + 300


SEGMENT = st.sampled_from(
    ["team", "victim", "api", "models", "datasets", "resolve", "main", "tree", "commit", "preupload", "tag", "branch",
     "refs", "commits", "revision", "paths-info", "info", "lfs", "objects", "batch", "verify", "repos", "create",
     "delete", "move", "super-squash", "auth-check", "xet-read-token", "xet-write-token", "whoami-v2", "validate-yaml",
     "settings", "health", "metrics", "v1", "reconstructions", "xorbs", "shards", "info%2Frefs", "git-upload-pack",
     "git-receive-pack", "HEAD", "small.txt", "..", ".", "%2e%2e", "%00", "%ff", "0" * 40, "f" * 64, ""]
) | st.text(alphabet="abc%20/.~!$&'()*+,;=:@", max_size=8)  # fmt: skip
METHOD = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
BODY = st.sampled_from(
    [b"", b"{}", b"[]", b'{"files": [{}]}', b'{"tag": 7}', b'{"operation": "download", "objects": [{}]}', b"\xff",
     b'{"fromRepo": 1}', b'{"key": "header"}', b"0000", b"paths=a&expand=1", b'{"oid": null, "size": {}}']
) | st.binary(max_size=50)  # fmt: skip
QUERY = st.sampled_from(["", "?", "?limit=-1", "?limit=x&cursor=y", "?cursor=%ff", "?size=x", "?expand=1&recursive=1"])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=METHOD, segments=st.lists(SEGMENT, max_size=8), query=QUERY, body=BODY)
def test_any_request_is_answered_without_an_error_of_the_hub(target, method, segments, query, body):
    """Over the whole table of routes and beside it: below 500, but for what the hub says it does not do (501)."""
    path = "/" + "/".join(segments).replace(" ", "%20") + query
    answer = target.client.request(method, target.endpoint + path, content=body)
    assert answer.status_code < 500 or answer.status_code == 501
    assert b"Traceback" not in answer.content


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(min_size=1, max_size=200), seed=st.integers())
def test_any_bytes_on_a_connection(target, raw, seed):
    """Noise, and requests with noise in them."""
    request = bytearray(b"POST /api/validate-yaml HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}")
    for _ in range(3):
        request[random.Random(seed).randrange(len(request))] = raw[0]
    for data in (raw + b"\r\n\r\n", bytes(request)):
        for answer in target.send(data, patience_s=0.02):
            assert answer.status < 500
