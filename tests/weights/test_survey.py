"""Many files at once, within the memory given, and going on where a run that was stopped had been."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from modeling_axk1.errors import UsageError
from modeling_axk1.files import sha256_file
from modeling_axk1.weights import state as state_module
from modeling_axk1.weights import survey as survey_module
from modeling_axk1.weights.checkpoint import open_checkpoint
from modeling_axk1.weights.facts import Wanted, read_facts
from modeling_axk1.weights.store import Folder
from modeling_axk1.weights.survey import MIN_CHUNK_BYTES, Reading, survey
from modeling_axk1.weights.verify import verify
from tests.weights.checkpoints import write_tiny

ALL = Wanted(sha256=True, tensors=True, values=True)


@pytest.fixture
def folder(tmp_path):
    return write_tiny(tmp_path / "checkpoint", max_shard_bytes=500)


@pytest.fixture
def state(tmp_path, monkeypatch):
    """Where to remember; everything is worth it here."""
    monkeypatch.setattr(state_module, "SAVE_SECONDS", 0)
    return tmp_path / "state.json"


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that were really read, in order."""
    names: list[str] = []

    def counted(path, *args, **kwargs):
        names.append(path.name)
        return read_facts(path, *args, **kwargs)

    monkeypatch.setattr(survey_module, "read_facts", counted)
    return names


def look(folder: Path, reading: Reading):
    return survey(Folder(folder), open_checkpoint(folder).shards, ALL, reading, "testing")


@pytest.mark.parametrize("workers", [1, 2, 7, 50])
def test_the_facts_do_not_depend_on_the_number_of_workers(folder, workers):
    found = look(folder, Reading(workers=workers))
    assert found.digests() == {path.name: sha256_file(path) for path in folder.glob("*.safetensors")}
    assert found.facts == look(folder, Reading(workers=1)).facts
    assert found.problems == {}


def test_files_are_read_at_the_same_time(folder, monkeypatch):
    """Two readers meet in the middle of their files; one after another they would wait in vain."""
    meeting = threading.Barrier(2, timeout=20)

    def meet(*args, **kwargs):
        meeting.wait()
        return read_facts(*args, **kwargs)

    monkeypatch.setattr(survey_module, "read_facts", meet)
    names = sorted(open_checkpoint(folder).shards)[:2]
    shards = {name: open_checkpoint(folder).shards[name] for name in names}
    assert len(survey(Folder(folder), shards, ALL, Reading(workers=2), "testing").facts) == 2


def test_the_last_file_gets_the_worker_that_the_others_no_longer_need(folder, monkeypatch):
    """One big shard and a small file beside it is what a small model is: the small one is done at once."""
    asked = threading.Event()
    idle = {}

    def ordered(path, *args, helper, **kwargs):
        if path.name == names[0]:
            idle["at first"] = helper()
            asked.set()
            while helper() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            idle["at last"] = helper()
        else:
            asked.wait(20)
        return read_facts(path, *args, helper=helper, **kwargs)

    deadline = time.monotonic() + 20
    monkeypatch.setattr(survey_module, "read_facts", ordered)
    names = sorted(open_checkpoint(folder).shards)[:2]
    shards = {name: open_checkpoint(folder).shards[name] for name in names}
    survey(Folder(folder), shards, ALL, Reading(workers=2), "testing")
    assert idle["at first"] is None
    assert idle["at last"] is not None


def test_workers_and_memory_have_their_limits(folder):
    with pytest.raises(UsageError, match="workers must be at least 1, got 0"):
        verify(folder, reading=Reading(workers=0))
    least = 2 * 4 * MIN_CHUNK_BYTES
    with pytest.raises(UsageError, match=f"4 workers need at least {least:,} bytes of memory, got {least - 1:,}"):
        verify(folder, reading=Reading(workers=4, memory=least - 1))
    assert Reading(workers=4, memory=least).chunk_bytes() == MIN_CHUNK_BYTES
    assert verify(folder, reading=Reading(workers=4, memory=least)).ok


def test_what_an_earlier_run_read_is_not_read_again_and_that_is_said(folder, state, reads):
    first = look(folder, Reading(state=state))
    assert sorted(reads) == sorted(first.facts)
    reads.clear()
    second = look(folder, Reading(state=state))
    assert reads == []
    assert second.facts == first.facts
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert second.notes() == [
        f"{len(first.facts)} files of {size:,} bytes were read by an earlier run and are unchanged since: "
        "not read again (--fresh reads all)"
    ]
    look(folder, Reading(state=state, fresh=True))
    assert len(reads) == len(first.facts)


