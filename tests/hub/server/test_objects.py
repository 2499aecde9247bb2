"""What is remembered of git objects: true, bounded, and never another repository's."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.hub.server.cache import Cache
from modeling_axk1.hub.server.commits import AddRegular, CommitRequest
from modeling_axk1.hub.server.objects import NotRememberedError, only_remembered
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import File, Repository
from tests.hub.conftest import git


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "a.git").mkdir()
    return Repository.create(tmp_path / "a.git")


def put(repository, path, content=b"x"):
    return repository.commit("main", CommitRequest("m", None, [AddRegular(path, content)]), lambda _: None)


class TestCache:
    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 40))))
    def test_it_gives_what_would_be_made_and_keeps_to_its_limit(self, wanted):
        cache = Cache(100)
        for key, cost in wanted:
            assert cache.get((key, cost), lambda key=key: key, lambda _, cost=cost: cost) == key
            costs = [kept_cost for _, kept_cost in cache._kept.values()]
            assert sum(costs) == cache._cost <= 100
            assert all(one <= 100 // 8 for one in costs)

    def test_the_one_not_used_for_longest_goes_first(self):
        cache, made = Cache(80), []
        for key in (1, 2, 3, 4, 5, 6, 7, 8, 1, 9, 1, 2):
            cache.get(key, lambda key=key: made.append(key) or key, lambda _: 10)
        assert made == [1, 2, 3, 4, 5, 6, 7, 8, 9, 2]

    def test_a_failure_is_not_kept(self):
        cache = Cache(100)
        with pytest.raises(ZeroDivisionError):
            cache.get("key", lambda: 1 // 0, lambda _: 1)
        assert cache.get("key", lambda: 7, lambda _: 1) == 7


class TestRepository:
    def test_what_was_read_once_needs_no_disk(self, repository):
        commit = put(repository, "sub/a.txt", b"text")
        with only_remembered(), pytest.raises(NotRememberedError):
            repository.entry(commit, "sub/a.txt")
        file = repository.entry(commit, "sub/a.txt")
        assert repository.resolve("main") == commit
        listing, history = repository.listing(commit, recursive=True), repository.history(commit)
        assert repository.content(file) == b"text"
        with only_remembered():
            assert repository.resolve("main") == commit
            assert repository.entry(commit, "sub/a.txt") == file
            assert repository.content(file) == b"text"
            assert repository.listing(commit, recursive=True) == listing
            assert repository.history(commit) == history
            with pytest.raises(Refusal, match=r"no entry 'sub/b\.txt'"):
                repository.entry(commit, "sub/b.txt")

    def test_it_is_what_git_says(self, repository):
        for number in range(5):
            commit = put(repository, f"f{number % 3}/{number}.txt", b"%d" % number)
        for _ in range(2):
            listed = repository.listing(commit, recursive=True)
            files = [f"{entry.oid}\t{entry.path}" for entry in listed if isinstance(entry, File)]
            said = git(repository.path, "ls-tree", "-r", "--format=%(objectname)%x09%(path)", commit).splitlines()
            assert files == said
            log = git(repository.path, "log", "--format=%H %ct", commit).splitlines()
            assert [f"{entry.oid} {entry.date}" for entry in repository.history(commit)] == log

    def test_references_are_read_anew_also_packed_ones(self, repository):
        first = put(repository, "a.txt")
        git(repository.path, "pack-refs", "--all")
        assert repository.resolve("main") == first
        git(repository.path, "update-ref", "refs/heads/main", f"{first}^")
        assert repository.resolve("main") == git(repository.path, "rev-parse", f"{first}^").strip()
        git(repository.path, "-c", "user.name=A", "-c", "user.email=a@b", "tag", "-a", "v1", "-m", "m", first)
        assert repository.resolve("v1") == first

    def test_objects_that_git_packed_meanwhile_are_found(self, repository):
        first = put(repository, "a.txt", b"a")
        repository.listing(first)
        second = put(repository, "b.txt", b"b")
        git(repository.path, "gc", "--quiet", "--prune=now")
        assert [entry.path for entry in repository.listing(second)] == [".gitattributes", "a.txt", "b.txt"]

    def test_a_submodule_is_not_a_file_of_this_repository(self, repository):
        first = put(repository, "a.txt")
        tree = f"160000 commit {'1' * 40}\tsub\n" + git(repository.path, "ls-tree", first)
        made = subprocess.run(
            ["git", "-C", repository.path, "mktree", "--missing"],
            input=tree,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        commit = git(
            repository.path, "-c", "user.name=A", "-c", "user.email=a@b", "commit-tree", made, "-m", "m"
        ).strip()
        assert [entry.path for entry in repository.listing(commit, recursive=True)] == [".gitattributes", "a.txt"]
        with pytest.raises(Refusal, match="no entry 'sub'"):
            repository.entry(commit, "sub")

    @pytest.mark.parametrize("revision", ["../heads/main", "main/..", "..", "", "a b", "HEAD", "\udc80"])
    def test_a_revision_is_a_name_and_no_path(self, repository, revision):
        with pytest.raises(Refusal, match="no branch, tag or commit"):
            repository.resolve(revision)

    def test_a_tree_is_no_revision(self, repository):
        tree = git(repository.path, "rev-parse", "main^{tree}").strip()
        with pytest.raises(Refusal, match="no branch, tag or commit"):
            repository.resolve(tree)

    def test_a_repository_that_is_gone_answers_nothing(self, repository):
        commit = put(repository, "a.txt")
        repository.entry(commit, "a.txt")
        shutil.rmtree(repository.path)
        with pytest.raises(Refusal, match="no repository"):
            repository.entry(commit, "a.txt")
