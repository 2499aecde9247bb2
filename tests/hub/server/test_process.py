"""Starting, stopping, and being killed."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
from dulwich.object_store import DiskObjectStore
from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError

from modeling_axk1.errors import HubError
from modeling_axk1.hub.publish import publish
from modeling_axk1.hub.server import run, serving
from modeling_axk1.hub.server.store import IncomingBlob
from tests.hub.conftest import fsck


@contextmanager
def command(root, *options):
    """`axk1 hub serve` as a person starts it, on a free port; yields (process, its first two lines)."""
    arguments = [sys.executable, "-m", "modeling_axk1", "hub", "serve", "--root", str(root), "--port", "0", *options]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, [process.stdout.readline().strip() for _ in range(2)]
        finally:
            process.kill()


@contextmanager
def in_this_process(root):
    """The hub in a thread of the test, where its parts can be made to fail."""
    started, stop = threading.Event(), threading.Event()
    said = []

    def announce(endpoint):
        said.append(endpoint)
        started.set()

    thread = threading.Thread(target=run, args=(root, "127.0.0.1", 0, announce, stop.wait))
    thread.start()
    assert started.wait(10)
    try:
        yield HfApi(endpoint=said[0], token=False)
    finally:
        stop.set()
        thread.join(20)


def answers(endpoint) -> bool:
    try:
        return httpx.get(endpoint).status_code == 200
    except httpx.TransportError:
        return False


class TestServe:
    def test_it_says_where_it_is_and_stops_on_ctrl_c(self, tmp_path):
        with command(tmp_path) as (process, (place, clients)):
            endpoint = place.split()[-1]
            assert clients == f"clients: export HF_ENDPOINT={endpoint}"
            assert endpoint.startswith("http://127.0.0.1:")
            assert httpx.get(f"{endpoint}/api/whoami-v2").json()["name"] == "local"
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert process.stderr.read() == ""

    def test_listening_elsewhere_asks_for_tokens(self, tmp_path):
        with command(tmp_path, "--host", "0.0.0.0") as (process, lines):
            assert (
                httpx.get(lines[0].rpartition(" ")[2].replace("0.0.0.0", "127.0.0.1") + "/api/models").status_code
                == 401
            )
            process.send_signal(signal.SIGTERM)
            process.wait(10)
            assert process.stderr.read().startswith("axk1: note: no token yet; make one with `axk1 hub token add NAME")

    def test_listening_elsewhere_to_everybody_warns_in_one_line(self, tmp_path):
        with command(tmp_path, "--host", "0.0.0.0", "--access", "open") as (process, _):
            process.send_signal(signal.SIGTERM)
            process.wait(10)
            assert process.stderr.read() == (
                "axk1: warning: whoever reaches 0.0.0.0 can read and change everything on this hub\n"
            )

    def test_a_taken_port_is_one_line(self, run_axk1, tmp_path):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            result = run_axk1("hub", "serve", "--root", tmp_path / "hub", "--port", port)
        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr == f"axk1: error: port {port} on 127.0.0.1 is taken; choose another with --port\n"
        assert not (tmp_path / "hub").exists()

    def test_one_root_has_one_owner(self, tmp_path):
        with (
            serving(tmp_path),
            pytest.raises(HubError, match="already served by another process"),
            serving(tmp_path),
        ):
            pass

    def test_the_hub_of_a_killed_program_goes_with_it(self, tmp_path):
        program = (
            "import sys, time; from pathlib import Path; from modeling_axk1.hub.server import serving\n"
            "with serving(Path(sys.argv[1])) as endpoint: print(endpoint, flush=True); time.sleep(60)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as parent:
            endpoint = parent.stdout.readline().strip()
            assert httpx.get(endpoint).status_code == 200
            parent.kill()
        deadline = time.monotonic() + 10
        while answers(endpoint):
            assert time.monotonic() < deadline
            time.sleep(0.05)


class TestKilledServer:
    def test_everything_acknowledged_is_there_and_the_next_one_goes_on(self, tmp_path, monkeypatch):
        # The client asks a hub that is gone again and again, with pauses.
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        acknowledged = {}
        with command(tmp_path) as (process, (place, _)):
            api = HfApi(endpoint=place.split()[-1], token=False)
            api.create_repo("team/model")
            threading.Timer(0.7, process.kill).start()
            for number in range(1000):
                name, content = f"{number}.{'bin' if number % 2 else 'txt'}", os.urandom(100_000)
                try:
                    api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id="team/model")
                except (HTTPError, RuntimeError):
                    break  # the hub is gone
                acknowledged[name] = content
        assert acknowledged
        # What a kill in the middle of writing leaves, besides what this one may have left.
        git_folder = tmp_path / "repositories" / "models" / "team" / "model.git"
        (git_folder / "refs" / "heads" / "main.lock").touch()
        (git_folder / "objects" / "pack" / "tmp123.pack").touch()
        (tmp_path / "blobs" / "incoming" / "half").write_bytes(b"half")
        with serving(tmp_path) as endpoint:
            api = HfApi(endpoint=endpoint, token=False)
            for name, content in acknowledged.items():
                assert httpx.get(f"{endpoint}/team/model/resolve/main/{name}").content == content
            api.upload_file(path_or_fileobj=b"new", path_in_repo="new.txt", repo_id="team/model")
        assert fsck(git_folder) == ""
        assert list((tmp_path / "blobs" / "incoming").iterdir()) == []
        assert not list(git_folder.rglob("*.lock"))


class TestFullDisk:
    @pytest.mark.parametrize(
        ("place", "method", "file"),
        [(IncomingBlob, "write", "large.bin"), (DiskObjectStore, "add_pack", "small.txt")],
    )
    def test_nothing_is_changed_and_it_works_when_there_is_room_again(self, tmp_path, monkeypatch, place, method, file):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        root, folder = tmp_path / "hub", tmp_path / "folder"
        folder.mkdir()
        (folder / "README.md").write_text("# Model\n")
        (folder / file).write_bytes(os.urandom(3_000_000))
        with in_this_process(root) as api:
            api.create_repo("team/model")
            head = api.model_info("team/model").sha
            release = {"endpoint": api.endpoint, "repo_type": "model", "tag": "v0.1"}
            with monkeypatch.context() as patch:
                patch.setattr(place, method, full)
                with pytest.raises(HubError, match=r"refused .*: the hub's disk is full; nothing was changed"):
                    publish(folder, "team/model", **release)
            assert api.model_info("team/model").sha == head
            assert api.list_repo_refs("team/model").tags == []
            assert list((root / "blobs" / "incoming").iterdir()) == []
            assert fsck(root / "repositories" / "models" / "team" / "model.git") == ""
            assert publish(folder, "team/model", **release).uploaded == ["README.md", file]
