"""Bytes from a web server: those asked for, all of them and of one version, or one line that says what was wrong."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights import ranges
from modeling_axk1.weights.ranges import ATTEMPTS, RangeReader
from tests.weights import range_server as tricks
from tests.weights.range_server import range_server

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def server(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    (tmp_path / "empty").touch()
    with range_server(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(ranges, "FIRST_WAIT", 0.001)


def read(server, start: int, count: int, name: str = "file", reader: RangeReader | None = None) -> bytes:
    reader = reader or RangeReader("the server")
    buffer = bytearray(count)
    return bytes(buffer[: reader.read(server.address + name, name, start, buffer)])


@pytest.mark.parametrize(("start", "count"), [(0, 1), (0, 256_000), (1000, 200_000), (255_999, 1), (5, 0)])
def test_the_bytes_asked_for(server, start, count):
    assert read(server, start, count) == CONTENT[start : start + count]


def test_fewer_bytes_only_where_the_file_ends(server):
    assert read(server, 255_990, 100) == CONTENT[255_990:]
    assert read(server, 256_000, 100) == b""
    assert read(server, 0, 100, "empty") == b""


def test_what_is_not_there_is_a_missing_file(server):
    with pytest.raises(FileNotFoundError, match="there is no such file at the server"):
        read(server, 0, 1, "no-such-file")


def test_bytes_are_counted_as_they_come(server):
    reader = RangeReader("the server")
    read(server, 0, 1000, reader=reader)
    read(server, 5, 10, reader=reader)
    assert reader.bytes_read == 1010


def test_many_threads_read_over_a_few_connections(server):
    reader = RangeReader("the server")
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda at: read(server, at, 1000, reader=reader), range(0, 256_000, 1000)))
    assert b"".join(parts) == CONTENT
    assert len(server.asked) == 256
    assert server.connections < 16


@pytest.mark.parametrize("trick", [tricks.reset, tricks.unavailable, tricks.cut_short])
def test_what_fails_now_and_then_is_tried_again(server, trick):
    reader = answered(server)
    server.trick = tricks.once(trick, 2)
    assert read(server, 100, 100_000, reader=reader) == CONTENT[100:100_100]


def test_a_broken_body_goes_on_where_it_stopped(server):
    server.trick = tricks.once(tricks.cut_short)
    assert read(server, 0, 1000) == CONTENT[:1000]
    assert [request.range for request in server.asked] == ["bytes=0-999", "bytes=500-999"]


@pytest.mark.parametrize("trick", [tricks.reset, tricks.unavailable, tricks.cut_short])
def test_attempts_are_numbered(server, trick):
    reader = answered(server)
    server.trick = trick
    before = len(server.asked)
    with pytest.raises(WeightsError, match=f"file could not be read from the server, tried {ATTEMPTS} times: "):
        read(server, 0, 1000, reader=reader)
    assert len(server.asked) - before == ATTEMPTS


def test_a_server_that_failed_for_one_file_is_tried_once_for_the_next_until_it_answers(server):
    reader = answered(server)
    for trick, times in ((tricks.unavailable, ATTEMPTS), (tricks.unavailable, 1), (lambda handler: False, 1)):
        server.trick, before = trick, len(server.asked)
        if trick is tricks.unavailable:
            with pytest.raises(WeightsError, match="HTTP status 503"):
                read(server, 0, 10, reader=reader)
        else:
            read(server, 0, 10, reader=reader)
        assert len(server.asked) - before == times
    server.trick = tricks.once(tricks.unavailable, 2)
    assert read(server, 0, 10, reader=reader) == CONTENT[:10]


def answered(server) -> RangeReader:
    """A reader that has met the server once: at a first meeting it does not try for long."""
    reader = RangeReader("the server")
    read(server, 0, 1, reader=reader)
    return reader


def test_nobody_is_waited_for_who_never_answered():
    with pytest.raises(WeightsError, match=r"the server cannot be reached: .*[Cc]onnection refused"):
        RangeReader("the server").read("http://127.0.0.1:9/file", "file", 0, bytearray(1))


def test_the_wait_a_server_asks_for_is_kept_to_and_bounded(server, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    asks = iter(["7", "999999", "soon"])
    server.trick = tricks.once(lambda handler: handler.answer(429, {"Retry-After": next(asks)}) or True, 3)
    assert read(server, 0, 10) == CONTENT[:10]
    assert slept == [7.0, ranges.LONGEST_WAIT, ranges.FIRST_WAIT * 4]


REFUSED = {
    "ranges are ignored": (tricks.ignore_ranges, "must answer requests for a range of a file, and sends all of file"),
    "another range": (tricks.wrong_range, "must give 1,000 bytes of file from 0 on, and gives 'bytes 8-1007/256008'"),
    "a body without end": (tricks.too_much, "sent more of file than it was asked for"),
    "a head without end": (tricks.endless_head, f"tried {ATTEMPTS} times"),
    "gzip": (tricks.zipped, "must send file as it is, and encodes it: gzip"),
    "redirects without end": (tricks.redirect_for_ever, "redirects file more than 5 times"),
    "a redirect to a file of this machine": (tricks.redirect_to("file:///etc/"), "redirects file to what is no web"),
    "no range named": (lambda handler: handler.answer(206, {}, b"\0" * 1000) or True, "and gives ''"),
    "a size without number": (
        lambda handler: handler.answer(206, {"Content-Range": "bytes 0-999/*"}, b"\0" * 1000) or True,
        "and gives 'bytes 0-999/\\*'",
    ),
    "a size of thousands of digits": (
        lambda handler: handler.answer(206, {"Content-Range": f"bytes 0-999/{'9' * 9000}"}, b"\0" * 1000) or True,
        "and gives 'bytes 0-999/9",
    ),
    "no permission": (
        lambda handler: handler.answer(403, {"X-Error-Message": "not for you"}) or True,
        "refused file with HTTP status 403: not for you; what is private or gated needs a token in HF_TOKEN",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_server_must_not_do_is_named_in_one_line(server, case):
    reader = answered(server)
    server.trick, message = REFUSED[case]
    with pytest.raises(WeightsError, match=message) as caught:
        read(server, 0, 1000, reader=reader)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
    assert reader.bytes_read < 200_000


def test_a_small_file_may_come_as_a_whole(server):
    server.trick = lambda handler: handler.answer(200, {}, CONTENT[:100]) or True
    assert read(server, 0, 1000) == CONTENT[:100]


def test_a_server_that_trickles_is_not_waited_for(server, monkeypatch):
    monkeypatch.setattr(ranges, "GRACE", 0.1)
    reader = answered(server)
    server.trick = tricks.trickle
    with pytest.raises(WeightsError, match="the answer came at less than 16,384 bytes a second"):
        read(server, 0, 1000, reader=reader)


@pytest.mark.parametrize(("content", "message"), [(CONTENT[::-1], "changed while"), (b"short", "and now has 5$")])
def test_a_file_that_changes_between_two_reads_is_noticed(server, content, message):
    reader = answered(server)
    (server.folder / "file").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read(server, 0, 10, reader=reader)


def test_a_file_that_changes_while_a_body_is_taken_up_is_noticed(server):
    def break_off_and_change(handler) -> bool:
        tricks.cut_short(handler)
        (server.folder / "file").write_bytes(CONTENT[::-1])
        return True

    server.trick = tricks.once(break_off_and_change)
    with pytest.raises(WeightsError, match="file at the server changed while it was read"):
        read(server, 0, 1000)


class TestRedirects:
    TOKEN = "hf_secret"

    @pytest.fixture
    def other(self, server):
        """Another host with the same files (a port is enough to be another)."""
        with range_server(server.folder) as other:
            yield other

    def reader(self) -> RangeReader:
        return RangeReader("the server", {"authorization": f"Bearer {self.TOKEN}"})

    def test_the_token_never_goes_to_another_host(self, server, other):
        server.trick = tricks.redirect_to(other.address)
        reader = self.reader()
        for start in (0, 1000):
            assert read(server, start, 10, reader=reader) == CONTENT[start : start + 10]
        assert [request.headers.get("authorization") for request in server.asked] == [f"Bearer {self.TOKEN}"]
        assert [request.headers.get("authorization") for request in other.asked] == [None, None]

    def test_it_stays_with_a_redirect_on_the_same_host(self, server):
        server.trick = tricks.once(lambda handler: handler.answer(302, {"Location": "/file"}) or True)
        assert read(server, 0, 10, "old-name", reader=self.reader()) == CONTENT[:10]
        assert [request.headers.get("authorization") for request in server.asked] == [f"Bearer {self.TOKEN}"] * 2

    def test_an_address_that_no_longer_holds_is_asked_for_anew(self, server, other):
        server.trick = tricks.redirect_to(other.address)
        reader = self.reader()
        read(server, 0, 10, reader=reader)
        other.trick = tricks.once(lambda handler: handler.answer(403) or True)
        assert read(server, 10, 10, reader=reader) == CONTENT[10:20]
        assert (len(server.asked), len(other.asked)) == (2, 3)

    def test_it_is_never_printed(self, server):
        server.trick = lambda handler: handler.answer(401, {"X-Error-Message": f"no {self.TOKEN}\x07 here"}) or True
        with pytest.raises(WeightsError, match=r"HTTP status 401: no \*\*\*") as caught:
            read(server, 0, 10, reader=self.reader())
        assert self.TOKEN not in str(caught.value)
        assert str(caught.value).isprintable()


def test_offline_is_offline(server, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="offline mode is enabled"):
        read(server, 0, 1)
