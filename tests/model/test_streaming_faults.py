"""A disk that fails, shards that change while a model runs, a person who stops it: an error, never a wrong token.

After an error the same model gives the right logits as soon as the fault is gone, even with a single slot.
"""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modeling_axk1.model.reading_axk1 import ALIGNMENT, Extent, Reading, ShardReader, extents_in, read_extent
from modeling_axk1.model.streaming_axk1 import StreamedPieces
from tests.model.faulty import FailingReader, logits, shards_of, with_nothing_kept, with_one_expert, write_model


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A checkpoint that no test changes, and its logits."""
    folder = tmp_path_factory.mktemp("written")
    return folder, write_model(folder)


@pytest.fixture
def folder(written, tmp_path):
    """A copy of it to change."""
    return Path(shutil.copytree(written[0], tmp_path / "checkpoint"))


@pytest.fixture(params=["one expert", "nothing kept"])
def streamed(request, monkeypatch):
    """Load a folder with so little memory that everything is read again and again."""
    if request.param == "one expert":
        return with_one_expert
    return lambda folder, **streaming: with_nothing_kept(folder, monkeypatch, **streaming)


class TestADiskThatFails:
    @pytest.mark.parametrize("number", [0, 1, 2, 5, 11, 20])
    def test_once_is_one_error_and_then_all_is_right(self, written, streamed, number):
        folder, right = written
        reader = FailingReader()
        model = streamed(folder, reader=reader)
        reader.reads, reader.fails = 0, lambda read: read == number
        with pytest.raises(OSError, match=r"Input/output error: .*safetensors"):
            while True:  # the failed read may have been a guess that nobody needed
                assert torch.equal(logits(model), right)
                assert reader.reads > number
                reader.reads, reader.fails = 0, lambda read: read >= number
        reader.fails = lambda read: False
        for _ in range(2):
            assert torch.equal(logits(model), right)

    def test_for_long_is_an_error_every_time_and_leaks_no_slot(self, written, streamed):
        folder, right = written
        chance = random.Random(0)
        reader = FailingReader()
        model = streamed(folder, reader=reader, threads=3)
        reader.fails = lambda read: chance.random() < 0.2
        for _ in range(8):
            with pytest.raises(OSError, match="Input/output error"):
                logits(model)
        reader.fails = lambda read: False
        assert torch.equal(logits(model), right)

    def test_what_is_wanted_anew_while_a_failed_read_is_under_way_costs_no_slot(self):
        gate, began = threading.Event(), threading.Event()

        class HalfFailing(FailingReader):
            def read(self, file, start, nbytes, buffer):
                if file == "fails" and not gate.is_set():
                    raise OSError(5, "Input/output error")
                began.set()
                gate.wait(5)
                buffer[start % ALIGNMENT : start % ALIGNMENT + nbytes] = bytes([1]) * nbytes

        parts = {name: Extent(name, 0, torch.uint8, (8,)) for name in ("slow", "fails")}
        pieces = StreamedPieces({0: parts, 1: parts}, 1, Reading(HalfFailing(), threads=2))
        pieces.want([0])
        began.wait(5)
        while pieces._entries[0].error is None:
            time.sleep(0.001)
        pieces.leave([0])  # a forward pass ended by another error
        pieces.want([0])
        gate.set()
        for key in (0, 1, 0):
            assert pieces.take(key)["fails"].tolist() == [1] * 8
            pieces.give(key)


def is_direct(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)


class TestReadsThatComeShort:
    @given(short=st.lists(st.integers(1, 9_000), min_size=1, max_size=20), start=st.integers(0, 9_000))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
    @pytest.mark.parametrize("direct", [True, False])
    def test_are_gone_on_with(self, tmp_path, monkeypatch, direct, short, start):
        raw = random.Random(0).randbytes(40_000)
        (tmp_path / "file").write_bytes(raw)
        counts = iter(short)

        def preadv(descriptor, buffers, offset):
            part = memoryview(buffers[0])[: next(counts, len(buffers[0]))]
            assert not is_direct(descriptor) or offset % ALIGNMENT == 0
            got = raw[offset : offset + len(part)]
            part[: len(got)] = got
            return len(got)

        monkeypatch.setattr(os, "preadv", preadv)
        extent = Extent(str(tmp_path / "file"), start, torch.uint8, (20_000,))
        assert bytes(read_extent(ShardReader(direct), extent).tolist()) == raw[start : start + 20_000]

    def test_a_file_system_that_refuses_direct_reads_is_read_otherwise(self, written, monkeypatch):
        folder, right = written
        refused = []

        def preadv(descriptor, buffers, offset, real=os.preadv):
            if is_direct(descriptor):
                refused.append(offset)
                raise OSError(22, "Invalid argument")
            return real(descriptor, buffers, offset)

        model = with_one_expert(folder)
        monkeypatch.setattr(os, "preadv", preadv)
        assert torch.equal(logits(model), right)
        assert refused

    def test_a_system_without_reads_at_a_place_reads_too(self, written, monkeypatch):
        """As Windows, which has no direct reads either."""
        monkeypatch.delattr(os, "preadv")
        monkeypatch.delattr(os, "O_DIRECT")
        assert torch.equal(logits(with_one_expert(written[0], threads=3)), written[1])


class TestAShardThatChanges:
    def test_one_that_lost_its_end_is_named(self, folder, streamed):
        model = streamed(folder)
        for shard in shards_of(folder):
            os.truncate(shard, shard.stat().st_size - 1000)
        with pytest.raises(ValueError, match=r"safetensors (was changed while the model was running|ends at byte)"):
            logits(model)

    def test_one_that_had_lost_its_end_before_is_named_in_loading(self, folder, streamed):
        shard = shards_of(folder)[1]
        os.truncate(shard, shard.stat().st_size - 1000)
        with pytest.raises(ValueError, match=f"{shard.name} cannot be read, it may be truncated"):
            streamed(folder)

    def test_one_written_anew_between_two_tokens_is_an_error(self, written, folder, streamed):
        model = streamed(folder)
        assert torch.equal(logits(model), written[1])
        for shard in shards_of(folder):
            raw = shard.read_bytes()
            shard.write_bytes(raw[:-5000] + bytes(5000))
        with pytest.raises(ValueError, match="safetensors was changed while the model was running"):
            logits(model)

    def test_one_changed_before_its_first_tensor_was_read_is_an_error(self, folder, streamed):
        """The model stands, and no expert was read yet: its place in the file is known from the old header."""
        model = streamed(folder)
        for shard in shards_of(folder):
            with shard.open("r+b") as file:
                file.seek(-100, os.SEEK_END)
                file.write(bytes(100))
        with pytest.raises(ValueError, match="safetensors was changed while the model was running"):
            logits(model)

    def test_one_changed_while_it_is_read_is_an_error(self, tmp_path, monkeypatch):
        path = tmp_path / "file"
        path.write_bytes(bytes(100_000))
        reader, extent = ShardReader(), Extent(str(path), 0, torch.uint8, (90_000,))
        read_extent(reader, extent)

        def preadv(descriptor, buffers, offset, real=os.preadv):
            path.write_bytes(b"\1" * 100_000)
            return real(descriptor, buffers, offset)

        monkeypatch.setattr(os, "preadv", preadv)
        with pytest.raises(ValueError, match="file was changed"):
            read_extent(reader, extent)

    def test_one_replaced_by_another_is_read_on_as_it_was(self, written, folder, streamed):
        model = streamed(folder)
        write_model(folder.parent / "other", seed=1)
        for shard in shards_of(folder.parent / "other"):
            shard.replace(folder / shard.name)
        for _ in range(2):
            assert torch.equal(logits(model), written[1])

    def test_header_and_tensors_are_of_one_file_whatever_takes_its_name(self, folder):
        shard = shards_of(folder)[0]
        reader = ShardReader()
        before = {name: read_extent(ShardReader(), extent) for name, extent in extents_in(str(shard)).items()}
        extents = extents_in(str(shard), reader)
        (folder / "other").write_bytes(b"\xff" * shard.stat().st_size)
        (folder / "other").replace(shard)
        for name, extent in extents.items():
            assert torch.equal(read_extent(reader, extent).view(torch.uint8), before[name].view(torch.uint8))


WAITING = """
import signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs without it
from pathlib import Path
import pytest
from tests.model.faulty import FailingReader, logits, with_nothing_kept, with_one_expert

