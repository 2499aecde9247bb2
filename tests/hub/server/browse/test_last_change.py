"""Which commit changed a name last, held against the hub's own slow way."""

import random

import pytest

import modeling_axk1.hub.server.browse.last_change as last_change
from modeling_axk1.hub.server.browse.last_change import history_of, last_changes
from modeling_axk1.hub.server.commits import AddRegular, CommitRequest, Delete
from modeling_axk1.hub.server.repository import Repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Forty commits that put and remove files in folders."""
    made = Repository.create(tmp_path_factory.mktemp("repository"))
    dice = random.Random(7)
    there: set[str] = set()
    for number in range(40):
        path = f"{dice.choice(['', 'd/', 'd/e/'])}{dice.choice('abc')}"
        gone = path in there and dice.random() < 0.3
        operation = Delete(path, folder=False) if gone else AddRegular(path, b"%d" % number)
        made.commit("main", CommitRequest(f"commit {number}", None, [operation]), lambda _: None)
        (there.discard if gone else there.add)(path)
    return made


def in_folder(repository, head, folder):
    return {entry.path.rpartition("/")[2]: entry for entry in repository.listing(head, folder)}


@pytest.mark.parametrize("folder", ["", "d", "d/e"])
def test_it_is_the_commit_that_looking_up_every_path_finds(repository, folder):
    head = repository.resolve("main")
    entries = in_folder(repository, head, folder)
    slow = repository.last_changes(head, list(entries.values()))
    found = last_changes(repository, head, folder, tuple(entries))
    assert entries
    assert {name: found[name].oid for name in entries} == {name: slow[it.path].oid for name, it in entries.items()}


@pytest.mark.parametrize("path", ["a", "d", "d/a", "d/e/b"])
def test_the_history_of_a_path_is_the_commits_at_which_it_is_another(repository, path):
    commits = [entry.oid for entry in repository.history(repository.resolve("main"))]

    def there(commit):
        folder, _, name = path.rpartition("/")
        try:
            return in_folder(repository, commit, folder).get(name)
        except Exception:  # no such folder then
            return None

    states = [*map(there, commits), None]
    slow = [oid for oid, now, before in zip(commits, states, states[1:], strict=False) if now != before]
    found, complete = history_of(repository, commits[0], path)
    assert complete
    assert [entry.oid for entry in found] == slow


def test_a_long_past_is_looked_through_only_so_far(repository, monkeypatch):
    monkeypatch.setattr(last_change, "_MOST_NAMES", 20)
    head = repository.resolve("main")
    names = (*in_folder(repository, head, ""), "asked for another page")
    found = last_changes(repository, head, "", names)
    assert ".gitattributes" not in found  # of the first commit
    assert not history_of(repository, head, ".gitattributes")[1]
