"""One reading tells all, in pieces of whatever size, and nothing of a file that changes meanwhile."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import numpy as np
import pytest

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.facts import Facts, Wanted, identity, read_facts
from modeling_axk1.weights.header import read_header
from modeling_axk1.weights.write import RawTensor, write_checkpoint

ALL = Wanted(sha256=True, tensors=True, values=True)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def tensors():
    """Of all widths, with none, one and several dimensions, and three values that are no numbers."""
    wide = np.arange(500, dtype="<f8")
    wide[[3, 400]] = np.nan, -np.inf
    half = np.zeros(333, "<u2")
    half[332] = 0xFF80  # minus infinity
    return {
        "scalar": RawTensor("F32", (), np.zeros((), "<f4")),
        "empty": RawTensor("BF16", (0, 7), b""),
        "bytes": RawTensor("I8", (7,), bytes(range(7))),
        "half": RawTensor("BF16", (3, 111), half),
        "wide": RawTensor("F64", (500,), wide),
        "zzz empty at the end": RawTensor("U8", (0,), b""),
    }


@pytest.fixture
def shard(tmp_path, tensors):
    write_checkpoint(tensors, tmp_path)
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("chunk_bytes", [64, 100, 997, 1 << 20])
@pytest.mark.parametrize("helped", [[False], [True], [False, True, True]], ids=["never", "always", "now and then"])
def test_digests_and_values_do_not_depend_on_the_pieces(shard, tensors, chunk_bytes, helped):
    turns = cycle(helped)
    with ThreadPoolExecutor(1) as pool:
        facts = read_facts(
            shard, read_header(shard), ALL, chunk_bytes=chunk_bytes, helper=lambda: pool if next(turns) else None
        )
    assert facts.sha256 == sha256(shard.read_bytes())
    assert facts.tensors == {name: sha256(bytes(memoryview(tensor.data))) for name, tensor in tensors.items()}
    assert facts.nonfinite == {"wide": (2, 3), "half": (1, 332)}


def test_tensors_that_lie_at_odd_places_are_read_right(tmp_path):
    """A header of any length puts every value off its alignment; no cut may go through one."""
    values = np.zeros(300, "<f4")
    values[299] = np.inf
    write_checkpoint({"a": RawTensor("F32", (300,), values)}, tmp_path)
    path = tmp_path / "model.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    path.write_bytes((length + 3).to_bytes(8, "little") + raw[8 : 8 + length] + b"   " + raw[8 + length :])
    facts = read_facts(path, read_header(path), ALL, chunk_bytes=64)
    assert facts.nonfinite == {"a": (1, 299)}
    assert facts.tensors == {"a": sha256(values.tobytes())}


def test_a_file_without_tensors_has_a_digest_and_no_more(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert read_facts(tmp_path / "config.json", None, ALL) == Facts(sha256(b"{}"), {}, {})
    (tmp_path / "empty").touch()
    assert read_facts(tmp_path / "empty", None, Wanted(sha256=True)).sha256 == sha256(b"")


def test_what_is_not_asked_is_not_claimed(shard):
    facts = read_facts(shard, read_header(shard), Wanted(values=True))
    assert (facts.sha256, facts.tensors) == (None, None)
    assert facts.answer(Wanted(values=True))
    assert not facts.answer(Wanted(sha256=True, values=True))
    assert not facts.answer(Wanted(tensors=True))


def test_a_file_that_shrinks_while_it_is_read_is_said_so(shard):
    header = read_header(shard)
    with pytest.raises(WeightsError, match="became shorter while it was read"):
        read_facts(shard, header, ALL, chunk_bytes=64, advance=lambda amount: os.truncate(shard, 500))


def test_a_file_written_to_while_it_is_read_is_said_so(shard):
    def write(amount: int) -> None:
        with shard.open("r+b") as file:
            file.write(b"x")

    with pytest.raises(WeightsError, match="changed while it was read"):
        read_facts(shard, read_header(shard), ALL, advance=write)


def test_a_file_that_is_another_than_when_its_header_was_read_is_refused(shard):
    header = read_header(shard)
    with shard.open("ab") as file:
        file.write(b"x")
    with pytest.raises(WeightsError, match="changed while it was read"):
        read_facts(shard, header, ALL)


def test_the_identity_changes_with_the_file_even_where_size_and_time_do_not(shard):
    before = shard.stat()
    copy = shard.with_name("copy")
    copy.write_bytes(shard.read_bytes())
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy.replace(shard)
    after = shard.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert identity(before) != identity(after)
