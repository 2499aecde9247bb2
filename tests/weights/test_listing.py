"""A release is every file below its folder, and only files."""

import os

from modeling_axk1.weights.listing import lies_in, list_files
from modeling_axk1.weights.store import Folder
from tests.weights.release import write_release


def test_files_in_order_without_what_belongs_to_git_or_a_download_tool(tmp_path):
    folder = write_release(tmp_path / "release")
    for name in (".git/HEAD", ".cache/huggingface/x", ".cache/mine", ".MANIFEST.json.part"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).touch()
    found = list_files(Folder(folder))
    assert found.files == [
        ".cache/mine",
        "README.md",
        "config.json",
        "golden/logits.txt",
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
    ]
    assert found.ignored == [".MANIFEST.json.part", ".cache/huggingface", ".git", ".gitattributes"]
    assert (found.problems, found.links) == ([], False)


def test_whatever_is_no_file_is_a_problem(tmp_path):
    folder = tmp_path / "release"
    folder.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (folder / "folder").symlink_to(tmp_path / "outside")
    (folder / "file").symlink_to(tmp_path / "outside" / "file")
    (folder / "nowhere").symlink_to(folder / "nothing")
    (folder / "two\nlines").touch()
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"\xff")).touch()
    found = list_files(Folder(folder))
    assert found.files == []
    assert found.problems == [
        "file must stay inside the folder, and is a link that leads out of it",
        "folder must be a folder, and is a link to one",
        "nowhere must be a regular file",
        "pipe must be a regular file",
        "release: a name must be 1 to 512 printable characters, got '\\udcff'",
        "release: a name must be 1 to 512 printable characters, got 'two\\nlines'",
    ]


def test_a_snapshot_of_the_hubs_cache_is_made_of_links(tmp_path):
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "1").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/1")
    found = list_files(Folder(snapshot))
    assert (found.files, found.problems, found.links) == (["config.json"], [], True)


def test_lying_in_a_place_goes_by_whole_names():
    places = (".git", "a/b")
    assert lies_in(".git", places)
    assert lies_in(".git/x/y", places)
    assert lies_in("a/b/c", places)
    assert not lies_in(".gitx", places)
    assert not lies_in("a", places)
    assert not lies_in("x/.git", places)
