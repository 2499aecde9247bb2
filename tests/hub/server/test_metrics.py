"""Health for whoever asks, counters for who may read the hub, right over several processes."""

import os
import re
import socket
import subprocess
import sys
import time

import httpx
import pytest
from huggingface_hub import HfApi

from modeling_axk1.hub.server import health, observed, patience
from modeling_axk1.hub.server.accounts import Accounts
from modeling_axk1.hub.server.metrics import Metrics
from tests.hub.server.test_logs import hub
from tests.hub.server.test_process import command

LINE = re.compile(r'([a-z0-9_]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? ([0-9.e+-]+)')


def samples(text):
    """Read Prometheus' text format strictly: every sample after the help and the type of its name."""
    found, kinds = {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds
            kinds[name] = kind
            continue
        name, labels, value = LINE.fullmatch(line).groups()
        assert re.sub("_(bucket|sum|count)$", "", name) in kinds or name in kinds
        found[name + (labels or "")] = float(value)
    return found


def requests(found):
    return sum(value for name, value in found.items() if name.startswith("axk1_hub_requests_total"))


class TestMetrics:
    def test_requests_bytes_and_what_is_stored(self, tmp_path):
        with hub(tmp_path) as endpoint:
            api = HfApi(endpoint=endpoint, token=False)
            api.create_repo("team/model")
            api.upload_file(path_or_fileobj=b"x" * 12345, path_in_repo="a.bin", repo_id="team/model")
            for _ in range(3):
                httpx.get(f"{endpoint}/team/model/resolve/main/a.bin")
            httpx.get(f"{endpoint}/team/model/resolve/main/none")
            found = samples(httpx.get(f"{endpoint}/metrics").text)
        route = "/{namespace}/{name}/resolve/{revision}/{path}"
        assert found[f'axk1_hub_requests_total{{route="{route}",status="200"}}'] == 3
        assert found[f'axk1_hub_requests_total{{route="{route}",status="404"}}'] == 1
        assert found[f'axk1_hub_request_seconds_count{{route="{route}"}}'] == 4
        assert found[f'axk1_hub_request_seconds_bucket{{route="{route}",le="+Inf"}}'] == 4
        assert found["axk1_hub_received_bytes_total"] >= 12345
        assert found["axk1_hub_sent_bytes_total"] >= 3 * 12345
        assert found["axk1_hub_uploads_in_flight"] == 0
        assert (found["axk1_hub_blobs"], found["axk1_hub_blob_bytes"], found["axk1_hub_repositories"]) == (1, 12345, 1)
        assert found["axk1_hub_free_bytes"] > 0

    def test_any_process_tells_of_all(self, tmp_path):
        with command(tmp_path, "--workers", "3") as (_, (place, _)):
            endpoint = place.split()[-1]
            for _ in range(60):
                assert httpx.get(f"{endpoint}/api/models").status_code == 200  # a connection, so a process, each
            # The answer to a request may be here before it is counted.
            time.sleep(0.2)
            told = [samples(httpx.get(f"{endpoint}/metrics").text) for _ in range(8)]
        assert {found['axk1_hub_requests_total{route="/api/models",status="200"}'] for found in told} == {60}
        assert len(list((tmp_path / "metrics").iterdir())) > 1

    def test_the_dead_are_counted_but_upload_nothing(self, tmp_path):
        metrics = Metrics(tmp_path / "metrics", ["/a"])
        metrics.finished("/a", 200, 0.01, 1, 2)
        child = os.fork()
        if not child:
            metrics.upload_began()
            metrics.finished("/a", 200, 0.01, 1, 2)
            os._exit(0)
        os.waitpid(child, 0)
        metrics.upload_began()
        found = samples(metrics.text({}))
        assert requests(found) == 2
        assert found["axk1_hub_uploads_in_flight"] == 1

    def test_they_need_a_token_for_the_whole_hub_where_there_are_tokens(self, tmp_path):
        for policy in ("tokens", "public"):
            accounts = Accounts(tmp_path / policy)
            narrow, wide = accounts.add("minji", "admin", ("team",))[1], accounts.add("watch", "read", ("*",))[1]
            with hub(tmp_path / policy, policy=policy) as endpoint:
                statuses = [
                    httpx.get(f"{endpoint}/metrics", headers={"Authorization": f"Bearer {token}"} if token else {})
                    for token in (None, narrow, wide)
                ]
                assert [answer.status_code for answer in statuses] == [401, 403, 200]


class TestHealth:
    def test_everybody_may_ask(self, tmp_path):
        with hub(tmp_path, policy="tokens") as endpoint:
            answer = httpx.get(f"{endpoint}/health")
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})

    def test_a_full_disk_is_not_well(self, tmp_path, monkeypatch):
        monkeypatch.setattr(health, "_LEAST_FREE", 1 << 80)
        with hub(tmp_path) as endpoint:
            answer = httpx.get(f"{endpoint}/health")
            assert (answer.status_code, answer.json()) == (503, {"status": "disk full"})

    def test_it_tells_the_service_manager_when_it_is_ready(self, tmp_path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(20)
            arguments = ["hub", "serve", "--root", tmp_path / "hub", "--port", "0"]
            with subprocess.Popen(
                [sys.executable, "-m", "modeling_axk1", *map(str, arguments)],
                env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
                stdout=subprocess.DEVNULL,
            ) as process:
                try:
                    assert manager.recv(100) == b"READY=1"
                finally:
                    process.terminate()


class TestPatience:
    @pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc", b"POST /"])
    def test_a_head_that_never_ends_ends_the_connection(self, tmp_path, monkeypatch, sent):
        monkeypatch.setattr(patience, "_HEAD_SECONDS", 0.2)
        with hub(tmp_path) as endpoint, connected(endpoint) as client:
            client.sendall(sent)
            assert client.recv(100) == b""

    def test_a_body_that_never_comes_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(observed, "_PATIENCE_SECONDS", 0.2)
        with hub(tmp_path) as endpoint, connected(endpoint) as client:
            client.sendall(b"POST /api/repos/create HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
            assert client.recv(1000).startswith(b"HTTP/1.1 408 ")

    def test_a_slow_one_that_goes_on_is_served(self, tmp_path, monkeypatch):
        monkeypatch.setattr(observed, "_PATIENCE_SECONDS", 1)
        body = b'{"name": "model", "organization": "team"}'
        with hub(tmp_path) as endpoint, connected(endpoint) as client:
            head = f"POST /api/repos/create HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode())
            for byte in body:
                time.sleep(0.03)
                client.sendall(bytes([byte]))
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


def connected(endpoint):
    host, port = endpoint.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)
