"""Remote: calls that fail are made again, within bounds, and a token is never seen anywhere."""

import json
import logging
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modeling_axk1.errors import HubError
from modeling_axk1.hub import remote as module
from modeling_axk1.hub.publish import publish
from modeling_axk1.hub.remote import Remote
from modeling_axk1.hub.repo import Repo
from modeling_axk1.hub.verify import verify
from tests.hub.conftest import files_of

SECRET = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"
REPO = Repo("model", "team/nano")


class Faulty:
    """A server that answers as a list of (status, headers, body) says, then with 404; it remembers what it was sent."""

    def __init__(self, answers: list[tuple[int, dict[str, str], str]]) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                faulty.asked.append((self.command, self.path, dict(self.headers)))
                status, headers, body = answers.pop(0) if answers else (404, {}, "")
                if status == 0:
                    self.connection.close()  # as a killed hub does
                    return
                body = body.replace("{token}", self.headers.get("authorization", ""))
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value.replace("{token}", self.headers.get("authorization", "")))
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def faulty() -> Iterator:
    made = []

    def make(*answers: tuple[int, dict[str, str], str]) -> Faulty:
        made.append(Faulty(list(answers)))
        return made[-1]

    yield make
    for server in made:
        server.server.shutdown()
        server.server.server_close()


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """How long was waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    return waited


REFS = (200, {}, json.dumps({"branches": [{"name": "main", "targetCommit": "a" * 40}], "tags": []}))


class TestRetries:
    @pytest.mark.parametrize("fault", [(503, {}, ""), (502, {}, ""), (429, {}, ""), (500, {}, ""), (0, {}, "")])
    def test_what_passes_is_waited_for(self, faulty, fault, waits):
        hub = faulty(REFS, fault, fault, REFS)
        remote = Remote(hub.endpoint)
        assert remote.references(REPO) == remote.references(REPO) == ({"main": "a" * 40}, {})
        assert waits == [module.FIRST_WAIT, 2 * module.FIRST_WAIT]

    def test_not_for_ever(self, faulty, waits):
        hub = faulty(*[(503, {}, "")] * 50)
        with pytest.raises(HubError, match=r"failed at team/nano, tried 8 times: HTTP status 503"):
            Remote(hub.endpoint).references(REPO)
        assert len(hub.asked) == module.ATTEMPTS
        assert sum(waits) < 60

    def test_a_hub_says_when_to_come_back_but_not_next_year(self, faulty, waits):
        hub = faulty((429, {"retry-after": "7"}, ""), (429, {"retry-after": "99999999"}, ""), REFS)
        Remote(hub.endpoint).references(REPO)
        assert waits == [7, module.LONGEST_WAIT]

    @pytest.mark.parametrize("status", [400, 401, 403, 507])
    def test_a_refusal_is_final(self, faulty, status, waits):
        hub = faulty((status, {"x-error-message": "no room"}, ""))
        with pytest.raises(HubError, match="refused team/nano: no room"):
            Remote(hub.endpoint).references(REPO)
        assert waits == []

    def test_nobody_there_is_said_soon(self, waits):
        with pytest.raises(HubError, match=r"cannot reach the hub at http://127\.0\.0\.1:9: "):
            Remote("http://127.0.0.1:9").references(REPO)
        assert len(waits) == 1

    def test_a_commit_whose_answer_was_lost_is_not_made_twice(self, hub, folder, monkeypatch):
        """The hub has it, the client never heard: asked again, the hub says that its branch has moved."""
        from huggingface_hub.errors import HTTPError
        from huggingface_hub.utils import get_session

        session, lost = get_session(), []
        send = session.request

        def loses(method, url, **options):
            answer = send(method, url, **options)
            if "/commit/" in url and not lost:
                lost.append(url)
                raise HTTPError("the line was cut")
            return answer

        monkeypatch.setattr(session, "request", loses)
        report = publish(folder, "team/lost-answer", endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        assert lost
        assert len(hub.api.list_repo_commits("team/lost-answer")) == 2
        assert hub.api.list_repo_refs("team/lost-answer").tags[0].target_commit == report.commit

    def test_large_files_are_sent_again_when_the_line_is_cut(self, hub, folder, monkeypatch, tmp_path):
        from huggingface_hub.errors import HTTPError
        from huggingface_hub.utils import get_session

        session, cut = get_session(), []
        send = session.request

        def cuts(method, url, **options):
            if method == "PUT" and url not in cut:
                cut.append(url)
                next(options["content"])  # some of it went
                raise HTTPError("the line was cut")
            return send(method, url, **options)

        monkeypatch.setattr(session, "request", cuts)
        (folder / "model.safetensors").write_bytes(bytes(range(255)) * 8_000)  # what this hub does not hold yet
        (folder / "tokenizer.json").write_bytes(b'{"y": 1}' * 1_400_000)
        publish(folder, "team/cut-line", endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        assert len(cut) == 2
        there = hub.api.snapshot_download("team/cut-line", revision="v0.1", cache_dir=tmp_path / "cache")
        assert files_of(Path(there)) == files_of(folder)


ECHO = {"x-error-message": "what is {token}?"}


class TestToken:
    """The worst hub repeats what it was sent, in every place that a client reads."""

    @pytest.mark.parametrize(
        "answer",
        [
            (400, ECHO, ""),
            (401, {}, '{"error": "bad {token}"}'),
            (403, {"x-error-code": "{token}", **ECHO}, "{token}"),
            (501, ECHO, '{"error": "{token}"}'),
            (200, {}, "not JSON: {token}"),
            (200, {}, '{"sha": "{token}"}'),
        ],
    )
    @pytest.mark.parametrize("call", ["publish", "verify"])
    def test_it_is_in_no_message_no_traceback_and_no_log(
        self, faulty, folder, answer, call, caplog, capfd, monkeypatch
    ):
        monkeypatch.setenv("HF_DEBUG", "1")
        caplog.set_level(logging.DEBUG)
        # Told to, the transport library logs every header that it receives; what it sends it does not log.
        caplog.set_level(logging.INFO, logger="httpcore2")
        hub = faulty(*[answer] * 40)
        try:
            if call == "publish":
                publish(folder, "team/nano", endpoint=hub.endpoint, repo_type="model", tag="v1", token=SECRET)
            else:
                verify("team/nano", endpoint=hub.endpoint, revision="v1", token=SECRET)
        except HubError as error:
            seen = "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())
            chain = []
            link: BaseException | None = error
            while link is not None:
                chain.append(repr(link))
                link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
        else:
            raise AssertionError("a faulty hub must not pass")
        assert any(headers.get("authorization") == f"Bearer {SECRET}" for _, _, headers in hub.asked), "it was sent"
        written = capfd.readouterr()
        for text in (seen, *chain, caplog.text, written.out, written.err, repr(Remote(hub.endpoint, SECRET))):
            assert SECRET not in text

    def test_it_is_no_option_and_in_no_report(self, hub, folder, run_axk1):
        arguments = ["hub", "publish", folder, "--repo", "team/secret", "--to", hub.endpoint, "--tag", "v1", "--json"]
        result = run_axk1(*arguments, env={"HF_TOKEN": SECRET, "HF_DEBUG": "1"})
        assert result.returncode == 0, result.stderr
        assert SECRET not in result.stdout + result.stderr
        assert "token" not in run_axk1("hub", "publish", "--help").stdout.lower().replace("hf_token", "").replace(
            "asks for a token", ""
        )

    def test_it_goes_to_no_other_host(self, faulty):
        """An address for uploads may lie on another machine: an object store."""
        store, hub = faulty((200, {}, "")), faulty()
        Remote(hub.endpoint, SECRET).put(f"{store.endpoint}/bucket/x?signature=1", {}, lambda: iter([b"x"]), 1)
        assert store.asked[0][:2] == ("PUT", "/bucket/x?signature=1")
        assert SECRET not in json.dumps(store.asked)

    def test_without_one_none_is_sent(self, faulty, monkeypatch, tmp_path):
        monkeypatch.setenv("HF_TOKEN", SECRET)
        hub = faulty(REFS)
        Remote(hub.endpoint).references(REPO)
        assert SECRET not in json.dumps(hub.asked)


class TestOtherServers:
    @pytest.mark.parametrize(
        "body", ["", "<html>", "[]", "{}", '{"branches": 7}', '{"branches": [{}], "tags": []}', "null"]
    )
    def test_what_answers_as_no_hub_does_is_one_line(self, faulty, body):
        with pytest.raises(HubError, match=r"is it one\?"):
            Remote(faulty((200, {}, body)).endpoint).references(REPO)

    @pytest.mark.parametrize(
        "file",
        [{}, {"path": "x", "size": "1", "oid": "a"}, {"path": "x", "size": -1, "oid": "a"}, {"path": "x", "size": 1},
         {"path": "x", "size": 1, "oid": "a", "lfs": 7}, {"path": "x", "size": 1, "oid": "a", "lfs": {"oid": 7}}],
    )  # fmt: skip
    def test_a_listing_that_is_none(self, faulty, file):
        with pytest.raises(HubError, match="must answer with files as a hub does"):
            Remote(faulty((200, {}, json.dumps([{"type": "file", **file}]))).endpoint).files(REPO, "a" * 40)

    @pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/../../b", "a\\b", "a\nb"])
    def test_a_listing_that_leads_out(self, faulty, path):
        from modeling_axk1.hub.remote_source import RemoteSource

        hub = faulty((200, {}, json.dumps([{"type": "file", "path": path, "size": 1, "oid": "a"}])))
        with pytest.raises(HubError, match=r"stay inside|printable"):
            RemoteSource(Remote(hub.endpoint), REPO, "a" * 40)


class TestParts:
    """A hub that wants a large file in parts."""

    def test_every_part_goes_to_its_address_and_the_whole_is_proven(self, faulty, tmp_path):
        from modeling_axk1.hub.sources import FolderSource
        from modeling_axk1.hub.upload import upload

        store = faulty(*[(200, {"etag": f'"{number}"'}, "") for number in range(4)])
        content = bytes(range(256)) * 10
        (tmp_path / "x.bin").write_bytes(content)
        source = FolderSource(tmp_path)
        digest = source.digest("x.bin")
        header = {"chunk_size": "1000", **{str(n): f"{store.endpoint}/part/{n}" for n in (1, 2, 3)}}
        hub = faulty(
            (200, {}, json.dumps({"objects": [{"oid": digest, "size": len(content), "actions": {
                "upload": {"href": f"{store.endpoint}/complete", "header": header}}}]})),
        )  # fmt: skip
        moved: list[int] = []
        upload(
            Remote(hub.endpoint),
            REPO,
            source,
            {"x.bin": digest},
            "lfs",
            lambda amount=1, note=None: moved.append(amount),
        )
        assert [path for _, path, _ in store.asked] == ["/part/1", "/part/2", "/part/3", "/complete"]
        assert [headers["content-length"] for _, _, headers in store.asked[:3]] == ["1000", "1000", "560"]
        assert sum(moved) == len(content)
