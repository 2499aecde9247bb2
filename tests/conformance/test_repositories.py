"""Making, finding, renaming and removing repositories."""

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

pytestmark = pytest.mark.client("huggingface_hub")
api = HfApi()


def test_a_repository_is_there_once_it_is_made(free_name):
    """create_repo answers with the id and the address, and the repository has a first commit on main."""
    url = api.create_repo(free_name)
    try:
        assert (url.repo_id, url.repo_type) == (free_name, "model")
        assert str(url) == f"{api.endpoint}/{free_name}"
        assert [branch.name for branch in api.list_repo_refs(free_name).branches] == ["main"]
        assert len(api.list_repo_commits(free_name)) == 1
    finally:
        api.delete_repo(free_name)


def test_a_name_is_taken_once(repo):
    """A second create_repo is refused with 409; with exist_ok it gives the address of the first."""
    with pytest.raises(HfHubHTTPError) as error:
        api.create_repo(repo)
    assert error.value.response.status_code == 409
    head = api.repo_info(repo).sha
    assert api.create_repo(repo, exist_ok=True).repo_id == repo
    assert api.repo_info(repo).sha == head


def test_a_model_and_a_dataset_may_share_a_name(repo):
    """Kinds of repositories are apart: a model is no dataset of that name."""
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info(repo)
    assert api.create_repo(repo, repo_type="dataset").repo_type == "dataset"
    api.upload_file(path_or_fileobj=b"of the dataset", path_in_repo="a.txt", repo_id=repo, repo_type="dataset")
    assert not api.file_exists(repo, "a.txt")
    api.delete_repo(repo, repo_type="dataset")
    assert api.repo_exists(repo)


def test_a_deleted_repository_is_gone(free_name):
    """delete_repo removes it; a second one is RepositoryNotFoundError, or nothing with missing_ok."""
    api.create_repo(free_name)
    api.delete_repo(free_name)
    assert not api.repo_exists(free_name)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(free_name)
    api.delete_repo(free_name, missing_ok=True)


def test_a_name_is_free_again_after_delete(free_name):
    """Nothing of the deleted repository is in a new one of its name."""
    api.create_repo(free_name)
    api.upload_file(path_or_fileobj=b"old", path_in_repo="old.txt", repo_id=free_name)
    api.delete_repo(free_name)
    api.create_repo(free_name)
    assert "old.txt" not in api.list_repo_files(free_name)
    api.delete_repo(free_name)


def test_what_exists_is_known(repo):
    """repo_exists, revision_exists and file_exists are true for what is there and false for what is not."""
    api.upload_file(path_or_fileobj=b"x", path_in_repo="a/b.txt", repo_id=repo)
    assert api.repo_exists(repo)
    assert not api.repo_exists(f"{repo}-not")
    assert api.revision_exists(repo, "main")
    assert not api.revision_exists(repo, "v9")
    assert api.file_exists(repo, "a/b.txt")
    assert not api.file_exists(repo, "a/c.txt")
    assert not api.file_exists(repo, "a/b.txt", revision="v9")


@pytest.mark.needs("move")
def test_a_moved_repository_keeps_its_commits(repo):
    """move_repo gives the repository another name, with its history."""
    head = api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id=repo).oid
    api.move_repo(repo, f"{repo}-moved")
    try:
        assert api.repo_info(f"{repo}-moved").sha == head
    finally:
        api.delete_repo(f"{repo}-moved")


@pytest.mark.needs("move")
def test_a_repository_is_not_moved_over_another(repo):
    """move_repo to a name in use is refused, and both stay."""
    other = f"{repo}-other"
    api.create_repo(other)
    try:
        with pytest.raises(HfHubHTTPError) as error:
            api.move_repo(repo, other)
        assert error.value.response.status_code == 409
        assert api.repo_exists(repo)
        assert api.repo_exists(other)
    finally:
        api.delete_repo(other)


@pytest.mark.needs("list")
@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_lists_find_a_repository(free_name, kind):
    """list_models and list_datasets find by author and by part of the name, and respect the limit."""
    author, short = free_name.split("/")
    listed = api.list_models if kind == "model" else api.list_datasets
    names = [f"{free_name}-{number}" for number in range(3)]
    for one in names:
        api.create_repo(one, repo_type=kind)
    try:
        assert {item.id for item in listed(author=author, search=short)} == set(names)
        assert len(list(listed(author=author, search=short, limit=2))) == 2
        assert list(listed(author=f"{author}-nobody", search=short)) == []
    finally:
        for one in names:
            api.delete_repo(one, repo_type=kind)


@pytest.mark.needs("list")
def test_lists_filter_by_the_card(repo):
    """list_models finds by pipeline_tag and by a tag that the card states."""
    card = f"---\npipeline_tag: text-generation\ntags:\n- {repo.split('/')[1]}\n---\n"
    api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo)
    tag = repo.split("/")[1]
    assert [item.id for item in api.list_models(filter=tag)] == [repo]
    assert [item.id for item in api.list_models(filter=tag, pipeline_tag="text-generation")] == [repo]
    assert list(api.list_models(filter=tag, pipeline_tag="fill-mask")) == []


@pytest.mark.needs("accounts")
def test_whoami_names_the_owner_of_the_token():
    """whoami gives the name and the kind of the account."""
    assert {"name", "type"} <= api.whoami().keys()


@pytest.mark.needs("accounts")
def test_a_private_repository_is_not_there_for_strangers(free_name):
    """Without a token neither its facts nor its files can be read, and it looks as if it did not exist."""
    stranger = HfApi(token=False)
    api.create_repo(free_name, private=True)
    try:
        api.upload_file(path_or_fileobj=b"secret", path_in_repo="a.txt", repo_id=free_name)
        assert api.model_info(free_name).private
        for attempt in (stranger.model_info, stranger.list_repo_refs, stranger.list_repo_files):
            with pytest.raises(RepositoryNotFoundError):
                attempt(free_name)
        with pytest.raises(RepositoryNotFoundError):
            stranger.get_hf_file_metadata(url=f"{api.endpoint}/{free_name}/resolve/main/a.txt")
        api.update_repo_settings(free_name, private=False)
        assert stranger.model_info(free_name).id == free_name
    finally:
        api.delete_repo(free_name)


@pytest.mark.needs("accounts")
def test_a_stranger_changes_nothing(repo):
    """Without a token create, commit, tag and delete are refused."""
    stranger, head = HfApi(token=False), api.repo_info(repo).sha
    for attempt in (
        lambda: stranger.create_repo(f"{repo}-other"),
        lambda: stranger.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id=repo),
        lambda: stranger.create_tag(repo, tag="v1"),
        lambda: stranger.delete_repo(repo),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            attempt()
        assert error.value.response.status_code in {401, 403}
    assert api.repo_info(repo).sha == head
    assert api.list_repo_refs(repo).tags == []
