"""Bytes as text, told honestly."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.hub.server.browse.text import (
    LONGEST_LINE,
    MOST_LINES,
    lines_of,
    pretty_json,
    read_text,
    shown_lines,
)

SAID = "모델 카드\nA.X K1 — ok\n"


@pytest.mark.parametrize(
    ("content", "encoding", "is_guess"),
    [
        (SAID.encode(), "UTF-8", False),
        (SAID.encode("utf-8-sig"), "UTF-8", False),
        (b"\xff\xfe" + SAID.encode("utf-16-le"), "UTF-16-LE", False),
        (b"\xfe\xff" + SAID.encode("utf-16-be"), "UTF-16-BE", False),
        (b"\xff\xfe\0\0" + SAID.encode("utf-32-le"), "UTF-32-LE", False),
        (SAID.replace("—", "-").encode("cp949"), "CP949", True),
        ("caf\xe9 cr\xe8me\n".encode("latin-1"), "Latin-1", True),
    ],
)
def test_an_encoding_is_known_or_said_to_be_a_guess(content, encoding, is_guess):
    read = read_text(content, len(content))
    assert (read.encoding, read.is_guess, read.whole) == (encoding, is_guess, True)
    assert read.text.replace("—", "-") in (SAID.replace("—", "-"), "caf\xe9 cr\xe8me\n")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0", b"text\0text", b"\x01\x02", b"\xff\xfe\0\xd8"])
def test_what_is_no_text_is_not_shown_as_one(content):
    assert read_text(content, len(content)) is None


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1), st.integers(1, 40))
def test_the_beginning_of_utf_8_is_utf_8_wherever_it_ends(text, cut):
    content = text.encode()
    read = read_text(content[:cut], len(content) + cut)
    assert read.encoding == "UTF-8"
    assert text.lstrip("\ufeff").startswith(read.text)
    assert not read.whole


@given(st.lists(st.text("ab \t\r", max_size=5), max_size=8), st.booleans())
def test_lines_are_those_of_an_editor(lines, ends):
    text = "\n".join(lines) + ("\n" if ends and lines else "")
    assert lines_of(text) == text.replace("\r\n", "\n").removesuffix("\n").split("\n") or not text


def test_long_lines_and_many_lines_are_cut_and_said_to_be():
    line = shown_lines("x" * (LONGEST_LINE + 5))[0]
    assert (len(line.text), line.cut) == (LONGEST_LINE, 5)
    assert len(shown_lines("x\n" * (MOST_LINES + 5))) == MOST_LINES


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class TestPrettyJson:
    @given(VALUES, st.sampled_from([None, 1, 4]), st.booleans())
    def test_it_only_moves_white_space(self, value, indent, ascii_only):
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
        assert pretty_json(text) == json.dumps(value, indent=2, ensure_ascii=ascii_only) + "\n"

    def test_numbers_and_keys_stand_as_they_are_written(self):
        text = '{"a":1.50e+05,"a":-0,"b":10000000000000000000000000001,"c":"\\u0041 : {"}'
        pretty = pretty_json(text)
        assert re.sub(r"\s", "", pretty) == re.sub(r"\s", "", text)

    @pytest.mark.parametrize(
        "text", ["{", "", "[1,]", "not json", "[" * 100_000 + "]" * 100_000, "[" * 200 + "]" * 200]
    )
    def test_what_is_none_or_too_deep_is_left_alone(self, text):
        assert pretty_json(text) is None
