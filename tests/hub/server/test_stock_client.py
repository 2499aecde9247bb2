"""Unmodified huggingface_hub against the hub, over a real socket."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, RepoFile, RepoFolder
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub.conftest import files_of, fsck, git


def upload(hub, repo, files, **options):
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    return hub.api.create_commit(repo, operations, commit_message=options.pop("message", "add"), **options).oid


def status_of(error) -> int:
    return error.value.response.status_code


class TestARelease:
    def test_what_was_uploaded_is_what_a_tag_gives_back(self, hub, repo, folder, tmp_path):
        hub.api.upload_folder(repo_id=repo, folder_path=folder)
        hub.api.create_tag(repo, tag="v0.1")
        path = hub.api.snapshot_download(repo, revision="v0.1", cache_dir=tmp_path / "cache")
        assert files_of(Path(path)) == files_of(folder)

    def test_a_commit_is_one_git_commit_and_git_finds_nothing_wrong(self, hub, repo, folder, clone):
        hub.api.upload_folder(repo_id=repo, folder_path=folder, commit_message="The model", commit_description="Why.")
        assert hub.git(repo, "log", "--format=%s|%b", "main").splitlines()[0] == "The model|Why."
        assert hub.git(repo, "rev-list", "--count", "main").strip() == "2"
        assert fsck(hub.git_folder(repo)) == ""
        cloned = files_of(clone(repo))
        assert cloned["README.md"] == (folder / "README.md").read_bytes()
        assert cloned.keys() == files_of(folder).keys()

    def test_large_files_are_lfs_pointers_in_git_and_blobs_by_digest(self, hub, repo, folder, clone):
        hub.api.upload_folder(repo_id=repo, folder_path=folder)
        cloned = clone(repo)
        for name in ("model.safetensors", "tokenizer.json"):
            digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            size = (folder / name).stat().st_size
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n"
            assert (cloned / name).read_text() == pointer
            assert (hub.root / "blobs" / digest[:2] / digest[2:4] / digest).read_bytes() == (folder / name).read_bytes()
            assert git(cloned, "check-attr", "filter", name).strip() == f"{name}: filter: lfs"
        assert git(cloned, "check-attr", "filter", "README.md").strip() == "README.md: filter: unspecified"

    @pytest.mark.parametrize("name", ["has space", 'quote"d', "star*[a]?", "한글", "sub dir/# not a comment", "!no"])
    def test_git_knows_which_odd_names_are_large(self, hub, repo, clone, name):
        upload(hub, repo, {name: os.urandom(8) * 1_400_000})
        assert "filter: lfs" in git(clone(repo), "-c", "core.quotePath=false", "check-attr", "filter", "--", name)

    def test_the_same_content_twice_makes_no_second_commit(self, hub, repo, folder):
        first = hub.api.upload_folder(repo_id=repo, folder_path=folder).oid
        assert hub.api.upload_folder(repo_id=repo, folder_path=folder).oid == first
        assert hub.git(repo, "rev-list", "--count", "main").strip() == "2"


class TestReading:
    def test_tree_paths_and_info_agree(self, hub, repo, folder):
        commit = hub.api.upload_folder(repo_id=repo, folder_path=folder).oid
        tree = list(hub.api.list_repo_tree(repo, recursive=True))
        files = {item.path: item for item in tree if isinstance(item, RepoFile)}
        assert {item.path for item in tree if isinstance(item, RepoFolder)} == {"sub"}
        assert files.keys() - {".gitattributes"} == files_of(folder).keys()
        assert {item.path for item in hub.api.list_repo_tree(repo, "sub")} == {"sub/empty.txt"}
        large = files["model.safetensors"]
        assert large.lfs.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        assert large.size == large.lfs.size == (folder / "model.safetensors").stat().st_size
        found = hub.api.get_paths_info(repo, ["sub", "한글 이름.txt", "no such file"])
        assert {item.path for item in found} == {"sub", "한글 이름.txt"}
        info = hub.api.model_info(repo, files_metadata=True)
        assert (info.sha, info.pipeline_tag, info.card_data["license"]) == (commit, "text-generation", "apache-2.0")
        assert {item.rfilename: item.size for item in info.siblings} == {path: f.size for path, f in files.items()}

    def test_expand_names_the_commit_that_last_changed_a_path(self, hub, repo):
        first = upload(hub, repo, {"a/one.txt": b"1", "a/two.txt": b"2"})
        second = upload(hub, repo, {"a/two.txt": b"22"}, message="Change two")
        last = {item.path: item.last_commit for item in hub.api.list_repo_tree(repo, recursive=True, expand=True)}
        assert (last["a/one.txt"].oid, last["a/two.txt"].oid, last["a"].oid) == (first, second, second)
        assert last["a/two.txt"].title == "Change two"
        assert [commit.commit_id for commit in hub.api.list_repo_commits(repo)][:2] == [second, first]

    @pytest.mark.parametrize("name", ["small.txt", "large.bin"])
    @pytest.mark.parametrize(
        ("wanted", "part"),
        [("bytes=2-5", slice(2, 6)), ("bytes=990-", slice(990, None)), ("bytes=-3", slice(-3, None))],
    )
    def test_a_range_gives_those_bytes(self, hub, repo, name, wanted, part):
        content = os.urandom(1000)
        upload(hub, repo, {name: content})
        answer = httpx.get(f"{hub.endpoint}/{repo}/resolve/main/{name}", headers={"Range": wanted})
        assert answer.status_code == 206
        assert answer.content == content[part]
        assert answer.headers["Content-Range"].endswith("/1000")

    @pytest.mark.parametrize("name", ["small.txt", "large.bin"])
    def test_a_range_beyond_the_end_is_refused(self, hub, repo, name):
        upload(hub, repo, {name: b"x" * 10})
        answer = httpx.get(f"{hub.endpoint}/{repo}/resolve/main/{name}", headers={"Range": "bytes=10-"})
        assert answer.status_code == 416

    def test_head_says_what_the_client_caches_by(self, hub, repo):
        commit = upload(hub, repo, {"large.bin": b"large", "small.txt": b"small"})
        large = httpx.head(f"{hub.endpoint}/{repo}/resolve/main/large.bin").headers
        assert large["X-Repo-Commit"] == commit
        assert large["X-Linked-ETag"] == f'"{hashlib.sha256(b"large").hexdigest()}"'
        assert large["X-Linked-Size"] == large["Content-Length"] == "5"
        small = httpx.head(f"{hub.endpoint}/{repo}/resolve/main/small.txt").headers
        assert small["ETag"].strip('"') == hub.git(repo, "rev-parse", "main:small.txt").strip()

    def test_an_uploaded_page_is_never_run_as_a_page_of_this_hub(self, hub, repo):
        upload(hub, repo, {"page.html": b"<script>alert(1)</script>"})
        headers = httpx.get(f"{hub.endpoint}/{repo}/resolve/main/page.html").headers
        assert headers["Content-Type"].startswith("text/plain")
        assert "sandbox" in headers["Content-Security-Policy"]

    def test_a_blob_that_was_cut_short_is_not_served(self, hub, repo):
        upload(hub, repo, {"large.bin": b"to be damaged"})
        digest = hashlib.sha256(b"to be damaged").hexdigest()
        (hub.root / "blobs" / digest[:2] / digest[2:4] / digest).write_bytes(b"short")
        assert httpx.get(f"{hub.endpoint}/{repo}/resolve/main/large.bin").status_code == 500

    def test_the_index_lists_repositories(self, hub, repo):
        assert f'<a href="/{repo}">' in httpx.get(hub.endpoint).text


class TestWhatIsNotThere:
    """Errors are those that the client's own code, and transformers above it, look for."""

    def test_repository(self, hub, tmp_path):
        with pytest.raises(RepositoryNotFoundError):
            hub.api.model_info("team/nowhere")
        with pytest.raises(RepositoryNotFoundError):
            hub.api.hf_hub_download("team/nowhere", "config.json", cache_dir=tmp_path)
        with pytest.raises(RepositoryNotFoundError):
            hub.api.delete_repo("team/nowhere")

    def test_a_dataset_is_not_a_model_of_that_name(self, hub, repo):
        with pytest.raises(RepositoryNotFoundError):
            hub.api.dataset_info(repo)

    @pytest.mark.parametrize("revision", ["v9", "refs/pr/1", "0" * 40, "../main", "main/"])
    def test_revision(self, hub, repo, revision, tmp_path):
        with pytest.raises(RevisionNotFoundError):
            hub.api.model_info(repo, revision=revision)
        with pytest.raises(RevisionNotFoundError):
            hub.api.hf_hub_download(repo, ".gitattributes", revision=revision, cache_dir=tmp_path)

    @pytest.mark.parametrize("path", ["config.json", "a/b", ".gitattributes/x", "x\n", "한글"])
    def test_entry(self, hub, repo, path, tmp_path):
        with pytest.raises(EntryNotFoundError):
            hub.api.hf_hub_download(repo, path, cache_dir=tmp_path)

    def test_a_folder_is_no_file(self, hub, repo, tmp_path):
        upload(hub, repo, {"a/b.txt": b""})
        with pytest.raises(EntryNotFoundError):
            hub.api.hf_hub_download(repo, "a", cache_dir=tmp_path)
        with pytest.raises(EntryNotFoundError):
            list(hub.api.list_repo_tree(repo, "a/b.txt"))


