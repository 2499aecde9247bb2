"""Whole or not at all: what a crash, a full disk or an exception leaves behind is the old state."""

import os
import signal
import subprocess
import sys

import pytest

from modeling_axk1.files import atomic_folder, atomic_write, atomic_write_text, file_digests, sha256_file


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


def test_digests_of_a_folder_are_by_relative_path_in_order(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "deep").write_bytes(b"")
    (tmp_path / "a").write_bytes(b"abc")
    assert list(file_digests(tmp_path)) == ["a", "b/deep"]
    assert file_digests(tmp_path)["a"] == sha256_file(tmp_path / "a")
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
