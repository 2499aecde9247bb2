"""Stock git and git-lfs: clone, fetch, push, both kinds of files."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.by("git"), pytest.mark.needs("git")]


@pytest.fixture
def git(hub, tmp_path):
    """Run git in a folder as somebody whose settings are empty but for git-lfs and, where there is one, the token."""
    home = tmp_path / "home"
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "HF_"))}
    env |= {"HOME": str(home), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}

    def run(folder: Path, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(folder), *map(str, arguments)]
        result = subprocess.run(command, env=env, capture_output=True, text=True)
        assert result.returncode == 0 or not check, result.stderr
        return result

    settings = {"user.name": "A Person", "user.email": "person@example.com", "init.defaultBranch": "main"}
    if hub.token:
        settings["http.extraHeader"] = f"Authorization: Bearer {hub.token}"
    for name, value in settings.items():
        run(tmp_path, "config", "--global", name, value)
    run(tmp_path, "lfs", "install", "--skip-repo")
    return run


@pytest.fixture
def clone(hub, git, repo, tmp_path):
    """Clone the repository of this test into a new folder."""

    def clone(name: str = "clone", *options: object) -> Path:
        git(tmp_path, "clone", "-q", *options, f"{hub.endpoint}/{repo}", tmp_path / name)
        return tmp_path / name

    return clone


def test_a_clone_has_small_and_large_files(hub, repo, clone):
    """git clone fetches the history, git-lfs the bytes of large files."""
    content = os.urandom(50_000)
    hub.api.upload_file(path_or_fileobj=b"small\n", path_in_repo="sub/small.txt", repo_id=repo)
    hub.api.upload_file(path_or_fileobj=content, path_in_repo="large.bin", repo_id=repo)
    folder = clone()
    assert (folder / "sub" / "small.txt").read_bytes() == b"small\n"
    assert (folder / "large.bin").read_bytes() == content


def test_a_clone_is_sound_and_has_the_hub_s_commits(hub, repo, clone, git):
    """git fsck finds nothing, and the ids are those that the hub tells."""
    hub.api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo)
    hub.api.create_tag(repo, tag="v1", tag_message="The first")
    folder = clone()
    assert git(folder, "rev-parse", "HEAD").stdout.strip() == hub.api.repo_info(repo).sha
    assert git(folder, "rev-parse", "v1^{commit}").stdout.strip() == hub.api.repo_info(repo, revision="v1").sha
    git(folder, "fsck", "--strict")


def test_a_push_is_seen_by_other_clients(hub, repo, clone, git, tmp_path):
    """git push of small and large files: the hub lists and serves them."""
    folder, content = clone(), os.urandom(50_000)
    (folder / "a.txt").write_text("pushed")
    (folder / "b.bin").write_bytes(content)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "From git")
    git(folder, "push", "-q", "origin", "HEAD:main")
    assert hub.api.list_repo_commits(repo)[0].title == "From git"
    assert Path(hub.api.hf_hub_download(repo, "a.txt", cache_dir=tmp_path / "cache")).read_text() == "pushed"
    assert Path(hub.api.hf_hub_download(repo, "b.bin", cache_dir=tmp_path / "cache")).read_bytes() == content
    assert hub.api.get_paths_info(repo, "b.bin")[0].lfs.size == len(content)


def test_a_fetch_brings_what_others_did(hub, repo, clone, git):
    """git pull after a commit over the API."""
    folder = clone()
    hub.api.upload_file(path_or_fileobj=b"later", path_in_repo="later.txt", repo_id=repo)
    git(folder, "pull", "-q", "--ff-only")
    assert (folder / "later.txt").read_text() == "later"


def test_a_push_over_what_others_did_is_refused(hub, repo, clone, git):
    """A push that is no fast-forward is rejected, and the hub's head stays."""
    folder = clone()
    head = hub.api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo).oid
    git(folder, "commit", "-q", "--allow-empty", "-m", "Behind")
    assert git(folder, "push", "-q", "origin", "HEAD:main", check=False).returncode != 0
    assert hub.api.repo_info(repo).sha == head


def test_branches_and_tags_are_pushed(hub, repo, clone, git):
    """git push of a branch and of a tag, and their deletion."""
    folder = clone()
    git(folder, "push", "-q", "origin", "HEAD:refs/heads/draft")
    git(folder, "tag", "v1")
    git(folder, "push", "-q", "origin", "v1")
    references = hub.api.list_repo_refs(repo)
    assert {branch.name for branch in references.branches} == {"main", "draft"}
    assert [tag.name for tag in references.tags] == ["v1"]
    git(folder, "push", "-q", "origin", "--delete", "draft")
    assert {branch.name for branch in hub.api.list_repo_refs(repo).branches} == {"main"}


def test_a_shallow_clone(hub, repo, clone, git):
    """git clone --depth 1 has one commit."""
    for number in range(3):
        hub.api.upload_file(path_or_fileobj=str(number).encode(), path_in_repo="a.txt", repo_id=repo)
    folder = clone("shallow", "--depth", "1", "--no-single-branch")
    assert git(folder, "rev-list", "--count", "HEAD").stdout.strip() == "1"


def test_an_unknown_repository_is_an_error(hub, repo, git, tmp_path):
    """git clone of nothing fails, and asks no questions."""
    assert git(tmp_path, "clone", "-q", f"{hub.endpoint}/{repo}-none", check=False).returncode == 128
