"""MANIFEST.json and SHA256SUMS say what is there, are written last, and whole or not at all."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import safe_open

from modeling_axk1.checksums import parse_sums
from modeling_axk1.errors import WeightsError
from modeling_axk1.files import sha256_file
from modeling_axk1.weights import facts as facts_module
from modeling_axk1.weights import state as state_module
from modeling_axk1.weights.check import check
from modeling_axk1.weights.manifest import read_manifest
from modeling_axk1.weights.record import record
from modeling_axk1.weights.survey import Reading
from tests.weights.checkpoints import names_in, write_tiny
from tests.weights.release import flip, write_release


@pytest.fixture
def folder(tmp_path):
    return write_release(tmp_path / "release")


def test_every_file_and_every_tensor_is_written_down(folder):
    report = record(folder)
    manifest = read_manifest(folder / "MANIFEST.json")
    assert (report.files, report.tensors) == (len(manifest.files), len(manifest.tensors)) == (7, 48)
    assert report.sha256 == sha256_file(folder / "MANIFEST.json")
    for name, entry in manifest.files.items():
        assert (entry.size, entry.sha256) == ((folder / name).stat().st_size, sha256_file(folder / name))
    for name, tensor in manifest.tensors.items():
        with safe_open(folder / tensor.shard, "pt") as shard:
            assert tuple(shard.get_tensor(name).shape) == tensor.shape


def test_sums_are_as_sha256sum_reads_them_and_list_the_manifest(folder):
    record(folder)
    result = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert result.returncode == 0, result.stderr
    listed = parse_sums((folder / "SHA256SUMS").read_bytes())
    assert set(listed) == {"MANIFEST.json", *read_manifest(folder / "MANIFEST.json").files}


def test_equal_folders_give_equal_bytes_however_they_are_read(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "copy")
    record(folder, reading=Reading(workers=1))
    record(other, reading=Reading(workers=5, memory=10 * 2**16))
    record(other)  # over its own work
    for name in ("MANIFEST.json", "SHA256SUMS"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


def test_bytes_are_read_once(folder, monkeypatch):
    read = 0
    fill = facts_module._fill

    def counted(file, chunk, name):
        nonlocal read
        read += len(chunk)
        fill(file, chunk, name)

    monkeypatch.setattr(facts_module, "_fill", counted)
    assert record(folder).bytes == read


def test_a_dry_run_reads_and_writes_nothing(folder, monkeypatch):
    monkeypatch.setattr(facts_module, "_fill", None)
    before = names_in(folder)
    report = record(folder, dry_run=True)
    assert (report.files, report.sha256) == (7, None)
    assert names_in(folder) == before


def test_an_unsound_checkpoint_is_not_written_down(folder):
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(WeightsError, match="model-00002-of-00003"):
        record(folder)
    assert "MANIFEST.json" not in names_in(folder)


def test_a_file_that_is_none_is_not_left_out_silently(folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(WeightsError, match="pipe must be a regular file"):
        record(folder)


def test_an_old_signature_is_said_not_to_fit(folder):
    (folder / "model.sig").touch()
    assert record(folder).notes == ["model.sig was made before this manifest and no longer fits: sign again"]
    assert record(folder).notes == []  # the same manifest as before


def test_a_folder_that_is_read_only_is_refused_before_anything_is_read(unprivileged, monkeypatch):
    folder = write_tiny(unprivileged / "checkpoint")
    monkeypatch.setattr(facts_module, "_fill", None)
    folder.chmod(0o555)
    with pytest.raises(WeightsError, match="cannot be written into: read-only, or not yours"):
        record(folder)
    folder.chmod(0o755)


@pytest.mark.parametrize("failing", ["MANIFEST.json", "SHA256SUMS"])
def test_a_full_disk_leaves_the_old_files_and_what_was_read_is_not_lost(folder, tmp_path, failing, monkeypatch):
    record(folder)
    flip(folder / "README.md")
    old = (folder / failing).read_bytes()
    state = tmp_path / "state.json"
    monkeypatch.setattr(state_module, "SAVE_SECONDS", 0)
    replace = Path.replace

    def full(self, target):
        if Path(target).name == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            record(folder, reading=Reading(state=state))
    assert (folder / failing).read_bytes() == old
    assert not [name for name in names_in(folder) if name.endswith(".part")]
    assert "7 files" in record(folder, reading=Reading(state=state)).notes[0]
    assert check(folder, tensors=True).ok
    assert not state.exists()


def test_a_disk_that_is_really_full_is_one_line_and_exit_1(folder):
    """A limit on file sizes cuts a write short in the middle, as a full disk does."""
    result = subprocess.run(
        [sys.executable, "-m", "modeling_axk1", "weights", "manifest", folder],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)),
    )
    assert (result.returncode, result.stderr) == (1, "axk1: error: File too large\n")
    assert not {"MANIFEST.json", "SHA256SUMS", ".MANIFEST.json.part"} & set(names_in(folder))


SLOW_RECORD = """
import sys, time
from pathlib import Path
from modeling_axk1.weights import record, state, survey

read = survey.read_facts
def slow(*args, **kwargs):
    time.sleep(0.03)
    return read(*args, **kwargs)
survey.read_facts, state.SAVE_SECONDS = slow, 0
print("ready", flush=True)
record.record(Path(sys.argv[1]), reading=survey.Reading(workers=2, state=Path(sys.argv[2])))
"""


def test_killed_at_any_moment_the_next_run_writes_the_same_bytes(folder, tmp_path):
    record(shutil.copytree(folder, tmp_path / "undisturbed"))
    state = tmp_path / "state.json"
    for delay in (0, 0.03, 0.06, 0.09, 0.12, 0.15):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW_RECORD, folder, state], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if "SHA256SUMS" in names_in(folder):  # written last: then all is there
            assert check(folder, tensors=True).ok
        record(folder, reading=Reading(state=state))
        for name in ("MANIFEST.json", "SHA256SUMS"):
            assert (folder / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
            (folder / name).unlink()


def test_the_cli_writes_compares_and_speaks_json(run_axk1, folder):
    before = names_in(folder)
    result = run_axk1("weights", "manifest", folder, "--dry-run")
    assert result.stdout.startswith("would write MANIFEST.json and SHA256SUMS: 7 files, 48 tensors, ")
    assert names_in(folder) == before
    report = json.loads(run_axk1("weights", "manifest", folder, "--json").stdout)
    assert report["sha256"] == sha256_file(folder / "MANIFEST.json")
    result = run_axk1("weights", "manifest", folder, "--check")
    assert (result.returncode, result.stderr) == (0, "")
    assert "compared with MANIFEST.json (48 tensors)" in result.stdout
    flip(folder / "model-00001-of-00003.safetensors")
    result = run_axk1("weights", "manifest", folder, "--check", "--json")
    assert result.returncode == 1
    assert json.loads(result.stdout)["problems"] == result.stderr.splitlines()
    assert len(result.stderr.splitlines()) == 2  # the file and the tensor in it


def test_there_must_be_a_manifest_to_compare_with(run_axk1, folder):
    result = run_axk1("weights", "manifest", folder, "--check")
    assert result.returncode == 1
    assert "must hold MANIFEST.json to be compared with; `axk1 weights manifest " in result.stderr
