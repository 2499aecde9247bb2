"""What a repository holds: trees, paths, facts."""

import hashlib
import json
import struct

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, RepoFile, RepoFolder
from huggingface_hub.errors import EntryNotFoundError

pytestmark = pytest.mark.client("huggingface_hub")
api = HfApi()

FILES = {"README.md": b"# Card\n", "a/one.txt": b"1", "a/b/two.txt": b"22", "a/b/three.bin": b"333"}


def commit(repo: str, files: dict[str, bytes], kind: str = "model", message: str = "add") -> str:
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    return api.create_commit(repo, operations, commit_message=message, repo_type=kind).oid


def tree(repo: str, path: str | None = None, **options) -> dict[str, RepoFile | RepoFolder]:
    listed = list(api.list_repo_tree(repo, path, **options))
    found = {item.path: item for item in listed}
    assert len(found) == len(listed), "a path is listed twice"
    return found


def test_a_folder_lists_its_own_entries(repo):
    """list_repo_tree of the root and of a folder: files and folders of one level."""
    commit(repo, FILES)
    assert tree(repo).keys() == {".gitattributes", "README.md", "a"}
    assert isinstance(tree(repo)["a"], RepoFolder)
    assert tree(repo, "a").keys() == {"a/one.txt", "a/b"}
    assert tree(repo, "a/b").keys() == {"a/b/two.txt", "a/b/three.bin"}


def test_a_tree_lists_everything_below(repo):
    """list_repo_tree(recursive=True): every file and every folder, each once, with sizes and digests."""
    commit(repo, FILES)
    found = tree(repo, recursive=True)
    assert found.keys() - {".gitattributes"} == {*FILES, "a", "a/b"}
    assert {path: found[path].size for path in FILES} == {path: len(content) for path, content in FILES.items()}
    assert found["a/b/three.bin"].lfs.sha256 == hashlib.sha256(b"333").hexdigest()
    small = hashlib.sha1(b"blob 1\0" + b"1", usedforsecurity=False).hexdigest()
    assert found["a/one.txt"].blob_id == small
    assert tree(repo, "a", recursive=True).keys() == {"a/one.txt", "a/b", "a/b/two.txt", "a/b/three.bin"}


def test_a_large_folder_is_listed_to_its_end(repo):
    """More entries than a page holds: the client follows the pages and gets each entry once."""
    commit(repo, {f"many/{number:04}.txt": b"" for number in range(1500)})
    assert len(tree(repo, "many")) == 1500
    assert len(tree(repo, recursive=True)) == 1502
    assert len(tree(repo, "many", expand=True)) == 1500


def test_expand_names_the_last_commit_of_each_path(repo):
    """list_repo_tree(expand=True) and get_paths_info(expand=True) know the commit that last changed a path."""
    first = commit(repo, {"a/one.txt": b"1", "a/two.txt": b"2"}, message="First")
    second = commit(repo, {"a/two.txt": b"22"}, message="Second")
    for found in (
        tree(repo, recursive=True, expand=True),
        {item.path: item for item in api.get_paths_info(repo, ["a", "a/one.txt", "a/two.txt"], expand=True)},
    ):
        assert {path: found[path].last_commit.oid for path in ("a", "a/one.txt", "a/two.txt")} == {
            "a": second, "a/one.txt": first, "a/two.txt": second
        }  # fmt: skip
        assert found["a/two.txt"].last_commit.title == "Second"


def test_what_is_no_folder_has_no_tree(repo):
    """list_repo_tree of a file or of nothing is EntryNotFoundError."""
    commit(repo, {"a.txt": b""})
    for path in ("a.txt", "nothing"):
        with pytest.raises(EntryNotFoundError):
            list(api.list_repo_tree(repo, path))


def test_paths_info_leaves_out_what_is_not_there(repo):
    """get_paths_info: files, folders, nothing for unknown paths."""
    commit(repo, FILES)
    found = api.get_paths_info(repo, ["a", "README.md", "nothing", "a/nothing"])
    assert {item.path: type(item) for item in found} == {"a": RepoFolder, "README.md": RepoFile}
    assert api.get_paths_info(repo, "a/one.txt")[0].size == 1


def test_files_metadata_gives_sizes_and_digests(repo):
    """repo_info(files_metadata=True): size and git id of every file, SHA-256 of large ones; without it only names."""
    commit(repo, FILES)
    siblings = {item.rfilename: item for item in api.repo_info(repo, files_metadata=True).siblings}
    assert siblings.keys() - {".gitattributes"} == FILES.keys()
    assert {path: siblings[path].size for path in FILES} == {path: len(content) for path, content in FILES.items()}
    assert all(siblings[path].blob_id for path in FILES)
    assert siblings["a/b/three.bin"].lfs["sha256"] == hashlib.sha256(b"333").hexdigest()
    assert {item.rfilename for item in api.repo_info(repo).siblings} == siblings.keys()


def test_the_facts_of_a_model(repo):
    """model_info: id, head, dates, card data, tags and what the card says of task and library."""
    card = (
        "---\nlicense: apache-2.0\npipeline_tag: text-generation\nlibrary_name: transformers\ntags:\n- tiny\n---\n# x\n"
    )
    head = commit(repo, {"README.md": card.encode()})
    info = api.model_info(repo)
    assert (info.id, info.author, info.sha, info.private) == (repo, repo.split("/")[0], head, False)
    assert (info.pipeline_tag, info.library_name, info.card_data.license) == (
        "text-generation", "transformers", "apache-2.0"
    )  # fmt: skip
    assert "tiny" in info.tags
    assert info.created_at <= info.last_modified
    assert api.model_info(repo, revision=head).sha == head


def test_the_facts_of_a_dataset(dataset):
    """dataset_info: id, head, card data."""
    head = commit(dataset, {"README.md": b"---\nlanguage: ko\n---\n"}, kind="dataset")
    info = api.dataset_info(dataset)
    assert (info.id, info.sha, info.card_data.language) == (dataset, head, "ko")


def test_expand_gives_the_facts_asked_for(repo):
    """model_info(expand=[...]) has those fields."""
    head = commit(repo, {"README.md": b"---\npipeline_tag: text-generation\n---\n"})
    info = api.model_info(repo, expand=["sha", "siblings", "pipeline_tag"])
    assert (info.sha, info.pipeline_tag) == (head, "text-generation")
    assert "README.md" in {item.rfilename for item in info.siblings}


def test_tensors_are_known_without_a_download(repo):
    """get_safetensors_metadata reads the headers of one file, and of shards by their index, through ranges."""

    def tensors(name: str) -> bytes:
        header = json.dumps({name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
        return struct.pack("<Q", len(header)) + header + bytes(24)

    commit(repo, {"model.safetensors": tensors("weight")})
    metadata = api.get_safetensors_metadata(repo)
    assert not metadata.sharded
    assert metadata.files_metadata["model.safetensors"].tensors["weight"].shape == [2, 3]
    assert metadata.parameter_count == {"F32": 6}
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = json.dumps({"metadata": {"total_size": 48}, "weight_map": {"a": shards[0], "b": shards[1]}}).encode()
    api.delete_file("model.safetensors", repo)
    commit(repo, {shards[0]: tensors("a"), shards[1]: tensors("b"), "model.safetensors.index.json": index})
    metadata = api.get_safetensors_metadata(repo)
    assert metadata.sharded
    assert metadata.weight_map == {"a": shards[0], "b": shards[1]}
