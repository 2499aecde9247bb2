"""The log of requests: one line each, nothing secret, nothing that a client could forge."""

import json
import re
import threading
from contextlib import contextmanager

import httpx
import pytest
from huggingface_hub import HfApi

from modeling_axk1.hub.server import run
from modeling_axk1.hub.server.accounts import Accounts
from modeling_axk1.hub.server.log import RequestLog


@contextmanager
def hub(root, **options):
    """The hub in a thread of the test; yields its endpoint."""
    started, stop, said = threading.Event(), threading.Event(), []

    def announce(endpoint):
        said.append(endpoint)
        started.set()

    thread = threading.Thread(target=run, args=(root, "127.0.0.1", 0, announce, stop.wait), kwargs=options)
    thread.start()
    assert started.wait(10)
    try:
        yield said[0]
    finally:
        stop.set()
        thread.join(20)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "hub.log"


def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


class TestLines:
    def test_each_request_is_one_line(self, tmp_path, log):
        with hub(tmp_path / "hub", log=str(log)) as endpoint:
            api = HfApi(endpoint=endpoint, token=False)
            api.create_repo("team/model")
            api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="team/model")
            content = httpx.get(f"{endpoint}/team/model/resolve/main/config.json").content
        last = lines(log)[-1]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", last.pop("time"))
        assert last.pop("milliseconds") > 0
        assert re.fullmatch("[0-9a-f]{16}", last.pop("id"))
        assert last == {
            "who": "local",
            "method": "GET",
            "route": "/{namespace}/{name}/resolve/{revision}/{path}",
            "repository": "team/model",
            "status": 200,
            "bytes_in": 0,
            "bytes_out": len(content),
            "error": None,
        }

    def test_an_upload_s_bytes_are_counted(self, tmp_path, log):
        with hub(tmp_path / "hub", log=str(log)) as endpoint:
            api = HfApi(endpoint=endpoint, token=False)
            api.create_repo("team/model")
            api.upload_file(path_or_fileobj=b"x" * 12345, path_in_repo="a.bin", repo_id="team/model")
        (line,) = [line for line in lines(log) if line["method"] == "PUT"]
        assert (line["status"], line["bytes_in"]) == (200, 12345)

    def test_the_answer_has_the_number_of_the_line(self, tmp_path, log):
        with hub(tmp_path / "hub", log=str(log)) as endpoint:
            answer = httpx.get(f"{endpoint}/api/models/team/none")
            httpx.get(f"{endpoint}/api/models/team/none", headers={"X-Request-Id": "from-the-proxy.1"})
            forged = httpx.get(f"{endpoint}/api/models/team/none", headers={"X-Request-Id": "a b"})
        assert answer.status_code == 404
        ids = [line["id"] for line in lines(log)]
        assert ids == [answer.headers["x-request-id"], "from-the-proxy.1", forged.headers["x-request-id"]]
        assert forged.headers["x-request-id"] != "a b"

    def test_text_for_people(self, tmp_path, log):
        with hub(tmp_path / "hub", log=str(log), log_format="text") as endpoint:
            httpx.get(f"{endpoint}/api/models/team/none")
        assert re.fullmatch(
            r"\S+Z id=[0-9a-f]{16} who=local method=GET route=/api/models/{namespace}/{name} repository=team/none "
            r"status=404 bytes_in=0 bytes_out=\d+ milliseconds=[\d.]+\n",
            log.read_text(),
        )


class TestSecrets:
    def test_tokens_and_tickets_are_never_written(self, tmp_path, log):
        token = Accounts(tmp_path / "hub").add("minji", "write")[1]
        with hub(tmp_path / "hub", policy="tokens", log=str(log)) as endpoint:
            api = HfApi(endpoint=endpoint, token=token)
            api.create_repo("minji/model", private=True)
            api.upload_file(path_or_fileobj=b"x" * 100, path_in_repo="a.bin", repo_id="minji/model")
            httpx.get(f"{endpoint}/api/models?search={token}")
            httpx.get(f"{endpoint}/api/models", headers={"Authorization": f"Bearer {token}x"})
            httpx.get(f"{endpoint}/{token}")
        text = log.read_text()
        assert {line["who"] for line in lines(log)} >= {"minji"}
        assert token[:20] not in text
        assert "ticket" not in text
        assert "expires" not in text
        assert "signature" not in text


class TestInjection:
    @pytest.mark.parametrize("form", ["json", "text"])
    def test_nothing_a_client_sends_begins_another_line(self, tmp_path, log, form):
        evil = 'x%0a%0d%1b[31m{"status":200}%e2%80%a8%00"\\ status=200'
        with hub(tmp_path / "hub", log=str(log), log_format=form) as endpoint:
            httpx.get(f"{endpoint}/api/models/{evil}/{evil}")
        (line,) = log.read_bytes().splitlines()
        assert line.isascii()
        assert b"\x1b" not in line
        assert line.decode().isprintable()
        assert line.decode().count(" status=") == (1 + 2 if form == "text" else line.decode().count(" status="))

    def test_text_values_with_blanks_are_quoted(self, tmp_path, log):
        RequestLog(str(log), "text").write(repository="a status=200", status=404)
        assert log.read_text().split(" ", 1)[1] == 'repository="a status=200" status=404\n'


class TestFile:
    def test_a_file_that_logrotate_moved_is_opened_anew(self, log):
        out = RequestLog(str(log))
        out.write(number=1)
        log.rename(log.with_suffix(".1"))
        out.write(number=2)
        assert [line["number"] for line in lines(log)] == [2]

    def test_several_processes_never_mix_their_lines(self, tmp_path, log):
        first, second = RequestLog(str(log)), RequestLog(str(log))
        text = "x" * 3000
        threads = [
            threading.Thread(target=lambda out=out: [out.write(text=text) for _ in range(300)])
            for out in (first, second)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [line["text"] for line in lines(log)] == [text] * 600
