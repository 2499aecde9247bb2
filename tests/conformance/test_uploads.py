"""Files of every kind go up and come back as they were."""

import hashlib
import io
import os
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, snapshot_download

pytestmark = pytest.mark.client("huggingface_hub")
api = HfApi()


def files_below(folder) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name != ".gitattributes" and ".cache" not in path.relative_to(folder).parts
    }


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.mark.both_transports
@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_folder_comes_back_as_it_was(free_name, kind, tmp_path):
    """upload_folder and snapshot_download: the same names, the same bytes."""
    folder = written(
        tmp_path / "up",
        {
            "README.md": b"# Hello\n",
            "deep/er/and/deeper/a.json": b"{}",
            "empty.txt": b"",
            "empty.bin": b"",
            "model.safetensors": os.urandom(3_000_000),
            "data/part-0.parquet": os.urandom(200_000),
            "data/part-1.parquet": os.urandom(200_000),
        },
    )
    api.create_repo(free_name, repo_type=kind)
    try:
        commit = api.upload_folder(repo_id=free_name, folder_path=folder, repo_type=kind)
        assert commit.oid == api.repo_info(free_name, repo_type=kind).sha
        got = snapshot_download(free_name, repo_type=kind, cache_dir=tmp_path / "cache")
        assert files_below(got) == files_below(folder)
    finally:
        api.delete_repo(free_name, repo_type=kind)


@pytest.mark.both_transports
@pytest.mark.parametrize("form", ["path", "bytes", "file"])
def test_a_large_file_goes_up_from_wherever_it_is(repo, form, tmp_path):
    """upload_file takes a path, bytes or an open file; the hub knows size and SHA-256 of a large file."""
    content = os.urandom(12_000_000)
    source = {"path": tmp_path / "large", "bytes": content, "file": io.BytesIO(content)}[form]
    if form == "path":
        source.write_bytes(content)
    api.upload_file(path_or_fileobj=source, path_in_repo="large.bin", repo_id=repo)
    (info,) = api.get_paths_info(repo, ["large.bin"])
    assert (info.size, info.lfs.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    got = api.hf_hub_download(repo, "large.bin", local_dir=tmp_path / "down")
    assert Path(got).read_bytes() == content


@pytest.mark.both_transports
def test_a_large_file_without_a_known_suffix(repo, tmp_path):
    """Text beyond the size that git holds is stored as a large file all the same."""
    content = b"line\n" * 3_000_000
    api.upload_file(path_or_fileobj=content, path_in_repo="long.txt", repo_id=repo)
    (info,) = api.get_paths_info(repo, ["long.txt"])
    assert info.lfs.sha256 == hashlib.sha256(content).hexdigest()
    assert Path(api.hf_hub_download(repo, "long.txt", cache_dir=tmp_path)).read_bytes() == content


@pytest.mark.parametrize(
    "path",
    ["한글/모델 카드.md", "naïve café.txt", "emoji 🤗.txt", "a b/c+d&e=f.txt", "100%.txt", "q?u#e.txt", "日本語.bin",
     "[x]/{y}.txt", "a;b,c.txt", "tilde~.txt", "'quoted'.txt", "%2e%2e.txt", "/".join("abcdefghijklmnopqrst") + ".txt"],
)  # fmt: skip
def test_an_odd_name_is_kept(repo, path, tmp_path):
    """Names in any script, with spaces, signs of URLs and many folders are found again as they are."""
    content = os.urandom(100)
    api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repo)
    assert path in api.list_repo_files(repo)
    assert api.file_exists(repo, path)
    assert [item.path for item in api.get_paths_info(repo, [path])] == [path]
    assert Path(api.hf_hub_download(repo, path, cache_dir=tmp_path)).read_bytes() == content


def test_nothing_goes_up_twice(repo):
    """The same large content under another name, and the same file again, need no second upload and stay right."""
    content = os.urandom(1_000_000)
    api.upload_file(path_or_fileobj=content, path_in_repo="a.bin", repo_id=repo)
    head = api.repo_info(repo).sha
    api.upload_file(path_or_fileobj=content, path_in_repo="a.bin", repo_id=repo)
    assert api.repo_info(repo).sha == head
    api.upload_file(path_or_fileobj=content, path_in_repo="b.bin", repo_id=repo)
    first, second = sorted(api.get_paths_info(repo, ["a.bin", "b.bin"]), key=lambda item: item.path)
    assert first.lfs.sha256 == second.lfs.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.both_transports
def test_large_files_may_go_up_before_their_commit(repo, tmp_path):
    """preupload_lfs_files sends the bytes, create_commit names them later."""
    contents = [os.urandom(500_000) for _ in range(3)]
    additions = [CommitOperationAdd(f"{number}.bin", content) for number, content in enumerate(contents)]
    api.preupload_lfs_files(repo, additions)
    api.create_commit(repo, additions, commit_message="all of them")
    got = files_below(snapshot_download(repo, cache_dir=tmp_path))
    assert got == {f"{number}.bin": content for number, content in enumerate(contents)}


def test_upload_folder_takes_what_the_patterns_say(repo, tmp_path):
    """allow_patterns, ignore_patterns and delete_patterns decide what comes and what goes."""
    api.upload_file(path_or_fileobj=b"old", path_in_repo="logs/old.log", repo_id=repo)
    folder = written(tmp_path, {"a.txt": b"a", "b.json": b"{}", "sub/c.txt": b"c", "sub/d.tmp": b"d"})
    api.upload_folder(
        repo_id=repo, folder_path=folder, path_in_repo="in", allow_patterns=["*.txt", "*.tmp"], ignore_patterns="*.tmp"
    )
    assert {"in/a.txt", "in/sub/c.txt", "logs/old.log"} == set(api.list_repo_files(repo)) - {".gitattributes"}
    api.upload_folder(repo_id=repo, folder_path=folder, allow_patterns="b.json", delete_patterns="logs/*")
    assert {"in/a.txt", "in/sub/c.txt", "b.json"} == set(api.list_repo_files(repo)) - {".gitattributes"}


@pytest.mark.slow
def test_ten_thousand_files(repo, tmp_path):
    """A folder of ten thousand files goes up, is listed to its end page by page, and counts right."""
    folder = written(tmp_path, {f"{number // 500}/{number:05}.txt": str(number).encode() for number in range(10_000)})
    api.upload_folder(repo_id=repo, folder_path=folder)
    names = set(files_below(folder))
    assert set(api.list_repo_files(repo)) - {".gitattributes"} == names
    tree = [item.path for item in api.list_repo_tree(repo, recursive=True)]
    assert len(tree) == len(set(tree)) == 10_000 + 20 + 1
