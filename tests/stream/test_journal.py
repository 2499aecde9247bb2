"""The journal says what was noted, whatever a kill or a full disk left behind it."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modeling_axk1.stream.journal import Entry, Journal

ENTRIES = st.lists(
    st.builds(
        Entry,
        st.booleans(),
        st.sampled_from(["model.safetensors", "모델 1.safetensors"]),
        st.integers(0, 2**60),
        st.integers(0, 2**60),
    ),
    max_size=6,
)


@given(before=ENTRIES, torn=st.integers(1, 200), after=ENTRIES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_a_torn_line_is_forgotten_and_spoils_no_other(tmp_path, before, torn, after):
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    journal = Journal(path)
    for entry in before:
        journal.note(entry)
    assert list(journal.entries()) == before
    if before:
        line = before[-1].line().encode()
        cut = min(torn, len(line))
        os.truncate(path, path.stat().st_size - cut)
        if cut > 1:  # more than the newline behind it
            before = before[:-1]
    for entry in after:
        journal.note(entry)
    journal.close()
    again = Journal(path)
    assert list(again.entries()) == [*before, *after]
    again.rewrite(after)
    again.note(Entry(True, "x", 1, 2))
    assert list(again.entries()) == [*after, Entry(True, "x", 1, 2)]
    again.close()


def test_a_line_that_did_not_fit_on_the_disk_is_an_error(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal")
    monkeypatch.setattr(os, "write", lambda descriptor, raw, real=os.write: real(descriptor, raw[:10]))
    with pytest.raises(OSError, match="No space left"):
        journal.note(Entry(True, "x", 1, 2))
    monkeypatch.undo()
    journal.note(Entry(True, "y", 3, 4))
    assert list(journal.entries()) == [Entry(True, "y", 3, 4)]
