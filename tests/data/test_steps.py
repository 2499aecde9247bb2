import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.data.document import Document, Dropped, run_steps
from modeling_axk1.data.steps.length import length
from modeling_axk1.data.steps.licence import licence
from modeling_axk1.data.steps.normalise import normalise, normalise_text

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def make(text: str, license: str = "Apache-2.0") -> Document:
    return Document(text, "en", "source", "1", "file", license)


def reason(outcome: Document | Dropped) -> str | None:
    return outcome.reason if isinstance(outcome, Dropped) else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("한글", "한글"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\x00b\x07c\ufeff", "abc"),
        ("tab\tstays", "tab\tstays"),
        ("a  \nb\t\n", "a\nb"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("  indented stays", "  indented stays"),
        ("e\x00\u0301", "é"),
    ],
)
def test_normalise_brings_text_to_one_form(text, expected):
    assert normalise_text(text) == expected


@given(ANY_TEXT)
def test_normalise_twice_changes_nothing(text):
    once = normalise_text(text)
    assert normalise_text(once) == once
    assert unicodedata.is_normalized("NFC", once)


def slowly_normalised(text: str) -> str:
    """The definition, by patterns alone."""
    text = re.sub("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]", "\n", text)
    text = re.sub("[\x00-\x08\x0e-\x1b\x1f\x7f-\x9f\ufeff]", "", text)
    text = "\n".join(line.rstrip() for line in unicodedata.normalize("NFC", text).split("\n"))
    return re.sub("\n{3,}", "\n\n", text).strip("\n")


@given(ANY_TEXT | st.text("a\n \r\v\x1c\x1f\x7f\x80\x85\xa0\u2028\ufeff\uffff\U00010000e\u0301"))
def test_normalise_does_what_the_patterns_say(text):
    assert normalise_text(text) == slowly_normalised(text)


@given(ANY_TEXT)
def test_normalise_removes_nothing_that_can_be_seen(text):
    def visible(of: str) -> str:
        decomposed = unicodedata.normalize("NFD", of)
        return "".join(c for c in decomposed if not (c.isspace() or unicodedata.category(c) == "Cc" or c == "\ufeff"))

    assert visible(normalise_text(text)) == visible(text)


def test_length_drops_short_texts_and_long_lines_and_says_which():
    step = length(min_bytes=6, max_line_bytes=8)
    assert reason(run_steps([step], make("한"))) == "shorter than 6 bytes"
    assert reason(run_steps([step], make("한글"))) is None
    assert reason(run_steps([step], make("short\n" + "x" * 9))) == "a line longer than 8 bytes"


def test_licence_gate_tells_forbidden_from_unknown():
    gate = licence({"Apache-2.0": "apache-2.0"}, {"CC-BY-NC-4.0": "not for commercial use"})
    assert reason(run_steps([gate], make("x"))) is None
    assert (
        reason(run_steps([gate], make("x", "CC-BY-NC-4.0")))
        == "licence forbidden: CC-BY-NC-4.0 (not for commercial use)"
    )
    assert reason(run_steps([gate], make("x", "GPL-9"))) == "licence unknown: GPL-9"
    assert reason(run_steps([gate], make("x", ""))) == "licence unknown: none stated"


def test_a_document_names_the_steps_that_changed_it_and_only_those():
    steps = [normalise(), length(1, 100)]
    changed = run_steps(steps, make("a \n"))
    untouched = run_steps(steps, make("a"))
    assert isinstance(changed, Document)
    assert isinstance(untouched, Document)
    assert changed.steps == ("normalise",)
    assert untouched.steps == ()


def test_a_dropped_document_is_kept_as_it_was_when_it_was_dropped():
    outcome = run_steps([normalise(), length(50, 100)], make("a \n"))
    assert isinstance(outcome, Dropped)
    assert (outcome.step, outcome.document.text) == ("length", "a")
