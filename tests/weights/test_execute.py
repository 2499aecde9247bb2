"""A plan is carried out whole or not at all: killed, out of room or refused, the next run goes on and ends the same."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.files import file_digests, part_name
from modeling_axk1.weights import execute as execute_module
from modeling_axk1.weights.convert import Conversion, convert
from modeling_axk1.weights.execute import execute
from modeling_axk1.weights.order import Sharding
from modeling_axk1.weights.reshard import plan_reshard, reshard
from modeling_axk1.weights.sparse import write_sparse_checkpoint
from tests.weights.checkpoints import WIDE, names_in, wide_checkpoint, write_tiny

ROOT = Path(__file__).parent.parent.parent
SMALL = Sharding(shard_bytes=900)


@pytest.fixture
def source(tmp_path):
    return write_tiny(tmp_path / "source")


@pytest.fixture
def in_small_pieces(monkeypatch):
    """Chunks of 100 bytes, and a note of how far it is after every 200."""
    monkeypatch.setattr(execute_module, "_LARGEST_CHUNK", 100)
    monkeypatch.setattr(execute_module, "_SMALLEST_CHUNK", 1)
    monkeypatch.setattr(execute_module, "_FLUSH_BYTES", 200)
    monkeypatch.setattr(execute_module, "_NOTE_BYTES", 200)


class Broken(Exception):
    """Stands for a power cut: no code of ours handles it."""


def break_after(monkeypatch, calls: int) -> None:
    """Let the writing of chunks fail after so many."""
    count = iter(range(calls))
    carry_out = execute_module.ShardWriter.carry_out

    def breaking(self, chunk):
        if next(count, None) is None:
            raise Broken
        return carry_out(self, chunk)

    monkeypatch.setattr(execute_module.ShardWriter, "carry_out", breaking)


def test_out_appears_whole_and_nothing_stays_beside_it(source, tmp_path):
    done = reshard(source, tmp_path / "out", SMALL)
    assert (done.resumed_bytes, done.tensors) == (0, 48)
    assert names_in(tmp_path) == ["out", "source"]


@pytest.mark.usefixtures("in_small_pieces")
@pytest.mark.parametrize("calls", [0, 1, 7, 30, 60])
def test_an_interrupted_run_leaves_no_out_and_the_next_goes_on(source, tmp_path, monkeypatch, calls):
    reshard(source, tmp_path / "whole", SMALL)
    with monkeypatch.context() as patch:
        break_after(patch, calls)
        with pytest.raises(Broken):
            reshard(source, tmp_path / "out", SMALL, workers=1)
    assert not (tmp_path / "out").exists()
    done = reshard(source, tmp_path / "out", SMALL, workers=1)
    assert done.resumed_bytes > 0 or calls < 30
    assert file_digests(tmp_path / "out") == file_digests(tmp_path / "whole")


def test_errors_of_rounding_are_the_same_after_an_interruption(tmp_path, monkeypatch):
    monkeypatch.setattr(execute_module, "_LARGEST_CHUNK", 20_000)
    monkeypatch.setattr(execute_module, "_FLUSH_BYTES", 1)
    monkeypatch.setattr(execute_module, "_NOTE_BYTES", 1)
    source = wide_checkpoint(tmp_path / "source")
    sharding = Sharding(shard_bytes=200_000)
    whole = convert(source, tmp_path / "whole", Conversion(weights="int4"), sharding, workers=1)
    with monkeypatch.context() as patch:
        break_after(patch, 150)
        with pytest.raises(Broken):
            convert(source, tmp_path / "out", Conversion(weights="int4"), sharding, workers=1)
    resumed = convert(source, tmp_path / "out", Conversion(weights="int4"), sharding, workers=1)
    assert resumed.resumed_bytes > 0
    assert resumed.errors == whole.errors
    assert file_digests(tmp_path / "out") == file_digests(tmp_path / "whole")


def test_what_is_finished_is_not_done_again(source, tmp_path):
    reshard(source, tmp_path / "out", SMALL)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    again = reshard(source, tmp_path / "out", SMALL)
    assert (again.resumed_bytes, again.errors) == (again.bytes, None)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.usefixtures("in_small_pieces")
@pytest.mark.parametrize("change", ["other plan", "source touched", "state damaged", "unfinished shard gone"])
def test_what_another_run_left_is_not_taken_for_this_one_s(source, tmp_path, monkeypatch, change):
    with monkeypatch.context() as patch:
        break_after(patch, 40)
        with pytest.raises(Broken):
            reshard(source, tmp_path / "out", SMALL, workers=1)
    sharding = SMALL
    part = part_name(tmp_path / "out")
    if change == "other plan":
        sharding = Sharding(shard_bytes=800)
    elif change == "source touched":
        os.utime(source / "model-00001-of-00003.safetensors", ns=(1, 1))
    elif change == "state damaged":
        (part / "state.json").write_text('{"key": 3')
    else:
        for path in (part / "files").glob(".*.part"):
            path.unlink()
    reshard(source, tmp_path / "whole", sharding)
    reshard(source, tmp_path / "out", sharding)
    assert file_digests(tmp_path / "out") == file_digests(tmp_path / "whole")


def test_a_state_whose_files_went_with_out_counts_for_nothing(source, tmp_path, monkeypatch):
    """Killed after the last rename, before the state was taken away; then somebody removed OUT."""
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        reshard(source, tmp_path / "out", SMALL)
    expected = file_digests(tmp_path / "out")
    assert (part_name(tmp_path / "out") / "state.json").exists()
    shutil.rmtree(tmp_path / "out")
    reshard(source, tmp_path / "out", SMALL)
    assert file_digests(tmp_path / "out") == expected


@pytest.mark.usefixtures("in_small_pieces")
def test_a_shard_begun_anew_is_not_taken_for_as_far_as_it_was(source, tmp_path, monkeypatch):
    """Killed when a shard had its name and that was not noted yet; then once more, early in the same shard."""
    reshard(source, tmp_path / "whole", SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(execute_module, "fsync_folder", lambda _: (_ for _ in ()).throw(Broken))
        with pytest.raises(Broken):
            reshard(source, tmp_path / "out", SMALL, workers=1)
    with monkeypatch.context() as patch:
        break_after(patch, 1)
        with pytest.raises(Broken):
            reshard(source, tmp_path / "out", SMALL, workers=1)
    reshard(source, tmp_path / "out", SMALL)
    assert file_digests(tmp_path / "out") == file_digests(tmp_path / "whole")


@pytest.mark.usefixtures("in_small_pieces")
def test_a_file_is_not_closed_under_a_thread_that_writes_to_it(source, tmp_path, monkeypatch):
    """Its number would go to the next file that is opened, and the bytes with it."""
    writing, closed_under = [], []
    close = execute_module.ShardWriter.close

    def failing_after_others_began(self, chunk):
        writing.append(self)
        time.sleep(0.05 * len(writing))  # the first fails while others write
        writing.remove(self)
        raise Broken

    def watched(self):
        closed_under.append(self in writing)
        close(self)

    monkeypatch.setattr(execute_module.ShardWriter, "carry_out", failing_after_others_began)
    monkeypatch.setattr(execute_module.ShardWriter, "close", watched)
    with pytest.raises(Broken):
        reshard(source, tmp_path / "out", SMALL, workers=4)
    assert closed_under
    assert not any(closed_under)


def test_out_must_be_new_or_empty(source, tmp_path):
    (tmp_path / "empty").mkdir()
    reshard(source, tmp_path / "empty", SMALL)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(UsageError, match=r"OUT must be a new or empty folder, and .*full holds something else"):
        reshard(source, tmp_path / "full", SMALL)
    assert names_in(tmp_path / "full") == ["thesis.txt"]


def test_too_little_room_is_said_before_anything_is_written(source, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**4, 9_000, 1_000))
    with pytest.raises(WeightsError, match=r"must have 1[0-9],[0-9]{3} bytes free, and has 1,000"):
        reshard(source, tmp_path / "out", SMALL)


def test_too_little_memory_is_said_with_what_it_takes(source, tmp_path):
    with pytest.raises(UsageError, match=r"memory must be at least [0-9,]+ bytes for 2 workers, got 1,000"):
        reshard(source, tmp_path / "out", SMALL, memory=1_000, workers=2)


def test_only_one_at_a_time_writes_to_the_same_place(source, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    part = part_name(tmp_path / "out")
    part.mkdir()
    with (part / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="another process is at work there"):
            reshard(source, tmp_path / "out", SMALL)


def test_a_source_that_shrinks_meanwhile_is_named(source, tmp_path):
    plan, stores = plan_reshard(source, SMALL)
    os.truncate(source / "model-00002-of-00003.safetensors", 1_500)
    with pytest.raises(WeightsError, match=r"model-00002-of-00003.safetensors became shorter"):
        execute(plan, stores, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_the_kernel_cannot_copy_bytes_are_read_and_written(source, tmp_path, monkeypatch):
    reshard(source, tmp_path / "kernel", SMALL)

    def refused(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refused, raising=False)
    reshard(source, tmp_path / "read", SMALL)
    assert file_digests(tmp_path / "kernel") == file_digests(tmp_path / "read")


LIMITED = """
import resource, sys
from pathlib import Path
from modeling_axk1.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.argv = ["axk1", "weights", "reshard", *sys.argv[1:]]
main()
"""


def test_a_disk_that_fills_up_meanwhile_costs_nothing(tmp_path):
    """The system refuses to let a file grow, as a full disk does; given room, the same command goes on."""
    source = wide_checkpoint(tmp_path / "source")
    arguments = [source, tmp_path / "out", "--shard-size", "400KB"]
    command = [sys.executable, "-c", LIMITED, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert re.search(
        r"File too large \([0-9]+ of 12 shards are kept there; make room and run it again\)", result.stderr
    )
    assert not (tmp_path / "out").exists()
    reshard(source, tmp_path / "out", Sharding(shard_bytes=400_000))
    reshard(source, tmp_path / "whole", Sharding(shard_bytes=400_000))
    assert file_digests(tmp_path / "out") == file_digests(tmp_path / "whole")


def test_a_target_that_cannot_be_written_is_one_line(run_axk1, source):
    result = run_axk1("weights", "reshard", source, "/proc/nowhere/out")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "/proc/nowhere" in result.stderr


MEASURED = """
import sys
import time
from pathlib import Path
from modeling_axk1.cli import main
sys.argv = ["axk1", "weights", *sys.argv[1:]]
try:
    main()
