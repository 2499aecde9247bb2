"""Parts of files, as a reader of a terabyte asks for them: far into a file, by a version, from the end."""

import base64
import hashlib
import json
import subprocess
import sys

import httpx
import pytest

from modeling_axk1.hub.server.large_files import LargeFiles
from tests.hub.conftest import Hub

SIZE = 11_274_289_312  # one shard of the release: a layer's gate and up projections
MARK = b"beyond four gigabytes"
AT = 2**32 + 12_345


@pytest.fixture(scope="module")
def url(hub: Hub) -> str:
    """A file of 11 GB, all holes but a mark; its digest is not checked again once it lies in the store."""
    oid = hashlib.sha256(b"the name of a blob of holes").hexdigest()
    blob = hub.root / "blobs" / oid[:2] / oid[2:4] / oid
    blob.parent.mkdir(parents=True)
    with blob.open("wb") as file:
        file.seek(AT)
        file.write(MARK)
        file.truncate(SIZE)
    hub.api.create_repo("team/large")
    LargeFiles(hub.git_folder("team/large")).add_uploaded(oid)
    small = base64.b64encode(b"0123456789").decode()
    lines = [
        {"key": "header", "value": {"summary": "Large and small", "description": ""}},
        {"key": "lfsFile", "value": {"path": "large.safetensors", "algo": "sha256", "oid": oid, "size": SIZE}},
        {"key": "file", "value": {"path": "small.json", "content": small, "encoding": "base64"}},
    ]
    commit = f"{hub.endpoint}/api/models/team/large/commit/main"
    httpx.post(commit, content="\n".join(json.dumps(line) for line in lines)).raise_for_status()
    return f"{hub.endpoint}/team/large/resolve/main/"


def part(url: str, wanted: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers={"Range": wanted} | {key.replace("_", "-"): value for key, value in headers.items()})


def test_bytes_beyond_four_gigabytes(url):
    answer = part(url + "large.safetensors", f"bytes={AT}-{AT + len(MARK) - 1}")
    assert (answer.status_code, answer.content) == (206, MARK)
    assert answer.headers["Content-Range"] == f"bytes {AT}-{AT + len(MARK) - 1}/{SIZE}"
    assert answer.headers["Content-Length"] == str(len(MARK))


def test_the_last_bytes(url):
    answer = part(url + "large.safetensors", "bytes=-5")
    assert (answer.status_code, answer.content) == (206, bytes(5))
    assert answer.headers["Content-Range"] == f"bytes {SIZE - 5}-{SIZE - 1}/{SIZE}"


def test_a_range_past_the_end_stops_there_and_one_beyond_it_is_refused(url):
    assert len(part(url + "large.safetensors", f"bytes={SIZE - 7}-{2**63}").content) == 7
    beyond = part(url + "large.safetensors", f"bytes={SIZE}-")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{SIZE}")


def test_head_gives_the_size_and_no_body(url):
    answer = httpx.head(url + "large.safetensors")
    assert (answer.headers["Content-Length"], answer.headers["Accept-Ranges"]) == (str(SIZE), "bytes")


@pytest.mark.parametrize("name", ["large.safetensors", "small.json"])
def test_the_rest_of_another_version_is_not_given(url, name):
    version = httpx.head(url + name).headers["ETag"]
    assert part(url + name, "bytes=2-4", If_Range=version).status_code == 206
    with httpx.stream("GET", url + name, headers={"Range": "bytes=2-4", "If-Range": '"another"'}) as answer:
        assert answer.status_code == 200


def test_half_a_gigabyte_goes_out_in_pieces(url, hub):
    """From a server whose memory stays below half of that."""
    script = (
        "import sys; from pathlib import Path\n"
        "from modeling_axk1.hub.server.process import run\n"
        "say = lambda endpoint: print(endpoint, flush=True)\n"
        "stop = sys.stdin.read\n"
        "run(Path(sys.argv[1]), '127.0.0.1', 0, say, stop)\n"
        # Not resource.getrusage, which counts what this test's own process had before it became the server.
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0], flush=True)"
    )
    copy = hub.root.parent / "copy"
    subprocess.run(["cp", "-r", "--sparse=always", hub.root, copy], check=True)
    with subprocess.Popen(
        [sys.executable, "-c", script, copy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        endpoint = server.stdout.readline().strip()
        count = 0
        large = f"{endpoint}/team/large/resolve/main/large.safetensors"
        with httpx.stream("GET", large, headers={"Range": f"bytes={2**32}-{2**32 + 2**29 - 1}"}) as answer:
            for chunk in answer.iter_raw():
                count += len(chunk)
        server.stdin.close()
        peak_kib = int(server.stdout.readline())
    assert count == 2**29
    assert peak_kib < 2**18
