"""HfFileSystem: a hub as a file system for whoever speaks fsspec."""

import os

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, HfFileSystem

pytestmark = pytest.mark.client("huggingface_hub")
api = HfApi()


def commit(repo: str, files: dict[str, bytes], kind: str = "model") -> str:
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    return api.create_commit(repo, operations, commit_message="add", repo_type=kind).oid


def fresh() -> HfFileSystem:
    return HfFileSystem(skip_instance_cache=True)


def test_ls_glob_find_and_walk(repo):
    """What is there is listed, by level, by pattern, as a whole."""
    commit(repo, {"a.txt": b"1", "b/c.txt": b"22", "b/d.bin": b"333", "b/e/f.txt": b"4444"})
    fs = fresh()
    assert set(fs.ls(repo, detail=False)) == {f"{repo}/{name}" for name in (".gitattributes", "a.txt", "b")}
    assert {item["name"]: item["size"] for item in fs.ls(f"{repo}/b", detail=True) if item["type"] == "file"} == {
        f"{repo}/b/c.txt": 2, f"{repo}/b/d.bin": 3
    }  # fmt: skip
    assert fs.glob(f"{repo}/**/*.txt") == [f"{repo}/{name}" for name in ("a.txt", "b/c.txt", "b/e/f.txt")]
    assert len(fs.find(repo)) == 5
    assert [len(files) for _, _, files in fs.walk(repo)] == [2, 2, 1]
    assert (fs.isdir(f"{repo}/b"), fs.isfile(f"{repo}/a.txt"), fs.exists(f"{repo}/x")) == (True, True, False)


@pytest.mark.parametrize("file_name", ["large.bin", "small.txt"])
def test_a_file_is_read_in_pieces(repo, file_name):
    """open, seek and read in small blocks, and cat_file with a range: the bytes of those places."""
    content = os.urandom(200_000)
    commit(repo, {file_name: content})
    fs = fresh()
    with fs.open(f"{repo}/{file_name}", block_size=10_000) as file:
        assert file.read(10) == content[:10]
        file.seek(150_000)
        assert file.read(30_000) == content[150_000:180_000]
        file.seek(-7, os.SEEK_END)
        assert file.read() == content[-7:]
    with fs.open(f"{repo}/{file_name}", block_size=0) as stream:
        assert stream.read() == content
    assert fs.cat_file(f"{repo}/{file_name}", start=100, end=200) == content[100:200]


def test_a_file_of_an_older_revision_is_read(repo):
    """REPOSITORY@REVISION/PATH."""
    first = commit(repo, {"a.txt": b"1"})
    commit(repo, {"a.txt": b"2"})
    assert fresh().read_text(f"{repo}@{first}/a.txt") == "1"
    assert fresh().read_text(f"{repo}/a.txt") == "2"


@pytest.mark.parametrize("file_name", ["large.bin", "small.txt"])
def test_what_is_written_is_there(dataset, file_name, tmp_path):
    """open for writing, put and rm make commits."""
    fs, root, content = fresh(), f"datasets/{dataset}", os.urandom(100_000)
    with fs.open(f"{root}/{file_name}", "wb") as file:
        file.write(content)
    assert fs.cat_file(f"{root}/{file_name}") == content
    (tmp_path / file_name).write_bytes(b"put")
    fs.put_file(tmp_path / file_name, f"{root}/put/{file_name}")
    assert fs.cat_file(f"{root}/put/{file_name}") == b"put"
    fs.rm(f"{root}/put", recursive=True)
    fs.invalidate_cache()
    assert set(fs.find(root)) == {f"{root}/.gitattributes", f"{root}/{file_name}"}


def test_a_file_is_copied(repo, tmp_path):
    """cp_file within the hub, get to a local file."""
    content = os.urandom(10_000)
    commit(repo, {"a.bin": content})
    fs = fresh()
    fs.cp_file(f"{repo}/a.bin", f"{repo}/b.bin")
    fs.get_file(f"{repo}/b.bin", str(tmp_path / "b.bin"))
    assert (tmp_path / "b.bin").read_bytes() == content


def test_what_is_not_there_is_file_not_found(repo):
    """An unknown path, revision or repository is FileNotFoundError."""
    for path in (f"{repo}/nothing", f"{repo}@v9/.gitattributes", f"{repo}-not/a.txt"):
        with pytest.raises(FileNotFoundError):
            fresh().cat_file(path)
