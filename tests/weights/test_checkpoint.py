"""A folder is a checkpoint when index, shards and headers agree, and every path stays inside it."""

import pytest

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.checkpoint import open_checkpoint, scan_checkpoint
from tests.weights.checkpoints import edit_json, tiny_tensors, write_tiny

INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    return write_tiny(tmp_path / "checkpoint")


def test_a_sound_folder_has_no_problems_and_all_tensors(folder):
    found = open_checkpoint(folder)
    assert {name for _, name, _ in found.tensors()} == tiny_tensors().keys()
    assert len(found.shards) == 3


def test_a_single_file_needs_no_index(tmp_path):
    found = open_checkpoint(write_tiny(tmp_path / "checkpoint", max_shard_bytes=10**9))
    assert list(found.shards) == ["model.safetensors"]


def test_an_empty_folder_says_what_it_must_hold(tmp_path):
    with pytest.raises(WeightsError, match=r"must hold model.safetensors.index.json or model.safetensors"):
        open_checkpoint(tmp_path)


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match="must be a folder"):
        scan_checkpoint(tmp_path / "nothing")


def test_the_first_problem_is_raised_with_the_number_of_others(folder):
    for shard in ("model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"):
        (folder / shard).unlink()
    with pytest.raises(WeightsError, match=r"model-00001-of-00003.safetensors is missing.*and 1 more"):
        open_checkpoint(folder)


def test_a_snapshot_of_the_hub_s_cache_links_to_its_blobs(tmp_path):
    cache = tmp_path / "models--x--y"
    folder = write_tiny(cache / "snapshots" / "0123abcd")
    (cache / "blobs").mkdir()
    for number, file in enumerate(sorted(folder.iterdir())):
        blob = file.rename(cache / "blobs" / str(number))
        file.symlink_to(f"../../blobs/{blob.name}")
    open_checkpoint(folder)


def test_an_index_of_another_form_is_named(folder):
    for value in ([], {"a": 1}, None):
        edit_json(folder / INDEX, lambda index, value=value: index.update(weight_map=value))
        assert scan_checkpoint(folder).problems == [f"{INDEX}: weight_map must map tensors to file names"]


def test_a_total_size_that_is_not_the_sum_is_named(folder):
    edit_json(folder / INDEX, lambda index: index["metadata"].update(total_size=1))
    (problem,) = scan_checkpoint(folder).problems
    assert "total_size must be" in problem
