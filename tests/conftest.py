"""What several test folders share: a small vocabulary, small models in both implementations, one way to run the CLI."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
import torch

from modeling_axk1 import AXK1Config
from modeling_axk1.cli import main
from modeling_axk1.model.presets import PRESETS

# Threads of one test wait for those of the other worker's where all want every core; subprocesses inherit the number.
THREADS = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
os.environ["OMP_NUM_THREADS"] = str(THREADS)
torch.set_num_threads(THREADS)
# How long an example takes is the machine's affair.
hypothesis.settings.register_profile("axk1", deadline=None)
hypothesis.settings.load_profile("axk1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of slow tests: workers then end together, with files that take seconds."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def tiny_config(**changes) -> AXK1Config:
    """The preset `tiny` with a vocabulary of 128 and the three special tokens at its end."""
    defaults = {"vocab_size": 128, "bos_token_id": 125, "pad_token_id": 126, "eos_token_id": 127}
    return AXK1Config(**{**PRESETS["tiny"], **defaults, **changes})


@pytest.fixture
def run_axk1():
    """Run `python -m modeling_axk1 ARGS` as a person would, in a process of its own."""

    def run(*args: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "modeling_axk1", *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **(env or {})})

    return run


@pytest.fixture
def run_axk1_here(monkeypatch, capsys):
    """Run the command within this process, where a case is one of many and each would import torch anew."""

    def run(*args: object, cwd: Path) -> subprocess.CompletedProcess:
        command = ["axk1", *map(str, args)]
        capsys.readouterr()
        with monkeypatch.context() as patched:
            patched.chdir(cwd)
            patched.setattr(sys, "argv", command)
            with pytest.raises(SystemExit) as ended:
                main()
        written = capsys.readouterr()
        return subprocess.CompletedProcess(command, ended.value.code or 0, written.out, written.err)

    return run
