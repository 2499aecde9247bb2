"""Errors are those that clients, and programs above them, look for."""

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

pytestmark = pytest.mark.client("huggingface_hub")
api = HfApi()


def test_an_unknown_repository(free_name, tmp_path):
    """RepositoryNotFoundError, whatever is asked of it."""
    for attempt in (
        lambda: api.model_info(free_name),
        lambda: api.dataset_info(free_name),
        lambda: api.list_repo_refs(free_name),
        lambda: api.list_repo_commits(free_name),
        lambda: list(api.list_repo_tree(free_name)),
        lambda: api.get_paths_info(free_name, "a"),
        lambda: api.create_tag(free_name, tag="v1"),
        lambda: api.create_branch(free_name, branch="b"),
        lambda: api.upload_file(path_or_fileobj=b"", path_in_repo="a.txt", repo_id=free_name),
        lambda: hf_hub_download(free_name, "a.txt", cache_dir=tmp_path),
        lambda: snapshot_download(free_name, cache_dir=tmp_path),
    ):
        with pytest.raises(RepositoryNotFoundError):
            attempt()


@pytest.mark.parametrize("revision", ["v9", "refs/pr/1", "0" * 40, "feature/none"])
def test_an_unknown_revision(repo, revision, tmp_path):
    """RevisionNotFoundError, whatever is asked of it."""
    for attempt in (
        lambda: api.model_info(repo, revision=revision),
        lambda: list(api.list_repo_tree(repo, revision=revision)),
        lambda: api.list_repo_commits(repo, revision=revision),
        lambda: api.get_paths_info(repo, "a", revision=revision),
        lambda: hf_hub_download(repo, ".gitattributes", revision=revision, cache_dir=tmp_path),
    ):
        with pytest.raises(RevisionNotFoundError):
            attempt()


@pytest.mark.parametrize("path", ["config.json", "a/b", ".gitattributes/x", "한글", "a b#c?d"])
def test_an_unknown_file(repo, path, tmp_path):
    """EntryNotFoundError, which transformers takes as: this repository has no such file."""
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(repo, path, cache_dir=tmp_path)


def test_a_folder_is_no_file(repo, tmp_path):
    """EntryNotFoundError for the download of a folder."""
    api.upload_file(path_or_fileobj=b"", path_in_repo="a/b.txt", repo_id=repo)
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(repo, "a", cache_dir=tmp_path)


def test_what_cannot_be_stored_is_a_bad_request(repo):
    """BadRequestError, with the reason in server_message, for a file below a file."""
    api.upload_file(path_or_fileobj=b"", path_in_repo="a", repo_id=repo)
    with pytest.raises(BadRequestError) as error:
        api.upload_file(path_or_fileobj=b"", path_in_repo="a/b", repo_id=repo)
    assert error.value.server_message


def test_an_error_says_why(repo):
    """The hub's own words reach the person: server_message is not empty."""
    api.create_tag(repo, tag="v1")
    with pytest.raises(HfHubHTTPError) as error:
        api.create_tag(repo, tag="v1")
    assert "v1" in error.value.server_message
