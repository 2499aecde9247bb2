"""Commits: what they change together, when they are refused, how the history is told."""

import os

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RevisionNotFoundError

pytestmark = pytest.mark.client("huggingface_hub")
api = HfApi()


def commit(repo: str, files: dict[str, bytes], **options) -> str:
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    return api.create_commit(repo, operations, commit_message=options.pop("message", "add"), **options).oid


def names(repo: str, revision: str = "main") -> set[str]:
    return set(api.list_repo_files(repo, revision=revision)) - {".gitattributes"}


def content(repo: str, path: str, tmp_path) -> bytes:
    with open(hf_hub_download(repo, path, cache_dir=tmp_path), "rb") as file:  # noqa: PTH123 (str of the client)
        return file.read()


def test_one_commit_adds_changes_and_deletes(repo, tmp_path):
    """Operations of one create_commit are one commit: all of them are seen at once."""
    commit(repo, {"a.txt": b"1", "b.txt": b"2", "c/d.bin": b"3", "c/e.txt": b"4"})
    head = api.create_commit(
        repo,
        [
            CommitOperationAdd("a.txt", b"changed"),
            CommitOperationAdd("new.bin", b"new"),
            CommitOperationDelete("b.txt"),
            CommitOperationDelete("c/", is_folder=True),
        ],
        commit_message="Everything",
        commit_description="At once.",
    )
    assert names(repo) == {"a.txt", "new.bin"}
    assert content(repo, "a.txt", tmp_path) == b"changed"
    newest = api.list_repo_commits(repo)[0]
    assert (newest.commit_id, newest.title, newest.message) == (head.oid, "Everything", "At once.")
    assert head.commit_url == f"{api.endpoint}/{repo}/commit/{head.oid}"


@pytest.mark.parametrize("file_name", ["large.bin", "small.txt"])
def test_a_copy_has_the_bytes_of_its_source(repo, file_name, tmp_path):
    """CommitOperationCopy within a repository, of a large and of a small file, also from an older revision."""
    data = os.urandom(1000)
    old = commit(repo, {f"from/{file_name}": data})
    commit(repo, {f"from/{file_name}": b"newer"})
    copies = [
        CommitOperationCopy(f"from/{file_name}", f"to/{file_name}"),
        CommitOperationCopy(f"from/{file_name}", f"old/{file_name}", old),
    ]
    api.create_commit(repo, copies, commit_message="copy")
    assert content(repo, f"to/{file_name}", tmp_path) == b"newer"
    assert content(repo, f"old/{file_name}", tmp_path) == data


def test_a_copy_and_a_deletion_rename_a_file(repo, tmp_path):
    """A copy together with the deletion of its source in one commit."""
    data = os.urandom(1000)
    commit(repo, {"a.bin": data})
    operations = [CommitOperationCopy("a.bin", "b.bin"), CommitOperationDelete("a.bin")]
    api.create_commit(repo, operations, commit_message="rename")
    assert names(repo) == {"b.bin"}
    assert content(repo, "b.bin", tmp_path) == data


@pytest.mark.needs("duplicate")
def test_a_large_file_is_copied_between_repositories(repo, tmp_path):
    """CommitOperationCopy from another repository of the same hub brings the same bytes."""
    data, other = os.urandom(100_000), f"{repo}-copy"
    commit(repo, {"a.bin": data})
    api.create_repo(other)
    try:
        api.create_commit(
            other,
            [CommitOperationCopy("a.bin", "b.bin", src_repo_id=repo, src_repo_type="model")],
            commit_message="copy",
        )
        assert content(other, "b.bin", tmp_path) == data
    finally:
        api.delete_repo(other)


def test_a_commit_for_an_older_head_is_refused(repo):
    """parent_commit that is no longer the head: 412, and nothing is changed."""
    old = api.repo_info(repo).sha
    new = commit(repo, {"a.txt": b"1"})
    with pytest.raises(HfHubHTTPError) as error:
        commit(repo, {"b.txt": b"2"}, parent_commit=old)
    assert error.value.response.status_code == 412
    assert api.repo_info(repo).sha == new
    commit(repo, {"b.txt": b"2"}, parent_commit=new)


def test_what_is_not_there_is_not_deleted(repo):
    """delete_file of an unknown path is EntryNotFoundError, and makes no commit."""
    head = api.repo_info(repo).sha
    with pytest.raises(EntryNotFoundError):
        api.delete_file("nothing.txt", repo)
    assert api.repo_info(repo).sha == head


def test_a_commit_needs_its_branch(repo):
    """A commit to an unknown branch is RevisionNotFoundError; no branch appears."""
    with pytest.raises(RevisionNotFoundError):
        commit(repo, {"a.txt": b"1"}, revision="nowhere")
    assert [branch.name for branch in api.list_repo_refs(repo).branches] == ["main"]


def test_files_go_by_pattern_and_by_folder(repo):
    """delete_files and delete_folder remove what they name."""
    commit(repo, {"a.txt": b"", "b.txt": b"", "c.md": b"", "d/e/f.txt": b"", "d/g.txt": b""})
    api.delete_folder("d", repo)
    assert names(repo) == {"a.txt", "b.txt", "c.md"}
    api.delete_files(repo, ["?.txt"])
    assert names(repo) == {"c.md"}


def test_the_history_is_told_to_its_first_commit(repo):
    """list_repo_commits gives every commit, newest first, also more than a page of them."""
    made = [commit(repo, {"a.txt": str(number).encode()}, message=f"Number {number}") for number in range(60)]
    told = api.list_repo_commits(repo)
    assert [item.commit_id for item in told[:-1]] == made[::-1]
    assert told[0].title == "Number 59"
    assert [item.commit_id for item in api.list_repo_commits(repo, revision=made[10])][:2] == [made[10], made[9]]


@pytest.mark.needs("squash")
def test_a_squashed_branch_has_one_commit_and_the_same_files(repo, tmp_path):
    """super_squash_history keeps the files and forgets the way there; other branches stay."""
    for number in range(3):
        commit(repo, {"a.txt": str(number).encode(), f"{number}.bin": b"x"})
    api.create_branch(repo, branch="kept")
    history = api.list_repo_commits(repo)
    api.super_squash_history(repo, commit_message="All in one")
    assert [item.title for item in api.list_repo_commits(repo)] == ["All in one"]
    assert names(repo) == {"a.txt", "0.bin", "1.bin", "2.bin"}
    assert content(repo, "a.txt", tmp_path) == b"2"
    assert [item.commit_id for item in api.list_repo_commits(repo, revision="kept")] == [
        item.commit_id for item in history
    ]


def test_a_branch_gets_commits_of_its_own(repo):
    """A commit to a branch leaves main where it was."""
    start = api.repo_info(repo).sha
    api.create_branch(repo, branch="draft")
    head = commit(repo, {"a.txt": b"1"}, revision="draft")
    heads = {branch.name: branch.target_commit for branch in api.list_repo_refs(repo).branches}
    assert heads == {"main": start, "draft": head}
    assert names(repo) == set()
    assert names(repo, "draft") == {"a.txt"}
