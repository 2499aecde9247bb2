"""Ranges that overflow, repeat, run backwards, or are no ranges."""

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("unharmed")

CONTENT = {"small.txt": b"0123456789" * 100, "large.bin": bytes(range(250)) * 4}
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(answer, content: bytes) -> None:
    """Whatever was asked: the whole, the part that the answer says it is, or a refusal."""
    assert answer.status in {200, 206, 400, 416}, answer
    if answer.status == 200:
        assert answer.body == content
    if answer.status == 206 and (
        span := re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("content-range", ""))
    ):
        start, end, size = map(int, span.groups())
        assert size == len(content)
        assert answer.body == content[start : end + 1]
        assert start <= end < size


@pytest.mark.parametrize("file", CONTENT)
@pytest.mark.parametrize(
    "value",
    ["bytes=-0", "bytes=--5", "bytes=5-2", "bytes=-", "bytes=", "bytes", "=", "bytes=a-b", "bytes=1", "bytes=0x1-0x5",
     "bytes=+1-5", "bytes=1_0-2_0", "bytes= 1 - 5 ", "bytes=1-5;x", "bytes=1e1-2e1", "items=0-5", "BYTES=0-5",
     "bytes=999-", "bytes=1000-", "bytes=0-18446744073709551615", "bytes=18446744073709551616-", "bytes=-99999999999",
     "bytes=" + "9" * 4400 + "-", "bytes=0-" + "9" * 4400, "bytes=-" + "9" * 4400, "bytes=0-1,2-3", "bytes=0-0,0-0",
     "bytes=,", "bytes=0-1,", "bytes=5-4,0-1", "bytes=0-\xb2", "bytes=\xb9-5", "bytes=0-1\t", "none"],
)  # fmt: skip
def test_a_strange_range(target, victim, file, value):
    for method in ("GET", "HEAD"):
        answer = target.get(f"/{victim}/resolve/main/{file}", method, b"Range: " + value.encode("latin-1") + b"\r\n")
        if method == "GET":
            check(answer, CONTENT[file])
        else:
            assert answer.status in {200, 206, 400, 416}


@pytest.mark.parametrize("file", CONTENT)
@pytest.mark.parametrize("spans", ["0-0", "0-", "-1"])
def test_ten_thousand_ranges_do_not_multiply_the_answer(target, victim, file, spans):
    """An answer is no longer than the file and a few headers for each range that fits into a request."""
    value = ",".join([spans] * 10_000).encode()
    before = target.memory_mib()
    answer = target.get(f"/{victim}/resolve/main/{file}", "GET", b"Range: bytes=" + value + b"\r\n")
    assert answer.status in {200, 206, 400, 416, 431}
    assert len(answer.body) < 10 * len(CONTENT[file])
    assert target.memory_mib() < before + 50


@pytest.mark.parametrize("file", CONTENT)
def test_two_range_headers(target, victim, file):
    answer = target.get(f"/{victim}/resolve/main/{file}", "GET", b"Range: bytes=0-1\r\nRange: bytes=5-6\r\n")
    check(answer, CONTENT[file])


@pytest.mark.parametrize("file", CONTENT)
@QUIET
@given(
    spans=st.lists(
        st.tuples(st.integers(0, 1200) | st.none(), st.integers(0, 1200) | st.none()), min_size=1, max_size=1
    )
)
@example(spans=[(0, 999)])
@example(spans=[(999, None)])
@example(spans=[(None, 1000)])
def test_any_range_is_answered_rightly(target, victim, file, spans):
    value = ",".join("-".join("" if end is None else str(end) for end in span) for span in spans)
    check(
        target.get(f"/{victim}/resolve/main/{file}", "GET", b"Range: bytes=" + value.encode() + b"\r\n"), CONTENT[file]
    )


@pytest.mark.parametrize("file", CONTENT)
@QUIET
@given(value=st.text(alphabet="bytes=0123456789-, \t;*/x\xe9", max_size=40))
def test_any_text_as_a_range_is_answered(target, victim, file, value):
    header = b"Range: " + value.strip().encode("latin-1") + b"\r\n"
    check(target.get(f"/{victim}/resolve/main/{file}", "GET", header), CONTENT[file])
