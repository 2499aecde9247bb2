"""Which files differ between two revisions, held against two listings compared file by file."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import modeling_axk1.hub.server.browse.changed as changed
from modeling_axk1.hub.server.browse.changed import changes_between
from modeling_axk1.hub.server.commits import AddRegular, CommitRequest, Delete
from modeling_axk1.hub.server.repository import Repository

PATHS = ["a", "b", "d/a", "d/b", "d/e/a", "e"]
TREES = st.dictionaries(st.sampled_from(PATHS), st.sampled_from([b"", b"one", b"two", b"three"]))


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return Repository.create(tmp_path_factory.mktemp("repository"))


def put(repository: Repository, files: dict[str, bytes]) -> str:
    """Make main hold exactly `files`."""
    head = repository.resolve("main")
    gone = [
        Delete(entry.path, folder=False) for entry in repository.listing(head, recursive=True) if entry.path in PATHS
    ]
    new = [AddRegular(path, content) for path, content in files.items()]
    if gone:
        repository.commit("main", CommitRequest("gone", None, [*gone]), lambda _: None)
    return (
        repository.commit("main", CommitRequest("new", None, [*new]), lambda _: None)
        if new
        else repository.resolve("main")
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES, TREES)
def test_it_finds_what_comparing_every_file_finds(repository, before, after):
    changes = changes_between(repository, put(repository, before), put(repository, after))
    assert changes.complete
    gone, new = set(before) - set(after), set(after) - set(before)
    for change in changes.files:
        if change.kind == "moved":
            assert before[change.before.path] == after[change.path] != b""
            gone.discard(change.before.path)
            new.discard(change.path)
    assert {it.path for it in changes.of_kind("removed")} == gone
    assert {it.path for it in changes.of_kind("added")} == new
    both = {path for path in before.keys() & after.keys() if before[path] != after[path]}
    assert {it.path for it in changes.of_kind("changed")} == both
    # No bytes that went and came again are left as two changes.
    left = {before[path] for path in gone} & {after[path] for path in new}
    assert left <= {b""}
    assert changes.growth == sum(map(len, after.values())) - sum(map(len, before.values()))


def test_a_file_that_becomes_a_folder_is_removed_and_what_is_in_it_added(repository):
    before, after = put(repository, {"e": b"one"}), put(repository, {"d/e/a": b"two"})
    assert {(it.kind, it.path) for it in changes_between(repository, before, after).files} == {
        ("removed", "e"),
        ("added", "d/e/a"),
    }


def test_all_of_a_first_commit_is_added(repository):
    commit = put(repository, {"a": b"one", "d/a": b"two"})
    found = changes_between(repository, None, commit)
    assert {it.path for it in found.files if it.kind == "added"} == {".gitattributes", "a", "d/a"}


def test_more_than_can_be_shown_are_not_looked_at(repository, monkeypatch):
    before, after = put(repository, {}), put(repository, dict.fromkeys(PATHS, b"one"))
    monkeypatch.setattr(changed, "MOST_CHANGES", 3)
    found = changes_between(repository, before, after)
    assert len(found.files) == 3
    assert not found.complete
