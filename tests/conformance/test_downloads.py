"""Downloads: what comes, from where, and what is not fetched again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    HfApi,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
    try_to_load_from_cache,
)

pytestmark = pytest.mark.client("huggingface_hub")
api = HfApi()


def commit(repo: str, files: dict[str, bytes]) -> str:
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    return api.create_commit(repo, operations, commit_message="add").oid


def test_a_file_is_fetched_once(repo, tmp_path):
    """The second download of an unchanged file is the cached one; a changed file is fetched again."""
    commit(repo, {"a.bin": b"first", "b.txt": b"text"})
    path = Path(hf_hub_download(repo, "a.bin", cache_dir=tmp_path))
    blob = path.resolve()
    before = blob.stat().st_mtime_ns
    commit(repo, {"b.txt": b"other text"})
    again = Path(hf_hub_download(repo, "a.bin", cache_dir=tmp_path))
    assert again.resolve() == blob, "the same content has the same ETag in another commit"
    assert blob.stat().st_mtime_ns == before
    commit(repo, {"a.bin": b"second"})
    assert Path(hf_hub_download(repo, "a.bin", cache_dir=tmp_path)).read_bytes() == b"second"
    assert path.read_bytes() == b"first", "the older snapshot stays as it was"


def test_force_download_fetches_again(repo, tmp_path):
    """force_download replaces what was damaged in the cache."""
    commit(repo, {"a.bin": b"whole"})
    path = Path(hf_hub_download(repo, "a.bin", cache_dir=tmp_path))
    path.resolve().write_bytes(b"damaged")
    assert Path(hf_hub_download(repo, "a.bin", cache_dir=tmp_path, force_download=True)).read_bytes() == b"whole"


def test_metadata_says_what_the_cache_goes_by(repo):
    """get_hf_file_metadata: commit, size, and an ETag that is the SHA-256 of a large file."""
    content = os.urandom(5000)
    head = commit(repo, {"a.bin": content, "b.txt": b"small"})
    large = get_hf_file_metadata(hf_hub_url(repo, "a.bin", endpoint=api.endpoint))
    assert (large.commit_hash, large.size) == (head, len(content))
    assert large.etag == api.get_paths_info(repo, "a.bin")[0].lfs.sha256
    small = get_hf_file_metadata(hf_hub_url(repo, "b.txt", endpoint=api.endpoint))
    assert (small.commit_hash, small.size) == (head, 5)
    assert small.etag == api.get_paths_info(repo, "b.txt")[0].blob_id


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"allow_patterns": "*.json"}, {"config.json", "sub/more.json"}),
        ({"allow_patterns": ["sub/*"]}, {"sub/more.json", "sub/data.bin"}),
        ({"ignore_patterns": ["*.bin", ".gitattributes"]}, {"config.json", "sub/more.json"}),
        ({"allow_patterns": "*.bin", "ignore_patterns": "sub/*"}, {"model.bin"}),
    ],
)
def test_a_snapshot_takes_what_the_patterns_say(repo, options, expected, tmp_path):
    """snapshot_download(allow_patterns, ignore_patterns)."""
    commit(repo, {"config.json": b"{}", "model.bin": b"1", "sub/more.json": b"{}", "sub/data.bin": b"2"})
    path = Path(snapshot_download(repo, cache_dir=tmp_path, **options))
    assert {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()} == expected


def test_a_snapshot_is_of_one_commit(repo, tmp_path):
    """snapshot_download by tag gives the files of that tag in a folder that its commit names."""
    first = commit(repo, {"a.txt": b"1"})
    api.create_tag(repo, tag="v1")
    commit(repo, {"a.txt": b"2", "b.txt": b""})
    path = Path(snapshot_download(repo, revision="v1", cache_dir=tmp_path))
    assert path.name == first
    assert (path / "a.txt").read_bytes() == b"1"
    assert not (path / "b.txt").exists()


def test_a_local_folder_follows_the_hub(repo, tmp_path):
    """snapshot_download(local_dir=...): plain files, brought up to date by a second call."""
    commit(repo, {"a.txt": b"1", "b/c.bin": b"2"})
    snapshot_download(repo, local_dir=tmp_path)
    commit(repo, {"a.txt": b"new"})
    snapshot_download(repo, local_dir=tmp_path)
    assert (tmp_path / "a.txt").read_bytes() == b"new"
    assert (tmp_path / "b" / "c.bin").read_bytes() == b"2"


def test_what_is_cached_is_there_without_the_hub(repo, tmp_path):
    """local_files_only and HF_HUB_OFFLINE=1 serve the cached snapshot and ask nobody."""
    commit(repo, {"a.txt": b"cached"})
    path = snapshot_download(repo, cache_dir=tmp_path)
    assert snapshot_download(repo, cache_dir=tmp_path, local_files_only=True) == path
    assert try_to_load_from_cache(repo, "a.txt", cache_dir=tmp_path) == f"{path}/a.txt"
    program = (
        "import sys; from huggingface_hub import snapshot_download\n"
        "print(snapshot_download(sys.argv[1], cache_dir=sys.argv[2]))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    command = [sys.executable, "-c", program, repo, str(tmp_path)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert told.strip() == path


def test_what_the_cache_holds_can_be_verified(repo, tmp_path):
    """verify_repo_checksums finds nothing wrong with a fresh download, and names a flipped byte."""
    content = os.urandom(1000)
    commit(repo, {"a.bin": content, "b.txt": b"text"})
    path = Path(snapshot_download(repo, cache_dir=tmp_path))
    result = api.verify_repo_checksums(repo, cache_dir=tmp_path)
    assert (result.checked_count, result.mismatches, result.missing_paths) == (3, [], [])
    (path / "a.bin").resolve().write_bytes(bytes([content[0] ^ 1]) + content[1:])
    result = api.verify_repo_checksums(repo, cache_dir=tmp_path)
    assert [mismatch["path"] for mismatch in result.mismatches] == ["a.bin"]