class TestChanging:
    def test_delete_and_copy(self, hub, repo):
        upload(hub, repo, {"a/one.txt": b"1", "a/two.bin": b"2", "b.txt": b"3"})
        hub.api.create_commit(
            repo, [CommitOperationCopy("a/two.bin", "c.bin"), CommitOperationDelete("b.txt")], commit_message="move"
        )
        hub.api.delete_folder("a", repo)
        assert set(hub.api.list_repo_files(repo)) == {".gitattributes", "c.bin"}
        with pytest.raises(EntryNotFoundError):
            hub.api.delete_file("b.txt", repo)
        assert fsck(hub.git_folder(repo)) == ""

    def test_a_commit_made_for_an_older_head_is_refused(self, hub, repo):
        old = hub.api.model_info(repo).sha
        new = upload(hub, repo, {"a.txt": b"1"})
        with pytest.raises(HfHubHTTPError) as error:
            upload(hub, repo, {"b.txt": b"2"}, parent_commit=old)
        assert status_of(error) == 412
        assert hub.api.model_info(repo).sha == new
        upload(hub, repo, {"b.txt": b"2"}, parent_commit=new)

    def test_writers_at_the_same_time_take_turns(self, hub, repo):
        def add(number: int) -> str:
            return upload(hub, repo, {f"{number}.txt": b"small", f"{number}.bin": os.urandom(100_000)})

        with ThreadPoolExecutor(8) as pool:
            commits = list(pool.map(add, range(8)))
        assert hub.git(repo, "rev-list", "--count", "main").strip() == str(1 + len(set(commits))) == "9"
        assert len(hub.api.list_repo_files(repo)) == 1 + 2 * 8
        assert fsck(hub.git_folder(repo)) == ""

    def test_a_file_cannot_be_a_folder(self, hub, repo):
        upload(hub, repo, {"a": b"1"})
        with pytest.raises(BadRequestError, match="file and a folder"):
            upload(hub, repo, {"a/b": b"2"})

    def test_a_repository_name_is_taken_once(self, hub, repo):
        with pytest.raises(HfHubHTTPError) as error:
            hub.api.create_repo(repo)
        assert status_of(error) == 409
        hub.api.create_repo(repo, exist_ok=True)

    def test_branches_live_apart(self, hub, repo):
        start = hub.api.model_info(repo).sha
        hub.api.create_branch(repo, branch="draft")
        commit = upload(hub, repo, {"a.txt": b"1"}, revision="draft")
        branches = {branch.name: branch.target_commit for branch in hub.api.list_repo_refs(repo).branches}
        assert branches == {"main": start, "draft": commit}
        hub.api.delete_branch(repo, branch="draft")
        with pytest.raises(RevisionNotFoundError):
            upload(hub, repo, {"a.txt": b"1"}, revision="draft")

    def test_a_card_with_broken_front_matter_is_refused_before_anything_is_sent(self, hub, repo):
        head = hub.api.model_info(repo).sha
        with pytest.raises(ValueError, match="front matter"):
            upload(hub, repo, {"README.md": b"---\n- a list\n---\n"})
        assert hub.api.model_info(repo).sha == head