finally:
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024, "torch" in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
@pytest.mark.parametrize(
    ("command", "memory", "torch"),
    [
        (("reshard", "--by", "layer"), 256, False),
        (("convert", "--layout", "per-expert"), 256, False),
        (("convert", "--to", "fp32"), 448, True),
        (("convert", "--to", "int4"), 448, True),
    ],
)
def test_memory_stays_within_the_budget_whatever_a_tensor_s_size(tmp_path, command, memory, torch):
    """One fused tensor is 0.5 GB, of holes; what is not converted never meets torch."""
    config = WIDE | {"num_hidden_layers": 2, "n_routed_experts": 64, "hidden_size": 2048, "moe_intermediate_size": 1024}
    source = tmp_path / "source"
    write_sparse_checkpoint(source, config, shards=3)
    run = [
        sys.executable,
        "-c",
        MEASURED,
        command[0],
        source,
        tmp_path / "out",
        *command[1:],
        "--memory",
        f"{memory}MiB",
    ]
    result = subprocess.run([str(word) for word in run], capture_output=True, text=True, cwd=ROOT, check=True)
    peak, has_torch = result.stdout.splitlines()[-1].split()
    assert int(peak) <= memory * 2**20
    assert has_torch == str(torch)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("reshard", {"sharding": {"shard_bytes": 400_000}}),
        ("reshard", {"sharding": {"by": "expert-rank", "parts": 2}}),
        ("convert", {"conversion": {"layout": "per-expert"}}),
        ("convert", {"conversion": {"weights": "fp8"}, "sharding": {"shard_bytes": 400_000}}),
        ("convert", {"conversion": {"weights": "int4"}}),
    ],
)
def test_killed_at_50_random_moments_it_ends_the_same(interrupted, tmp_path, call, what):
    """OUT is never there before it is whole, and always the same to the byte."""
    source = wide_checkpoint(tmp_path / "source")
    interrupted.kill_50_times(call, {"source": str(source), **what}, tmp_path / "work")
