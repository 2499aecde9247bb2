"""What was read once need not be read again, as long as it is beyond doubt the same."""

import json
import os

import pytest

from modeling_axk1.errors import UsageError
from modeling_axk1.weights import state as state_module
from modeling_axk1.weights.facts import Facts, Wanted
from modeling_axk1.weights.state import State, default_state

FACTS = Facts("0" * 64, {"a": "1" * 64}, {"a": (2, 7)})
ALL = Wanted(sha256=True, tensors=True, values=True)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    return tmp_path / "checkpoint"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "state.json"


def saved(path, folder) -> State:
    state = State(path, folder)
    state.add("shard", [1, 2, 3, 4], FACTS)
    state.save()
    return State(path, folder)


def test_facts_come_back_for_the_same_file_and_the_same_questions(path, folder):
    state = saved(path, folder)
    assert state.facts("shard", [1, 2, 3, 4], ALL) == FACTS
    assert state.facts("shard", [1, 2, 3, 5], ALL) is None
    assert state.facts("other", [1, 2, 3, 4], ALL) is None


def test_facts_that_lack_what_is_wanted_are_not_used(path, folder):
    state = State(path, folder)
    state.add("shard", [1], Facts(sha256="0" * 64))
    assert state.facts("shard", [1], Wanted(sha256=True))
    assert state.facts("shard", [1], Wanted(sha256=True, values=True)) is None


def test_fresh_forgets(path, folder):
    saved(path, folder)
    assert State(path, folder, fresh=True).facts("shard", [1, 2, 3, 4], ALL) is None


def test_a_finished_run_leaves_no_state(path, folder):
    saved(path, folder).close(done=True)
    assert not path.exists()


def test_a_moment_of_work_is_not_worth_remembering(path, folder, monkeypatch):
    state = State(path, folder)
    state.add("shard", [1], FACTS)
    state.close(done=False)
    assert not path.exists()
    monkeypatch.setattr(state_module, "SAVE_SECONDS", 0)
    state.close(done=False)
    assert path.exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"version": 1}', '{"version": 2, "folder": "x", "files": {}}', "\xff", "[" * 10_000]
    + [json.dumps({"version": 1, "folder": "x", "files": {"a": value}}) for value in (1, [], {"identity": ["x"]})],
)
@pytest.mark.parametrize("fresh", [False, True])
def test_a_file_that_is_no_state_is_never_overwritten(path, folder, text, fresh):
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match="is not a state that this command wrote"):
        State(path, folder, fresh=fresh)
    assert path.read_text(encoding="latin-1") == text


def test_the_state_of_another_folder_is_refused(path, folder, tmp_path):
    saved(path, folder)
    with pytest.raises(UsageError, match=r"is the state of .*/checkpoint; use another file, or --fresh"):
        State(path, tmp_path / "other")
    State(path, tmp_path / "other", fresh=True)


def test_the_state_must_not_lie_in_the_checkpoint(folder):
    with pytest.raises(UsageError, match="must lie outside the checkpoint's folder"):
        State(folder / "state.json", folder)


def test_a_state_that_cannot_be_written_or_read_stops_nothing(folder, tmp_path):
    (tmp_path / "file").touch()
    state = State(tmp_path / "file" / "state.json", folder)
    state.add("shard", [1], FACTS)
    state.save()
    assert state.unsaved == "File exists"
    (tmp_path / "folder").mkdir()
    assert State(tmp_path / "folder", folder).unsaved == "Is a directory"


def test_each_folder_has_its_own_state_by_its_real_path(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "link").symlink_to(folder)
    assert default_state(folder).parent == tmp_path / "cache" / "axk1" / "weights"
    assert default_state(tmp_path / "link") == default_state(folder)
    assert default_state(tmp_path) != default_state(folder)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "link"]
