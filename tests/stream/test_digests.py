"""With check_digests nothing is used before its bytes had the digest that the release gives them."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch

from modeling_axk1.checksums import write_sums
from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.model.reading_axk1 import extents_in
from modeling_axk1.stream.reader import FolderReader, WebReader
from modeling_axk1.weights.record import record
from tests.model.faulty import logits, shards_of
from tests.stream.test_open import one_expert, under_a_cap
from tests.weights.range_server import cut_short, once, range_server

TENSOR = "model.layers.2.mlp.experts.down_proj"


@pytest.fixture
def folder(written, tmp_path, monkeypatch):
    """A checkpoint to change, with MANIFEST.json; what is remembered of it is forgotten after the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    folder = Path(shutil.copytree(written[0], tmp_path / "checkpoint"))
    record(folder)
    (folder / "SHA256SUMS").unlink()
    return folder


@pytest.fixture(params=["here", "on the web"])
def place(request, folder, tmp_path):
    """The folder as a place, and how to open it."""
    if request.param == "here":
        yield folder, {}
    else:
        with range_server(folder) as served:
            yield served.address, {"cache_dir": tmp_path / "cache"}


@pytest.fixture
def read(monkeypatch):
    """Bytes that were read of each shard so far."""
    counts = Counter()
    for reader in (FolderReader, WebReader):

        def counted(self, file, start, nbytes, buffer, real=reader.read):
            counts[Path(file).name] += nbytes
            real(self, file, start, nbytes, buffer)

        monkeypatch.setattr(reader, "read", counted)
    return counts


def flip(folder: Path, name: str = TENSOR, byte: int = 100) -> str:
    """Change a bit of a tensor, as a disk does: time and size stay. Returns the shard's name."""
    (shard,) = [shard for shard in shards_of(folder) if name in extents_in(str(shard))]
    status, start = shard.stat(), extents_in(str(shard))[name].start
    with shard.open("r+b") as file:
        file.seek(start + byte)
        (value,) = file.read(1)
        file.seek(start + byte)
        file.write(bytes([value ^ 4]))
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
    return shard.name


@pytest.mark.parametrize("opened", [one_expert, under_a_cap])
def test_a_sound_checkpoint_gives_the_same_logits(written, place, opened):
    address, options = place
    model = opened(address, check_digests=True, **options)
    for _ in range(2):
        assert torch.equal(logits(model), written[1])


@pytest.mark.parametrize("opened", [one_expert, under_a_cap])
@pytest.mark.parametrize("name", [TENSOR, "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"])
def test_a_flipped_bit_is_an_error_that_names_tensor_and_shard(folder, place, opened, name):
    shard = flip(folder, name, byte=20)
    address, options = place
    with pytest.raises(
        WeightsError, match=f"{name} in {shard} must have SHA-256 [0-9a-f]+, as MANIFEST.json says, got"
    ):
        logits(opened(address, check_digests=True, **options))


def test_what_was_hashed_is_not_hashed_again_until_its_file_is_another(written, folder, place, read):
    address, options = place
    model = one_expert(address, check_digests=True, **options)
    logits(model)
    first = read.total()
    read.clear()
    del model
    logits(one_expert(address, check_digests=True, **options))
    assert read.total() < first / 2
    if address is folder:
        read.clear()
        for shard in shards_of(folder):
            os.utime(shard)
        logits(one_expert(address, check_digests=True, **options))
        assert read.total() == first


def test_a_shard_changed_after_it_was_found_sound_is_an_error(folder):
    model = one_expert(folder, check_digests=True)
    logits(model)
    flip(folder)
    for shard in shards_of(folder):
        os.utime(shard)
    with pytest.raises(ValueError, match="was changed while the model was running"):
        logits(model)


def test_one_changed_between_two_starts_is_an_error(folder):
    logits(one_expert(folder, check_digests=True))
    shard = flip(folder)
    with pytest.raises(WeightsError, match=f"{TENSOR} in {shard} must have SHA-256"):
        logits(one_expert(folder, check_digests=True))


def test_what_came_damaged_over_the_network_is_fetched_anew(written, folder, tmp_path):
    def garbled(handler) -> bool:
        if not handler.path.endswith(".safetensors") or handler.span()[0] < 40_000:
            return False
        start, end, size = handler.span()
        handler.answer(206, {"Content-Range": f"bytes {start}-{end - 1}/{size}"} | handler.etag(), bytes(end - start))
        return True

    with range_server(folder) as served:
        model = under_a_cap(served.address, cache_dir=tmp_path / "cache", check_digests=True)
        served.trick = garbled
        with pytest.raises(WeightsError, match="must have SHA-256"):
            logits(model)
        served.trick = once(cut_short)
        assert torch.equal(logits(model), written[1])


def test_bytes_that_were_fetched_unchecked_are_not_trusted(written, folder, tmp_path):
    with range_server(folder) as served:
        logits(one_expert(served.address, cache_dir=tmp_path / "cache"))
        (journal,) = (tmp_path / "cache").glob("*/.held")
        flip(journal.parent)
        checked = one_expert(served.address, cache_dir=tmp_path / "cache", check_digests=True)
        assert torch.equal(logits(checked), written[1])


def test_a_tensor_whose_cache_lost_a_part_is_hashed_again(folder, tmp_path):
    with range_server(folder) as served:
        logits(one_expert(served.address, cache_dir=tmp_path / "cache", check_digests=True))
        (journal,) = (tmp_path / "cache").glob("*/.held")
        shard = flip(folder)  # what is fetched from now on is not what was hashed
        start = extents_in(str(folder / shard))[TENSOR].start
        lines = journal.read_text().splitlines(keepends=True)
        (lost,) = [line for line in lines if line.startswith(f"+ {start} ") and shard in line]
        journal.write_text("".join(line for line in lines if line != lost))
        with pytest.raises(WeightsError, match=f"{TENSOR} in {shard} must have SHA-256"):
            logits(one_expert(served.address, cache_dir=tmp_path / "cache", check_digests=True))


def test_without_a_manifest_whole_shards_are_held_against_sums(written, folder):
    (folder / "MANIFEST.json").unlink()
    write_sums(folder)
    assert torch.equal(logits(one_expert(folder, check_digests=True)), written[1])
    shard = flip(folder)
    with pytest.raises(WeightsError, match=f"{shard} must have SHA-256 [0-9a-f]+, as SHA256SUMS says, got"):
        logits(one_expert(folder, check_digests=True))


def test_without_any_digests_it_is_refused(folder):
    (folder / "MANIFEST.json").unlink()
    with pytest.raises(UsageError, match=r"check_digests needs MANIFEST\.json or SHA256SUMS"):
        one_expert(folder, check_digests=True)


def test_a_tensor_that_the_manifest_lacks_or_describes_otherwise_is_an_error(folder):
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    manifest["tensors"][TENSOR]["dtype"] = "F16"
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match=rf"{TENSOR} in .* must be F16 of shape .* by MANIFEST\.json, got BF16"):
        one_expert(folder, check_digests=True)
    del manifest["tensors"][TENSOR]
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match=rf"{TENSOR} in .* is not in MANIFEST\.json"):
        one_expert(folder, check_digests=True)


def test_a_bounded_cache_cannot_be_checked(folder, tmp_path):
    with range_server(folder) as served, pytest.raises(UsageError, match="check_digests reads tensors whole"):
        one_expert(served.address, cache_dir=tmp_path, cache_size="1GB", check_digests=True)
