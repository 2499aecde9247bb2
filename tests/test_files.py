"""Whole or not at all: what a crash, a full disk or an exception leaves behind is the old state."""

import os
import signal
import subprocess
import sys

import pytest

from modeling_axk1.files import (
    atomic_folder,
    atomic_write,
    atomic_write_text,
    file_digests,
    read_sums,
    sha256_file,
    write_sums,
)


def test_a_file_appears_with_all_its_bytes_or_stays_as_it_was(tmp_path):
    path = tmp_path / "deep" / "file"
    atomic_write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half of the new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["file"]
    atomic_write_text(path, "한국어")
    assert path.read_bytes() == "한국어".encode()


def test_a_folder_replaces_the_old_one_as_a_whole(tmp_path):
    target = tmp_path / "folder"
    with atomic_folder(target) as part:
        (part / "a").write_text("1")
        assert not target.exists()
    with pytest.raises(RuntimeError), atomic_folder(target) as part:
        (part / "b").write_text("2")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(target) == ["a"]
    with atomic_folder(target) as part:
        (part / "c").write_text("3")
    assert os.listdir(target) == ["c"]
    assert os.listdir(tmp_path) == ["folder"]


def test_a_killed_process_leaves_no_folder_and_the_next_run_cleans_up(tmp_path):
    program = """
import os, signal
from pathlib import Path
from modeling_axk1.files import atomic_folder
with atomic_folder(Path("out")) as part:
    (part / "half").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path)
    assert result.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    with atomic_folder(tmp_path / "out") as part:
        (part / "whole").write_text("x")
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == ["whole"]


def test_sums_are_those_of_sha256sum_and_read_back(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "deep file").write_bytes(b"\x00\xff")
    (tmp_path / "a").write_text("text")
    write_sums(tmp_path)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)
    assert list(read_sums(tmp_path)) == ["a", "b/deep file"]
    assert read_sums(tmp_path)["a"] == sha256_file(tmp_path / "a") == file_digests(tmp_path)["a"]
    before = (tmp_path / "SHA256SUMS").read_bytes()
    write_sums(tmp_path)
    assert (tmp_path / "SHA256SUMS").read_bytes() == before


@pytest.mark.parametrize(
    "line", ["abc  file", f"{'0' * 64} file", f"{'0' * 64}  ../file", f"{'0' * 64}  /etc/passwd", f"{'0' * 64}  ", "é"]
)
def test_a_line_that_is_no_sum_is_refused_with_its_number(tmp_path, line):
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  fine\n{line}\n")
    with pytest.raises(ValueError, match=r"SHA256SUMS, line 2: must be '<sha256>  <relative path>'"):
        read_sums(tmp_path)