def test_a_file_replaced_between_two_runs_is_read_again(folder, state, reads):
    """Even where the new one has the size and the time of the old."""
    look(folder, Reading(state=state))
    reads.clear()
    shard = sorted(folder.glob("*.safetensors"))[1]
    status, raw = shard.stat(), bytearray(shard.read_bytes())
    raw[-1] ^= 1
    shard.with_name("new").write_bytes(raw)
    os.utime(shard.with_name("new"), ns=(status.st_atime_ns, status.st_mtime_ns))
    shard.with_name("new").replace(shard)
    assert look(folder, Reading(state=state)).facts[shard.name].sha256 == sha256_file(shard)
    assert reads == [shard.name]


def test_after_a_repair_only_the_repaired_shard_is_read(folder, state, reads):
    shard = sorted(folder.glob("*.safetensors"))[0]
    sound = shard.read_bytes()
    shard.write_bytes(sound[:-2] + b"\x80\x7f")
    assert not verify(folder, reading=Reading(state=state)).ok
    assert state.exists()
    reads.clear()
    shard.write_bytes(sound)
    assert verify(folder, reading=Reading(state=state)).ok
    assert reads == [shard.name]
    assert not state.exists()


def test_one_unreadable_file_does_not_keep_the_others_from_being_read(unprivileged):
    folder = write_tiny(unprivileged / "checkpoint")
    shard = folder / "model-00002-of-00003.safetensors"
    shards = open_checkpoint(folder).shards
    shard.chmod(0)
    found = survey(Folder(folder), shards, ALL, Reading(), "testing")
    assert found.problems == {shard.name: f"{shard.name}: Permission denied"}
    assert len(found.facts) == 2


def test_the_cli_takes_over_what_was_read_and_says_so(run_axk1, folder, state):
    shard = sorted(folder.glob("*.safetensors"))[0]
    sound = shard.read_bytes()
    shard.write_bytes(sound[:-2] + b"\x80\x7f")
    verify(folder, reading=Reading(state=state))
    shard.write_bytes(sound)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) - len(sound)
    result = run_axk1("weights", "verify", folder, "--state", state, "--workers", 1, "--memory", "1MiB")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"note: 12 files of {size:,} bytes were read by an earlier run" in result.stdout
    assert not state.exists()
    verify(folder, reading=Reading(state=state))
    assert "earlier run" not in run_axk1("weights", "verify", folder, "--state", state, "--fresh").stdout


# A shell that starts the tests in the background has them ignore SIGINT, and what they start inherits that.
SLOW_VERIFY = """
import signal, sys, time
from pathlib import Path
from modeling_axk1.weights import state, survey, verify

signal.signal(signal.SIGINT, signal.default_int_handler)
read = survey.read_facts
def slow(*args, **kwargs):
    time.sleep(float(sys.argv[3]))
    return read(*args, **kwargs)
survey.read_facts, state.SAVE_SECONDS = slow, 0
print("ready", flush=True)
reading = survey.Reading(workers=2, state=Path(sys.argv[2]))
verify.verify(Path(sys.argv[1]), reading=reading)
"""


def start(folder, state, seconds_a_file: float = 0.02) -> subprocess.Popen:
    command = [sys.executable, "-c", SLOW_VERIFY, folder, state, str(seconds_a_file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def test_killed_at_random_moments_the_next_run_says_what_an_undisturbed_one_says(folder, state):
    shard = sorted(folder.glob("*.safetensors"))[3]
    shard.write_bytes(shard.read_bytes()[:-2] + b"\x80\x7f")
    undisturbed = verify(folder)
    assert len(undisturbed.problems) == 1
    rng = random.Random(0)
    saved = 0
    for _ in range(12):
        process = start(folder, state)
        while rng.random() < 0.99 and not state.exists():  # now and then killed before anything is remembered
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.communicate()
        saved += state.exists()
        if saved and rng.random() < 0.5:
            continue  # the next run is killed as well
        report = verify(folder, reading=Reading(state=state))
        assert report.problems == undisturbed.problems
        state.unlink(missing_ok=True)
    assert saved > 3


def test_an_interrupted_run_ends_at_once_and_remembers(folder, state):
    # So slow that the run is not over before the signal arrives, however busy the machine is.
    process = start(folder, state, seconds_a_file=0.5)
    while not state.exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode != 0
    assert stderr.strip().endswith("KeyboardInterrupt")
    assert "were read by an earlier run" in verify(folder, reading=Reading(state=state)).notes[-1]


def test_big_arrays_are_read_in_bounded_memory(tmp_path):
    """64 MiB in one tensor are read through two buffers of 64 KiB for each worker."""
    import tracemalloc

    from modeling_axk1.weights.write import RawTensor, write_checkpoint

    write_checkpoint({"a": RawTensor("F32", (1 << 24,), np.zeros(1 << 24, "<f4"))}, tmp_path)
    tracemalloc.start()
    look(tmp_path, Reading(workers=2, memory=4 * MIN_CHUNK_BYTES))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20
