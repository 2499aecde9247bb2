"""Where patterns are tried is told by a table; what they find is what they find when tried everywhere."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_axk1.data.personal import addresses, numbers
from modeling_axk1.data.personal.scan import (
    Beginnings,
    bracketed_at,
    capitals_and_digits,
    colons,
    digit_runs,
    dotted,
    scan,
)
from modeling_axk1.data.steps.pii import find
from tests.data.planted_pii import planted

DIGITS = "0-9０-９"
PIECES = st.sampled_from(
    [line.value for line in planted(1, 6) if line.kind]
    + [
        *"0179.:-/()<[{@+XZ #\n",
        "at",
        " AT ",
        "12345",
        "2024-01-02",
        "1.2.3.4",
        "203.0.44.98",
        "2a02:12::5",
        "GB82 WEST",
    ]
    + [*"가ー１（）＋–\xa0\u3000𠮷", "8367", "Tel. ", "0３-１234-５678", "DNI"]
)
TEXT = st.lists(PIECES, max_size=25).map("".join)


@given(TEXT, st.integers(1, 9))
def test_runs_of_digits_are_those_of_the_pattern(text, least):
    runs = (match.span() for match in re.finditer(rf"[{DIGITS} ./()（）\u3000\xa0‐‑‒–—−－ー-]+", text))
    enough = [(start, end) for start, end in runs if len(re.findall(f"[{DIGITS}]", text[start:end])) >= least]
    assert digit_runs(scan(text), least) == enough


@pytest.mark.parametrize(
    ("places", "pattern"),
    [
        (capitals_and_digits, f"(?=[A-Z]{{2}}[{DIGITS}]{{2}})"),
        (colons, f"(?<=[{DIGITS}](?s:...)):"),
        (bracketed_at, r"(?s)(?=[(\[<{].?[aA][tT])"),
        (dotted, f"(?<=[{DIGITS}])\\.(?=[{DIGITS}])"),
    ],
)
@given(TEXT)
def test_places_are_those_of_the_pattern(places, pattern, text):
    expected = [match.start() for match in re.finditer(pattern, text)]
    if places is dotted:
        expected = [one for one, third in zip(expected, expected[2:], strict=False) if third - one <= 8]
    assert places(scan(text)) == expected


ANY_CASE = {"a": False, "bc": False, "A-b_c": False, "ack": True, "b_ca": True, "b_cb": True, "K": False}
BEGINNINGS = Beginnings(list(ANY_CASE), lower=[word for word, any_case in ANY_CASE.items() if any_case])


@given(st.text() | st.text("aAbBcC-_kK\u212aİ𠮷"))
def test_beginnings_of_words_are_those_of_the_text(text):
    found = [(place, list(ANY_CASE)[number]) for place, number in BEGINNINGS.find(scan(text).codes)]
    assert found == [
        (place, word)
        for place in range(len(text))
        for word, any_case in ANY_CASE.items()
        if "".join(map(str.lower, text[place:]) if any_case else text[place:]).startswith(word[:4])
    ]


@settings(max_examples=300, deadline=None)
@given(TEXT, st.sampled_from(["ko", "ja", "zh", "es", "en", "code"]))
def test_nothing_is_missed_that_is_found_by_trying_everywhere(text, language):
    found = find(text, language)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(numbers, "digit_runs", lambda scanned, least: [(0, len(scanned.marks))])
        patched.setattr(numbers, "capitals_and_digits", lambda scanned: range(len(scanned.marks)))
        patched.setattr(addresses, "bracketed_at", lambda scanned: range(len(scanned.marks)))
        patched.setattr(addresses, "colons", lambda scanned: range(4, len(scanned.marks)))
        patched.setattr(addresses, "dotted", lambda scanned: range(1, len(scanned.marks)))
        assert find(text, language) == found