class Slow(FailingReader):
    def read(self, *arguments):
        if self.slow:
            print("waiting", flush=True)
            time.sleep(0.1)
        super().read(*arguments)

reader = Slow()
reader.slow = False
model = with_nothing_kept(Path(sys.argv[1]), pytest.MonkeyPatch(), reader=reader, threads=1)
right = logits(model)
for _ in range(3):
    reader.slow = True
    try:
        print("begins", flush=True)
        logits(model)
    except KeyboardInterrupt:
        print("stopped", flush=True)
reader.slow = False
assert (logits(model) == right).all()
deadline = time.monotonic() + 5
def reading():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("axk1")]
while reading() and time.monotonic() < deadline:
    time.sleep(0.01)
print("left", reading(), flush=True)
"""


def test_ctrl_c_leaves_no_file_and_no_thread_and_a_model_that_goes_on(written):
    before = {path: path.stat().st_mtime_ns for path in written[0].rglob("*")}
    command = [sys.executable, "-c", WAITING, str(written[0])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = iter(process.stdout.readline, "")
        for _ in range(3):
            for awaited in ("begins\n", "waiting\n"):
                assert awaited in said  # which reads on until then
            time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert "stopped\n" in said
        assert [line for line in said if line != "waiting\n"] == ["left []\n"]
    assert process.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in written[0].rglob("*")} == before
