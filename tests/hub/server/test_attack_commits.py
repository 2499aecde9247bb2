"""Commits as lines of JSON, written by somebody who wants the hub to choke on them."""

import base64
import gzip
import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hub.conftest import fsck

pytestmark = pytest.mark.usefixtures("unharmed")

HEADER = b'{"key": "header", "value": {"summary": "s"}}'


def send(target, repo, *lines: bytes, **headers: str) -> httpx.Response:
    return target.post(f"/api/models/{repo}/commit/main", b"\n".join([HEADER, *lines]), **headers)


def added(path: str, content: bytes = b"x") -> bytes:
    value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    return json.dumps({"key": "file", "value": value}).encode()


MALFORMED = {
    "deep": b"[" * 200_000,
    "deep object": b'{"key":' * 100_000,
    "NaN": b'{"key": "lfsFile", "value": {"path": "a", "oid": "%s", "size": NaN}}' % (b"0" * 64),
    "infinity": b'{"key": "lfsFile", "value": {"path": "a", "oid": "%s", "size": 1e999}}' % (b"0" * 64),
    "half a byte": b'{"key": "lfsFile", "value": {"path": "a", "oid": "%s", "size": 0.5}}' % (b"0" * 64),
    "true bytes": b'{"key": "lfsFile", "value": {"path": "a", "oid": "%s", "size": true}}' % (b"0" * 64),
    "an endless number": b'{"key": "lfsFile", "value": {"path": "a", "oid": "%s", "size": %s}}'
    % (b"0" * 64, b"9" * 9999),
    "a path twice": b'{"key": "file", "value": {"path": "ok", "path": "../x", "content": ""}}',
    "a key twice": b'{"key": "file", "key": "surprise", "value": {"path": "ok", "content": ""}}',
    "lone surrogate": b'{"key": "file", "value": {"path": "\\ud800", "content": ""}}',
    "no UTF-8": b'{"key": "file", "value": {"path": "\xff", "content": ""}}',
    "UTF-16": '{"key": "file", "value": {"path": "a", "content": ""}}'.encode("utf-16"),
    "NUL": b"\0" * 100,
    "no base64": b'{"key": "file", "value": {"path": "a", "content": "\xc3\xa9==="}}',
    "a list for content": b'{"key": "file", "value": {"path": "a", "content": [1]}}',
    "no value": b'{"key": "file"}',
    "null": b"null",
    "a number": b"7",
    "an unknown key": b'{"key": "chmod", "value": {"path": "small.txt"}}',
    "a link": b'{"key": "file", "value": {"path": "a", "content": "", "encoding": "symlink"}}',
    "a form of old": b'{"operations": [{"path": "a"}]}',
    "a parent that is none": b'{"key": "header", "value": {"summary": "s", "parentCommit": ["main"]}}',
    "an endless message": b'{"key": "header", "value": {"summary": "%s"}}' % (b"x" * 1_000_000),
}


@pytest.mark.parametrize("line", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_line_changes_nothing(target, victim, line):
    """Also when good lines stand before and after it."""
    head = target.git(victim, "rev-parse", "main")
    answer = send(target, victim, added("good.txt"), line, added("later.txt"))
    assert answer.status_code in {400, 412, 413}
    assert target.git(victim, "rev-parse", "main") == head


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300) | st.text(alphabet='{}[]":,\\ \n0aue', max_size=200).map(str.encode))
def test_any_bytes_are_answered(target, victim, body):
    head = target.git(victim, "rev-parse", "main") if b'"key"' in body else None
    assert send(target, victim, body).status_code in {200, 400}
    assert head is None or target.git(victim, "rev-parse", "main") == head


def test_operations_that_undo_each_other(target, victim):
    """The same path added, deleted and added again, and a folder deleted with what was just put into it."""
    lines = [
        added("x/a.txt", b"1"),
        b'{"key": "deletedFile", "value": {"path": "x/a.txt"}}',
        added("x/a.txt", b"2"),
        added("y/b.txt"),
        b'{"key": "deletedFolder", "value": {"path": "y/"}}',
    ]
    assert send(target, victim, *lines).status_code == 200
    assert set(target.api.list_repo_files(victim)) == {".gitattributes", "large.bin", "small.txt", "x/a.txt"}
    assert fsck(target.git_folder(victim)) == ""


@pytest.mark.parametrize(
    ("first", "second"), [("a", "a/b"), ("a/b", "a"), ("small.txt/x", "y"), (".gitattributes/x", "y")]
)
def test_a_file_is_no_folder(target, victim, first, second):
    assert send(target, victim, added(first), added(second)).status_code == 400


def test_a_million_operations_are_refused_in_bounded_memory(target, victim):
    """One line each, as short as they get."""
    before = target.memory_mib()
    line = b'{"key":"deletedFile","value":{"path":"x"}}'
    assert send(target, victim, *[line] * 1_000_000).status_code == 413
    assert target.memory_mib() < before + 150


def test_a_line_without_end_is_refused_before_its_end(target, victim):
    """No more of it is kept than the largest file of a commit is long."""
    before = target.memory_mib()

    def endless():
        yield b'{"key": "file", "value": {"path": "a", "content": "'
        for _ in range(400):
            yield b"A" * 1_000_000

    try:
        answer = target.post(f"/api/models/{victim}/commit/main", endless())
    except httpx.TransportError:
        pass  # the hub hung up while this was still sending
    else:
        assert answer.status_code == 413
    assert target.memory_mib() < before + 150


def test_a_compressed_body_is_not_unpacked(target, victim):
    """A gigabyte of zeros is a megabyte on the wire."""
    bomb, before = gzip.compress(bytes(100_000_000)), target.memory_mib()
    for path in (f"/api/models/{victim}/commit/main", f"/api/models/{victim}/preupload/main", "/api/repos/create"):
        answer = target.post(path, bomb, **{"Content-Encoding": "gzip"})
        assert answer.status_code in {400, 415}
    assert target.memory_mib() < before + 50


def test_a_card_that_explodes_is_no_card(target, victim):
    """YAML whose aliases unfold to billions of items, is deep, or asks for Python objects."""
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(8)
    )
    before = target.memory_mib()
    for front_matter in (
        bomb,
        "a: " + "[" * 5000,
        "a: " + "[" * 900 + "]" * 900,
        "a: &a [*a]",
        "a: !!python/object/apply:os.system [id]",
        "a: !!int 'x'",
        "? [a]\n: b",
    ):
        card = f"---\n{front_matter}\n---\n"
        checked = target.post("/api/validate-yaml", json.dumps({"content": card, "repoType": "model"}))
        assert checked.status_code in {200, 400}
        assert send(target, victim, added("README.md", card.encode())).status_code == 200
        assert httpx.get(f"{target.endpoint}/api/models/{victim}", timeout=10).status_code == 200
    assert target.memory_mib() < before + 100
