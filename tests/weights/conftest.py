"""What tests of this folder share: a process to start once and kill many times, and a folder of nobody special."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from modeling_axk1.files import file_digests
from tests.weights.checkpoints import names_in

ROOT = Path(__file__).parent.parent.parent


class Interrupted:
    """Carries out calls in the process of interrupted.py, and kills them."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.weights.interrupted"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def run(self, call: str, arguments: dict, kill_after: float | None = None) -> str:
        self._say(json.dumps({"call": call, "arguments": arguments}))
        child = int(self.process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        self._say("")
        return self.process.stdout.readline().strip()

    def kill_50_times(self, call: str, arguments: dict, folder: Path) -> None:
        """Whatever a kill leaves, OUT is whole if it is there, and the run that is let be makes the same files."""
        folder.mkdir()
        whole, out = folder / "whole", folder / "out"
        for _ in range(2):  # the first time the process must start and import
            shutil.rmtree(whole, ignore_errors=True)
            started = time.monotonic()
            assert self.run(call, {**arguments, "out": str(whole)}) == "done"
            seconds = time.monotonic() - started
        expected = file_digests(whole)
        rng = random.Random(0)
        kills = 0
        while kills < 50:
            result = self.run(call, {**arguments, "out": str(out)}, kill_after=rng.uniform(0, 0.9 * seconds))
            assert result in ("killed", "done")
            kills += result == "killed"
            if out.exists():
                assert file_digests(out) == expected
                shutil.rmtree(out)
        assert self.run(call, {**arguments, "out": str(out)}) == "done"
        assert file_digests(out) == expected
        assert names_in(folder) == ["out", "whole"]

    def _say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


@pytest.fixture(scope="package")
def interrupted():
    running = Interrupted()
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture
def unprivileged():
    """A folder of somebody who is not root: for root no permission is ever missing."""
    with tempfile.TemporaryDirectory() as home:
        if os.geteuid() != 0:
            yield Path(home)
            return
        os.chown(home, 65534, 65534)
        os.seteuid(65534)
        try:
            yield Path(home)
        finally:
            os.seteuid(0)