class TestTags:
    @pytest.mark.parametrize("message", [None, "The first release"])
    def test_a_tag_never_moves(self, hub, repo, message):
        first = upload(hub, repo, {"a.txt": b"1"})
        hub.api.create_tag(repo, tag="v1", tag_message=message)
        upload(hub, repo, {"a.txt": b"2"})
        with pytest.raises(HfHubHTTPError) as error:
            hub.api.create_tag(repo, tag="v1")
        assert status_of(error) == 409
        assert hub.api.model_info(repo, revision="v1").sha == first
        assert [tag.target_commit for tag in hub.api.list_repo_refs(repo).tags] == [first]
        assert fsck(hub.git_folder(repo)) == ""

    @pytest.mark.parametrize(
        "name", ["main", "v1/sub", "", "a..b", "-x", "a.lock", "HEAD", "refs/heads/x", "f" * 40, "a b"]
    )
    def test_a_name_that_would_mislead_is_refused(self, hub, repo, name):
        hub.api.create_tag(repo, tag="v1")
        with pytest.raises(HfHubHTTPError) as error:
            hub.api.create_tag(repo, tag=name)
        assert status_of(error) in {400, 409}

    def test_a_tag_of_nothing_is_refused(self, hub, repo):
        with pytest.raises(RevisionNotFoundError):
            hub.api.create_tag(repo, tag="v1", revision="nowhere")
