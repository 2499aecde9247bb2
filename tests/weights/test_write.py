"""What is written is what the stock library would write, whole or not at all."""

import errno
import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save
from safetensors.torch import load_file as load_torch

from modeling_axk1.errors import WeightsError
from modeling_axk1.files import file_digests
from modeling_axk1.weights.checkpoint import open_checkpoint
from modeling_axk1.weights.write import RawTensor, write_checkpoint
from tests.weights.checkpoints import bf16, names_in, tiny_tensors

GOLDEN = Path(__file__).parent.parent / "golden" / "checkpoint"

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.arange(3, dtype=np.float32),
    "half": np.arange(5, dtype=np.float16),
    "bytes": np.arange(3, dtype=np.uint8),
    "wide": np.arange(2, dtype=np.int64),
    "scalar": np.array(7.5),
    "empty": np.zeros((0, 4), np.float32),
    "문장": np.arange(2, dtype=np.int16),
}
TAGS = {"float32": "F32", "float16": "F16", "uint8": "U8", "int64": "I64", "float64": "F64", "int16": "I16"}


def raw(arrays: dict[str, np.ndarray]) -> dict[str, RawTensor]:
    return {name: RawTensor(TAGS[str(array.dtype)], array.shape, array) for name, array in arrays.items()}


def golden_tensors() -> dict[str, RawTensor]:
    return {"embed": bf16((3, 2)), "norm": RawTensor("F32", (2,), np.array([1, -2], "<f4")), "head": bf16((2, 2))}


def test_one_shard_is_byte_for_byte_what_the_stock_library_writes(tmp_path):
    write_checkpoint(raw(ARRAYS), tmp_path)
    assert names_in(tmp_path) == ["model.safetensors"]
    assert (tmp_path / "model.safetensors").read_bytes() == save(ARRAYS, metadata={"format": "pt"})


def test_golden_bytes(tmp_path):
    """The exact files of a tiny checkpoint of two shards; a change here changes what everybody downloads."""
    write_checkpoint(golden_tensors(), tmp_path, max_shard_bytes=20)
    assert file_digests(tmp_path) == file_digests(GOLDEN)


def test_shards_keep_the_order_and_the_index_lists_every_tensor(tmp_path):
    tensors = tiny_tensors()
    report = write_checkpoint(tensors, tmp_path, max_shard_bytes=2500)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert [name for shard in report.shards for name in shard.tensors] == list(tensors)
    assert index["weight_map"] == {name: shard.file_name for shard in report.shards for name in shard.tensors}
    assert index["metadata"] == {"total_parameters": report.parameters, "total_size": report.nbytes}
    assert report.tensors == len(tensors)
    assert len(report.shards) == 3
    assert names_in(tmp_path) == [*(shard.file_name for shard in report.shards), "model.safetensors.index.json"]


def test_the_stock_library_reads_every_shard(tmp_path):
    report = write_checkpoint(raw(ARRAYS), tmp_path, max_shard_bytes=20)
    read = {name: array for shard in report.shards for name, array in load_file(tmp_path / shard.file_name).items()}
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array)


def test_torch_tensors_travel_as_bytes_bfloat16_included(tmp_path):
    import torch

    tensor = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    write_checkpoint({"t": RawTensor("BF16", tuple(tensor.shape), tensor.view(torch.uint8).numpy())}, tmp_path)
    read = load_torch(tmp_path / "model.safetensors")["t"]
    assert read.dtype == torch.bfloat16
    assert torch.equal(read, tensor)


def test_lazy_tensors_are_fetched_one_by_one_when_their_turn_comes(tmp_path):
    fetched = []

    def lazy(name: str) -> RawTensor:
        return RawTensor("U8", (4,), lambda: fetched.append(name) or bytes(4))

    write_checkpoint({name: lazy(name) for name in ("c", "a", "b")}, tmp_path, max_shard_bytes=4)
    assert fetched == ["c", "a", "b"]


def test_the_same_tensors_give_the_same_bytes(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_checkpoint(tiny_tensors(), tmp_path / folder, max_shard_bytes=2500)
    assert file_digests(tmp_path / "one") == file_digests(tmp_path / "two")


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (RawTensor("F32", (2,), bytes(7)), "must be 8 bytes, got 7"),
        (RawTensor("F31", (2,), bytes(8)), "dtype must be one of"),
        (RawTensor("F4", (3,), bytes(1)), "whole bytes"),
        (RawTensor("F32", (3, 2), np.zeros((2, 3), np.float32).T), "must be contiguous"),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused_and_nothing_stays(tmp_path, tensor, message):
    with pytest.raises(WeightsError, match=message):
        write_checkpoint({"first": bf16((4,)), "t": tensor}, tmp_path, max_shard_bytes=8)
    assert names_in(tmp_path) == []


def test_a_folder_with_a_checkpoint_is_refused_so_that_no_old_shard_stays(tmp_path):
    write_checkpoint(tiny_tensors(), tmp_path)
    with pytest.raises(WeightsError, match="must not hold a checkpoint yet"):
        write_checkpoint(tiny_tensors(), tmp_path, max_shard_bytes=2500)
    open_checkpoint(tmp_path)


def test_no_tensors_are_no_checkpoint(tmp_path):
    with pytest.raises(WeightsError, match="at least one tensor"):
        write_checkpoint({}, tmp_path)


@pytest.mark.parametrize("failing_call", [1, 2, 3, 4])
def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch, failing_call):
    """The disk fills up while the first, second, third shard or the index is forced to it."""
    calls = iter(range(1, 100))
    fsync = os.fsync

    def full(handle: int) -> None:
        if stat.S_ISREG(os.fstat(handle).st_mode) and next(calls) == failing_call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_checkpoint(tiny_tensors(), tmp_path, max_shard_bytes=2500)
    assert caught.value.errno == errno.ENOSPC
    assert names_in(tmp_path) == []


def test_a_write_the_system_really_refuses_leaves_nothing_behind(tmp_path):
    """A limit on file sizes cuts a write short in the middle, as a full disk does."""
    code = (
        "import sys; from pathlib import Path; from modeling_axk1.weights.write import RawTensor, write_checkpoint\n"
        "tensors = {n: RawTensor('U8', (size,), bytes(size)) for n, size in (('a', 1000), ('b', 100_000))}\n"
        "write_checkpoint(tensors, Path(sys.argv[1]), max_shard_bytes=1000)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert "File too large" in result.stderr
    assert names_in(tmp_path) == []
