"""How files leave the hub: in parts, to clients that stall or leave, and while the store changes under them."""

import asyncio
import errno
import hashlib
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from huggingface_hub import HfApi
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.hub.server.engine import _in_page_cache
from modeling_axk1.hub.server.ranges import spans_of

LARGE = os.urandom(1 << 20) * 24
SMALL = b"0123456789" * 5
FILES = {"large.bin": LARGE, "small.json": SMALL}


@pytest.fixture(scope="module")
def url(hub):
    hub.api.create_repo("team/files")
    for name, content in FILES.items():
        hub.api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id="team/files")
    return f"{hub.endpoint}/team/files/resolve/main/"


def blob_of(root: Path, content: bytes) -> Path:
    oid = hashlib.sha256(content).hexdigest()
    return root / "blobs" / oid[:2] / oid[2:4] / oid


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


def get(url: str, *headers: str) -> bytes:
    """A GET as it looks on the wire."""
    return "\r\n".join([f"GET {urlsplit(url).path} HTTP/1.1", "Host: localhost", *headers, "\r\n"]).encode()


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class TestRanges:
    @given(
        st.lists(
            st.one_of(st.tuples(st.integers(0, 40), st.none() | st.integers(0, 40)), st.integers(0, 40)), min_size=1
        ),
        st.integers(0, 30),
    )
    def test_the_spans_are_the_bytes_that_were_asked_for_each_once_and_in_order(self, wanted, size):
        parts, asked, malformed = [], set(), False
        for one in wanted:
            if isinstance(one, int):
                parts.append(f"-{one}")
                asked |= set(range(max(size - one, 0), size))
            else:
                first, last = one
                parts.append(f"{first}-{'' if last is None else last}")
                malformed |= last is not None and last < first
                asked |= set(range(first, size if last is None else min(last + 1, size)))
        spans = spans_of(f"bytes={','.join(parts)}", size)
        if malformed:
            assert spans is None
        else:
            assert [place for start, end in spans for place in range(start, end)] == sorted(asked)

    @pytest.mark.parametrize("header", ["lines=0-1", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,x", "0-1"])
    def test_a_malformed_header_is_ignored(self, header):
        assert spans_of(header, 10) is None

    def test_a_hundred_and_one_ranges_are_not_cut_up(self):
        assert spans_of("bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(101)), 1000) is None

    @pytest.mark.parametrize("name", FILES)
    def test_several_ranges_come_as_the_parts_of_one_body(self, url, name):
        content = FILES[name]
        answer = httpx.get(url + name, headers={"Range": "bytes=30-39,0-9,5-14,-3"})
        head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + answer.content).get_payload()
        assert answer.status_code == 206
        assert answer.headers["Content-Length"] == str(len(answer.content))
        assert [part["Content-Range"] for part in parts] == [
            f"bytes 0-14/{len(content)}",
            f"bytes 30-39/{len(content)}",
            f"bytes {len(content) - 3}-{len(content) - 1}/{len(content)}",
        ]
        for wanted in (content[:15], content[30:40], content[-3:]):
            assert b"\r\n\r\n" + wanted + b"\r\n--" in answer.content

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("headers", [{}, {"Range": "bytes=1-3"}, {"Range": f"bytes={2**40}-"}])
    def test_head_gives_the_headers_of_get(self, url, name, headers):
        asked, taken = httpx.head(url + name, headers=headers), httpx.get(url + name, headers=headers)
        assert asked.status_code == taken.status_code
        of_each = {"date": "", "x-request-id": ""}
        assert {**asked.headers, **of_each} == {**taken.headers, **of_each}
        assert asked.content == b""

    @pytest.mark.parametrize("name", FILES)
    def test_what_the_client_has_is_not_sent_again(self, url, name):
        etag = httpx.head(url + name).headers["ETag"]
        assert httpx.get(url + name, headers={"If-None-Match": f'"other", {etag}'}).status_code == 304
        assert httpx.get(url + name, headers={"If-None-Match": '"other"'}).content == FILES[name]


class TestStore:
    @pytest.mark.parametrize("damage", ["missing", "truncated"])
    def test_a_damaged_blob_is_an_error_with_the_files_name(self, hub, url, damage):
        content = os.urandom(5000)
        hub.api.upload_file(path_or_fileobj=content, path_in_repo=f"{damage}.bin", repo_id="team/files")
        blob = blob_of(hub.root, content)
        if damage == "missing":
            blob.unlink()
        else:
            os.truncate(blob, 4999)
        answer = httpx.get(f"{url}{damage}.bin")
        assert answer.status_code == 500
        assert f"the blob of '{damage}.bin' ({hashlib.sha256(content).hexdigest()})" in answer.json()["error"]

    def test_a_file_that_is_removed_meanwhile_arrives_whole(self, hub, url):
        content = os.urandom(1 << 20) * 40
        hub.api.upload_file(path_or_fileobj=content, path_in_repo="gone.bin", repo_id="team/files")
        with httpx.stream("GET", url + "gone.bin") as answer:
            pieces = answer.iter_raw()
            received = [next(pieces)]
            blob_of(hub.root, content).unlink()
            received += pieces
        assert b"".join(received) == content

    def test_a_file_that_shrinks_meanwhile_is_a_broken_connection(self, hub, url):
        content = os.urandom(1 << 20) * 40
        hub.api.upload_file(path_or_fileobj=content, path_in_repo="shrinks.bin", repo_id="team/files")
        with pytest.raises(httpx.RemoteProtocolError), httpx.stream("GET", url + "shrinks.bin") as answer:
            pieces = answer.iter_raw()
            next(pieces)
            os.truncate(blob_of(hub.root, content), 1 << 20)
            for _ in pieces:
                pass

    def test_what_is_not_in_the_page_cache_comes_too(self, hub, url):
        handle = os.open(blob_of(hub.root, LARGE), os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
        assert httpx.get(url + "large.bin").content == LARGE

    @pytest.mark.parametrize("answer", [BlockingIOError(), OSError(errno.EOPNOTSUPP, "")])
    def test_a_file_system_may_know_nothing_of_the_page_cache(self, tmp_path, monkeypatch, answer):
        def preadv(*_):
            raise answer

        async def ask():
            with (tmp_path / "file").open("rb") as file:
                await _in_page_cache(asyncio.get_running_loop(), file.fileno(), 0, 4)

        (tmp_path / "file").write_bytes(b"text")
        monkeypatch.setattr(os, "preadv", preadv)
        asyncio.run(ask())


class TestConnections:
    def test_requests_sent_at_once_are_answered_in_turn(self, url):
        with connect(url) as client, client.makefile("rb") as answers:
            client.sendall(
                get(url + "large.bin", "Range: bytes=5-24") + get(url + "small.json") + get(url + "large.bin")
            )
            for expected in (LARGE[5:25], SMALL, LARGE):
                head = b"".join(iter(answers.readline, b"\r\n"))
                assert f"content-length: {len(expected)}".encode() in head.lower()
                assert answers.read(len(expected)) == expected

    def test_a_client_that_does_not_read_holds_nobody_up(self, url):
        with connect(url) as stalled:
            stalled.sendall(get(url + "large.bin"))
            assert stalled.recv(100).startswith(b"HTTP/1.1 200")
            assert httpx.get(url + "large.bin").content == LARGE

    def test_clients_that_leave_in_the_middle_leave_nothing_open(self, tmp_path):
        with server(tmp_path) as (process, endpoint):
            api = HfApi(endpoint=endpoint, token=False)
            api.create_repo("team/files")
            api.upload_file(path_or_fileobj=LARGE, path_in_repo="large.bin", repo_id="team/files")
            address = f"{endpoint}/team/files/resolve/main/large.bin"

            def open_files() -> int:
                return sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir())

            before = open_files()
            for _ in range(20):
                with connect(address) as client:
                    client.sendall(get(address))
                    client.recv(1000)
            until(lambda: open_files() <= before)
            process.terminate()
            assert process.stderr.read() == ""

    @pytest.mark.parametrize("count", [1, 3000])
    def test_a_head_of_more_than_anybody_needs_is_refused(self, url, count):
        with connect(url) as client:
            headers = "".join(f"X-{number}: {'x' * (100_000 // count)}\r\n" for number in range(count))
            client.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
            assert client.recv(1000).startswith(b"HTTP/1.1 400")

    def test_a_header_that_does_not_end_is_refused(self, url):
        with connect(url) as client, pytest.raises(OSError):  # noqa: PT011  # refused: closed, or already reset
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
            for _ in range(10_000):
                client.sendall(b"x" * 10_000)


@contextmanager
def server(root, *options):
    """`axk1 hub serve` in one process unless told otherwise; yields (process, endpoint)."""
    command = [sys.executable, "-m", "modeling_axk1", "hub", "serve", "--root", str(root), "--port", "0"]
    with subprocess.Popen(
        [*command, *(options or ("--workers", "1"))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.kill()
