"""JSON key by key."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.hub.server.browse.keys import KeyChange, key_changes
from tests.hub.server.browse.test_text import VALUES


def changes(before, after):
    return key_changes(json.dumps(before).encode(), json.dumps(after).encode())


def test_what_was_added_removed_and_changed_is_named_by_its_pointer():
    before = {"layers": 61, "rope": {"theta": 1e4, "type": "yarn"}, "ids": [1, 2], "a/b": 1}
    after = {"layers": 61, "rope": {"theta": 2e4}, "ids": [1, 3, 4], "a/b": 2, "new": {}}
    assert changes(before, after) == [
        KeyChange("/rope/theta", "10000.0", "20000.0"),
        KeyChange("/rope/type", '"yarn"', None),
        KeyChange("/ids/1", "2", "3"),
        KeyChange("/a~1b", "1", "2"),
        KeyChange("/ids/2", None, "4"),
        KeyChange("/new", None, "{}"),
    ]


def test_what_is_empty_is_a_value_too():
    assert changes({"a": []}, {"b": []}) == [KeyChange("/a", "[]", None), KeyChange("/b", None, "[]")]
    assert changes({}, {"": {}}) == [KeyChange("", "{}", None), KeyChange("/", None, "{}")]


@given(st.dictionaries(st.text("ab"), VALUES), st.dictionaries(st.text("ab"), VALUES))
def test_documents_have_changes_exactly_if_they_differ(before, after):
    same = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert (changes(before, after) == []) == same


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"a": 1, "a": 2}',
        b"[" * 100 + b"]" * 100,
        b"[" * 100_000 + b"]" * 100_000,
        json.dumps(list(range(30_000))).encode(),
        json.dumps({"k" * 100_000: list(range(1000))}).encode(),
        b"9" * 10_000,
    ],
    ids=range(8),
)
def test_what_cannot_be_compared_in_bounded_time_is_not(content):
    assert key_changes(content, b"{}") is None
