"""The command `hf`, as a person types it."""

import json
import os

import pytest

pytestmark = pytest.mark.by("hf")


def hf(client, *arguments: object, fails: bool = False, **env: str) -> str:
    result = client.run("hf", *arguments, NO_COLOR="1", **env)
    assert (result.returncode != 0) == fails, result.stdout + result.stderr
    return result.stdout + (result.stderr if fails else "")


def test_repositories_are_made_listed_and_deleted(client, hub, free_name):
    """hf repos create, and --exist-ok; hf repo delete."""
    hf(client, "repos", "create", free_name)
    try:
        hf(client, "repos", "create", free_name, fails=True)
        hf(client, "repos", "create", free_name, "--exist-ok")
        assert hub.api.repo_exists(free_name)
        hf(client, "repos", "delete", free_name, "--yes")
        assert not hub.api.repo_exists(free_name)
    finally:
        hub.api.delete_repo(free_name, missing_ok=True)


def test_a_folder_goes_up_and_comes_down(client, repo, tmp_path):
    """hf upload and hf download, whole, by pattern, by name."""
    (tmp_path / "up" / "sub").mkdir(parents=True)
    content = os.urandom(100_000)
    (tmp_path / "up" / "model.bin").write_bytes(content)
    (tmp_path / "up" / "sub" / "한글.txt").write_text("안녕")
    hf(client, "upload", repo, tmp_path / "up", ".", "--commit-message", "From the command line")
    hf(client, "download", repo, "--local-dir", tmp_path / "all")
    assert (tmp_path / "all" / "model.bin").read_bytes() == content
    assert (tmp_path / "all" / "sub" / "한글.txt").read_text() == "안녕"
    hf(client, "download", repo, "--include", "*.txt", "--local-dir", tmp_path / "some")
    assert not (tmp_path / "some" / "model.bin").exists()
    hf(client, "download", repo, "model.bin", "--local-dir", tmp_path / "one")
    assert (tmp_path / "one" / "model.bin").read_bytes() == content


def test_tags_are_made_listed_and_deleted(client, repo):
    """hf repos tag create, list, delete."""
    hf(client, "repos", "tag", "create", repo, "v1.0", "--message", "The first")
    assert "v1.0" in hf(client, "repos", "tag", "list", repo)
    hf(client, "repos", "tag", "create", repo, "v1.0", fails=True)
    hf(client, "repos", "tag", "delete", repo, "v1.0", "--yes")
    assert "v1.0" not in hf(client, "repos", "tag", "list", repo)


def test_what_was_downloaded_is_verified(client, repo, hub, tmp_path):
    """hf cache verify finds nothing wrong with a download, and a flipped byte in it."""
    content = os.urandom(1000)
    hub.api.upload_file(path_or_fileobj=content, path_in_repo="a.bin", repo_id=repo)
    hf(client, "download", repo, "--cache-dir", tmp_path)
    hf(client, "cache", "verify", repo, "--cache-dir", tmp_path)
    (blob,) = (path for path in tmp_path.rglob("blobs/*") if path.stat().st_size == 1000)
    blob.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert "a.bin" in hf(client, "cache", "verify", repo, "--cache-dir", tmp_path, fails=True)


def test_a_model_is_described(client, repo):
    """hf models info: JSON with the id and the head."""
    told = hf(client, "models", "info", repo, "--format", "json")
    assert json.loads(told)["id"] == repo


def test_files_are_deleted_by_pattern(client, repo, hub):
    """hf repos delete-files."""
    for name in ("a.txt", "b.txt", "c.md"):
        hub.api.upload_file(path_or_fileobj=b"", path_in_repo=name, repo_id=repo)
    hf(client, "repos", "delete-files", repo, "*.txt")
    assert set(hub.api.list_repo_files(repo)) == {".gitattributes", "c.md"}


@pytest.mark.needs("list")
def test_models_are_listed(client, repo):
    """hf models ls --author --search."""
    author, name = repo.split("/")
    assert repo in hf(client, "models", "ls", "--author", author, "--search", name, "--format", "json")


@pytest.mark.needs("accounts")
def test_whoami_names_the_owner_of_the_token(client, hub):
    """hf auth whoami."""
    assert hub.api.whoami()["name"] in hf(client, "auth", "whoami")


def test_whoami_without_a_token_says_so(client):
    """hf auth whoami of somebody who is not logged in is no success and no traceback."""
    result = client.run("hf", "auth", "whoami", HF_TOKEN="", HF_HUB_DISABLE_IMPLICIT_TOKEN="1")
    assert "Traceback" not in result.stderr
    assert "ogged in" in result.stdout + result.stderr


def test_an_unknown_repository_is_one_clear_error(client, free_name, tmp_path):
    """hf download of nothing fails and names what was asked for."""
    said = hf(client, "download", free_name, "--local-dir", tmp_path, fails=True)
    assert free_name in said
    assert "Traceback" not in said
