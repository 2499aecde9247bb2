"""Clients in environments of their own: the oldest that this project admits, and those that are installed.

An environment is a folder before all else on PYTHONPATH: the clients stand in it, what they share with the installed
ones (torch, pyarrow) is borrowed. It is built once, in pytest's cache.
"""

import fcntl
import hashlib
import os
import pickle
import re
import select
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENTS = ("huggingface_hub", "transformers", "datasets")
AGES = ("oldest", "newest")

# One test may upload ten thousand files; a client that hangs must not hang the suite.
_PATIENCE_S = 900

# Installs into the folder TARGET what its distributions ask for and do not find, until nothing is missing.
_COMPLETE = """
import importlib.metadata as metadata, subprocess, sys
from packaging.requirements import Requirement
target, *names = sys.argv[1:]
missing = []
for name in names:
    for text in metadata.requires(name) or []:
        need = Requirement(text)
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            fits = need.specifier.contains(metadata.version(need.name), prereleases=True)
        except metadata.PackageNotFoundError:
            fits = False
        if not fits and need.name.replace("-", "_") in names:
            sys.exit(f"{name} {metadata.version(name)} does not go with {need.name} {metadata.version(need.name)}")
        if not fits:
            missing.append(f"{need.name}{need.specifier}")
if missing:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
    subprocess.run([*pip, "--target", target, *missing], check=True)
"""


def oldest_requirements() -> list[str]:
    """Return the oldest client of each kind that pyproject.toml admits, like "huggingface_hub==2.0"."""
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    floors = {match[1]: match[2] for need in needs if (match := re.match(r"([\w-]+)>=([\d.]+)", need))}
    return [f"{name}=={floors[name]}" for name in CLIENTS]


def environment_folder(cache: Path, requirements: list[str]) -> Path:
    """Return the folder with these clients, built first where it is not there yet."""
    key = hashlib.sha256("\n".join([sys.prefix, sys.version, *requirements]).encode()).hexdigest()[:16]
    folder = cache / key
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers of pytest-xdist wait here
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as building:
                pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", building, *requirements]
                subprocess.run(pip, check=True, capture_output=True, text=True)
                complete = [sys.executable, "-c", _COMPLETE, building, *CLIENTS]
                subprocess.run(complete, check=True, env={**os.environ, "PYTHONPATH": building})
                Path(building).rename(folder)
                Path(building).mkdir()  # for the context manager to remove
    return folder


@dataclass
class Client:
    """A Python in which a client of some age is installed, and a process of it that runs tests one by one."""

    age: str
    env: dict[str, str]
    scripts: Path
    versions: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the process; it says which versions it has."""
        command = [sys.executable, "-m", "tests.conformance.worker"]
        self._process = subprocess.Popen(command, env=self.env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.versions = self._answer()

    def call(self, module: str, function: str, arguments: dict[str, object]) -> str | None:
        """Run a function in the process; return None, or how it failed."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        pickle.dump((module, function, arguments), self._process.stdin)
        self._process.stdin.flush()
        return self._answer()

    def run(self, *command: object, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command in this environment; `hf` is this client's own."""
        name, *arguments = map(str, command)
        path = self.scripts / name if (self.scripts / name).exists() else name
        return subprocess.run(
            [path, *arguments],
            env={**self.env, **env},
            capture_output=True,
            text=True,
            input=stdin,
            timeout=_PATIENCE_S,
        )

    def python(self, program: str, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program in a fresh Python of this environment."""
        return self.run(sys.executable, "-c", program, *arguments, **env)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _answer(self) -> object:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _PATIENCE_S)
        if not ready:
            self.stop()
            return f"the client said nothing for {_PATIENCE_S} s"
        try:
            return pickle.load(self._process.stdout)
        except EOFError:
            return f"the client's process ended with {self._process.wait()}"
