"""MANIFEST.json: exact bytes, strict reading, and every way in which a tensor can differ."""

import json

import pytest

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.checkpoint import Checkpoint, open_checkpoint, scan_checkpoint
from modeling_axk1.weights.facts import Wanted
from modeling_axk1.weights.manifest import (
    FileEntry,
    Manifest,
    TensorEntry,
    compare_tensors,
    parse_manifest,
    read_manifest,
    tensor_entries,
)
from modeling_axk1.weights.store import Folder
from modeling_axk1.weights.survey import Reading, survey
from modeling_axk1.weights.verify import verify
from tests.goldens import assert_golden
from tests.weights.checkpoints import bf16, tiny_tensors, write_tiny

SMALL = Manifest(
    {"model.safetensors": FileEntry(120, "a" * 64), "config.json": FileEntry(2, "b" * 64)},
    {
        "다른 이름": TensorEntry("model.safetensors", "BF16", (2, 3), "c" * 64),
        "a": TensorEntry("model.safetensors", "F32", (), "d" * 64),
    },
)


def facts_of(checkpoint: Checkpoint):
    return survey(checkpoint.store, checkpoint.shards, Wanted(tensors=True), Reading(), "testing").facts


def entries(folder):
    checkpoint = open_checkpoint(folder)
    return tensor_entries(checkpoint, facts_of(checkpoint))


def compare(expected, folder):
    checkpoint = scan_checkpoint(Folder(folder))
    return compare_tensors(expected, checkpoint, facts_of(checkpoint))


def test_golden_bytes():
    assert_golden("manifest/small.json", SMALL.text())
    assert_golden("manifest/empty.json", Manifest({}, {}).text())


@pytest.mark.parametrize("manifest", [SMALL, Manifest({}, {})])
def test_what_is_written_is_what_is_read(manifest):
    assert parse_manifest(manifest.text().encode(), "MANIFEST.json") == manifest


def edited(change) -> bytes:
    value = json.loads(SMALL.text())
    change(value)
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "must be a JSON object"),
        (b"[]", "must be a JSON object, got a list"),
        (b"{}", "version must be 1, got None"),
        (edited(lambda value: value.update(version=2)), "version must be 1, got 2"),
        (edited(lambda value: value.update(more={})), "must have version, files and tensors, and nothing else"),
        (edited(lambda value: value.update(files=[])), "files and tensors must be objects"),
        (edited(lambda value: value["files"].update(x=1)), "x must have size and sha256, and nothing else"),
        (edited(lambda value: value["files"].update({"../x": {}})), "a path must stay inside the folder, got ../x"),
        (edited(lambda value: value["files"].update({"/x": {}})), "a path must stay inside the folder, got /x"),
        (edited(lambda value: value["files"]["config.json"].update(size=True)), "the size of config.json must be"),
        (edited(lambda value: value["files"]["config.json"].update(size=-1)), "the size of config.json must be"),
        (edited(lambda value: value["files"]["config.json"].update(sha256="A" * 64)), "must be 64 hex digits"),
        (edited(lambda value: value["tensors"]["a"].pop("shard")), "a must have shard, dtype, shape and sha256"),
        (edited(lambda value: value["tensors"]["a"].update(dtype=1)), "shard and dtype of a must be strings"),
        (edited(lambda value: value["tensors"]["a"].update(shard="\x1b")), "printable characters"),
        (edited(lambda value: value["tensors"]["a"].update(shape=[1.0])), "the shape of a must be a list of sizes"),
        (edited(lambda value: value["tensors"].update({"a\n": {}})), "printable characters"),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_line(raw, message):
    with pytest.raises(WeightsError) as error:
        parse_manifest(raw, "MANIFEST.json")
    assert message in str(error.value)
    assert str(error.value).isprintable()


def test_moved_into_other_shards_a_tensor_keeps_its_digest(tmp_path):
    three, one = write_tiny(tmp_path / "three"), write_tiny(tmp_path / "one", max_shard_bytes=10**9)
    assert compare(entries(three), one) == []
    (tmp_path / "MANIFEST.json").write_text(Manifest({}, entries(three)).text())
    assert verify(one, manifest=tmp_path / "MANIFEST.json").ok
    assert {entry.shard for entry in entries(one).values()} == {"model.safetensors"}


def test_every_difference_is_named(tmp_path):
    expected = entries(write_tiny(tmp_path / "sound"))
    changed = bf16((8,)).data.copy()
    changed[3] ^= 1
    tensors = tiny_tensors()
    del tensors["lm_head.weight"]
    norm = "model.layers.0.input_layernorm.weight"
    tensors |= {
        "model.norm.weight": bf16((2, 4)),
        norm: type(bf16((8,)))("BF16", (8,), changed),
        "more": bf16((1,)),
    }
    folder = write_tiny(tmp_path / "other", tensors, max_shard_bytes=10**9)
    here = entries(folder)
    problems = compare(expected, folder)
    assert problems == [
        "lm_head.weight is missing: the manifest lists it",
        f"{norm} in model.safetensors must have SHA-256 {expected[norm].sha256}, as the manifest says, "
        f"got {here[norm].sha256}",
        "model.norm.weight in model.safetensors must be BF16 of shape [8] by the manifest, got BF16 of shape [2, 4]",
        "more in model.safetensors is not in the manifest",
    ]
    (tmp_path / "MANIFEST.json").write_text(Manifest({}, expected).text())
    assert set(problems) <= set(verify(folder, manifest=tmp_path / "MANIFEST.json").problems)


def test_tensors_of_a_missing_shard_are_not_called_missing_one_by_one(tmp_path):
    expected = entries(write_tiny(tmp_path / "sound"))
    folder = write_tiny(tmp_path / "other")
    (folder / "model-00002-of-00003.safetensors").unlink()
    assert compare(expected, folder) == []


def test_a_manifest_that_cannot_be_read_is_an_error_before_anything_is_read(tmp_path):
    folder = write_tiny(tmp_path / "checkpoint")
    (tmp_path / "MANIFEST.json").write_text("{}")
    with pytest.raises(WeightsError, match="version must be 1"):
        verify(folder, manifest=tmp_path / "MANIFEST.json")
    with pytest.raises(FileNotFoundError):
        read_manifest(tmp_path / "nothing")
