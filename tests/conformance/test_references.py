"""Branches and tags, and every way to name a revision."""

from pathlib import Path
from urllib.parse import quote

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

pytestmark = pytest.mark.client("huggingface_hub")
api = HfApi()


def upload(repo: str, content: bytes, **options) -> str:
    return api.upload_file(path_or_fileobj=content, path_in_repo="a.txt", repo_id=repo, **options).oid


@pytest.mark.parametrize("message", [None, "The first release"])
def test_a_tag_keeps_its_commit(repo, message):
    """A tag, with a message or without, names the commit it was made for, whatever comes after."""
    first = upload(repo, b"1")
    api.create_tag(repo, tag="v1.0", tag_message=message)
    upload(repo, b"2")
    assert [(tag.name, tag.ref, tag.target_commit) for tag in api.list_repo_refs(repo).tags] == [
        ("v1.0", "refs/tags/v1.0", first)
    ]
    assert api.model_info(repo, revision="v1.0").sha == first


def test_a_tag_is_made_once(repo):
    """A second tag of that name is 409, or nothing with exist_ok; it does not move."""
    first = upload(repo, b"1")
    api.create_tag(repo, tag="v1")
    upload(repo, b"2")
    with pytest.raises(HfHubHTTPError) as error:
        api.create_tag(repo, tag="v1")
    assert error.value.response.status_code == 409
    api.create_tag(repo, tag="v1", exist_ok=True)
    assert api.model_info(repo, revision="v1").sha == first


def test_a_tag_can_name_any_revision_and_be_deleted(repo):
    """create_tag of a commit and of a branch; delete_tag; a tag of nothing is RevisionNotFoundError."""
    first = upload(repo, b"1")
    upload(repo, b"2")
    api.create_branch(repo, branch="draft", revision=first)
    api.create_tag(repo, tag="by-commit", revision=first)
    api.create_tag(repo, tag="by-branch", revision="draft")
    assert {tag.target_commit for tag in api.list_repo_refs(repo).tags} == {first}
    api.delete_tag(repo, tag="by-commit")
    assert [tag.name for tag in api.list_repo_refs(repo).tags] == ["by-branch"]
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(repo, tag="by-commit")
    with pytest.raises(RevisionNotFoundError):
        api.create_tag(repo, tag="v1", revision="nowhere")


def test_a_branch_is_made_and_deleted(repo):
    """create_branch at a revision, exist_ok, delete_branch; main stays."""
    first = upload(repo, b"1")
    upload(repo, b"2")
    api.create_branch(repo, branch="fix", revision=first)
    with pytest.raises(HfHubHTTPError) as error:
        api.create_branch(repo, branch="fix")
    assert error.value.response.status_code == 409
    api.create_branch(repo, branch="fix", exist_ok=True)
    assert api.model_info(repo, revision="fix").sha == first
    api.delete_branch(repo, branch="fix")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(repo, revision="fix")
    with pytest.raises(HfHubHTTPError):
        api.delete_branch(repo, branch="main")


@pytest.mark.parametrize("label", ["feature/one", "v1.2.3-rc.1", "2026-11-22", "x_y"])
def test_a_name_with_signs(repo, label):
    """Names with slashes, dots and dashes work wherever a revision is named."""
    commit = upload(repo, b"1")
    api.create_branch(repo, branch=label)
    assert api.model_info(repo, revision=label).sha == commit
    assert "a.txt" in api.list_repo_files(repo, revision=label)
    assert Path(api.hf_hub_download(repo, "a.txt", revision=label)).read_bytes() == b"1"
    upload(repo, b"2", revision=label)
    assert api.list_repo_commits(repo, revision=label)[1].commit_id == commit
    api.delete_branch(repo, branch=label)


@pytest.mark.parametrize("kind", ["branch", "tag", "commit", "refs/heads", "refs/tags"])
def test_every_kind_of_revision_leads_to_its_files(repo, kind, tmp_path):
    """A branch, a tag, a full commit id and a full reference name."""
    first = upload(repo, b"1")
    api.create_branch(repo, branch="draft")
    api.create_tag(repo, tag="v1")
    upload(repo, b"2")
    revision = {
        "branch": "draft", "tag": "v1", "commit": first, "refs/heads": "refs/heads/draft", "refs/tags": "refs/tags/v1"
    }[kind]  # fmt: skip
    assert api.model_info(repo, revision=revision).sha == first
    assert Path(api.hf_hub_download(repo, "a.txt", revision=revision, cache_dir=tmp_path)).read_bytes() == b"1"
    assert "a.txt" in api.list_repo_files(repo, revision=revision)
    assert api.get_paths_info(repo, ["a.txt"], revision=revision)[0].size == 1
    assert api.list_repo_commits(repo, revision=revision)[0].commit_id == first
    metadata = api.get_hf_file_metadata(url=f"{api.endpoint}/{repo}/resolve/{quote(revision, safe='')}/a.txt")
    assert metadata.commit_hash == first
