"""Several processes that serve one hub as one."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi

from modeling_axk1.hub.server.process import _listen
from modeling_axk1.hub.server.workers import listeners
from tests.hub.server.test_engine import server, until


def children(process: subprocess.Popen) -> set[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return {int(child) for child in listed.split()}


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def crew(tmp_path):
    """A hub of three processes; yields (process, endpoint, ids of the workers)."""
    with server(tmp_path / "hub", "--workers", "3") as (process, endpoint):
        until(lambda: len(children(process)) == 3)
        yield process, endpoint, children(process)


def test_small_answers_are_sent_at_once():
    """By this asyncio knows TCP when it sets TCP_NODELAY; else a body waits 40 ms behind its head."""
    sockets = listeners(_listen("127.0.0.1", 0, shared=True), 3)
    try:
        assert {listener.proto for listener in sockets} == {socket.IPPROTO_TCP}
    finally:
        for listener in sockets:
            listener.close()


def test_what_one_has_acknowledged_all_show(crew):
    _, endpoint, _ = crew
    api = HfApi(endpoint=endpoint, token=False)
    api.create_repo("team/model")
    for number in range(5):
        oid = api.upload_file(path_or_fileobj=b"%d" % number, path_in_repo="a.txt", repo_id="team/model").oid
        # Every request on a connection of its own: the kernel deals them out.
        for _ in range(12):
            answer = httpx.get(f"{endpoint}/team/model/resolve/main/a.txt")
            assert (answer.headers["X-Repo-Commit"], answer.content) == (oid, b"%d" % number)


def test_a_repository_made_again_shows_nothing_of_the_one_before(crew):
    _, endpoint, _ = crew
    api = HfApi(endpoint=endpoint, token=False)
    api.create_repo("team/model")
    old = api.upload_file(path_or_fileobj=b"old", path_in_repo="old.txt", repo_id="team/model").oid
    for _ in range(12):
        assert httpx.get(f"{endpoint}/team/model/resolve/{old}/old.txt").content == b"old"
    api.delete_repo("team/model")
    for _ in range(12):
        assert httpx.get(f"{endpoint}/team/model/resolve/{old}/old.txt").status_code == 404
    api.create_repo("team/model")
    for _ in range(12):
        answer = httpx.get(f"{endpoint}/team/model/resolve/{old}/old.txt")
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")


def test_a_worker_that_dies_is_replaced_and_nobody_waits_for_it(crew):
    process, endpoint, workers = crew
    time.sleep(1.1)  # one that dies sooner is not replaced
    victim = min(workers)
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(children(process) - {victim}) == 3)
    for _ in range(20):
        assert httpx.get(endpoint).status_code == 200


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_they_stop_together_and_quietly(crew, how):
    process, _, workers = crew
    process.send_signal(how)
    assert process.wait(15) == 0
    assert not any(alive(worker) for worker in workers)
    assert process.stderr.read() == ""


def test_they_end_when_their_parent_is_killed(crew):
    process, endpoint, workers = crew
    assert httpx.get(endpoint).status_code == 200
    process.kill()
    until(lambda: not any(alive(worker) for worker in workers))


def test_a_second_hub_does_not_share_the_port(crew, tmp_path, run_axk1):
    _, endpoint, _ = crew
    port = endpoint.rpartition(":")[2]
    result = run_axk1("hub", "serve", "--root", tmp_path / "other", "--port", port, "--workers", "3")
    assert result.returncode == 1
    assert result.stderr == f"axk1: error: port {port} on 127.0.0.1 is taken; choose another with --port\n"


def test_the_number_of_workers_has_limits(run_axk1, tmp_path):
    result = run_axk1("hub", "serve", "--root", tmp_path, "--workers", "65")
    assert result.returncode == 2
    assert result.stderr == "axk1: error: workers must be in [1, 64], got 65; see `axk1 hub serve --help`\n"
