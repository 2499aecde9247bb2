"""Programs that load a model apart from this process: nothing of its Python paths, its settings or its cache."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from modeling_axk1.errors import HubError

_LEFT_OUT = ("HF_", "HUGGING", "TRANSFORMERS_", "PYTHON")


def run_apart(program: Path, task: dict[str, Any], home: Path, what: str, **settings: str) -> dict[str, Any]:
    """Give `task` to a program as JSON on stdin and return what it prints as JSON.

    `home` is an empty folder for its caches; `settings` are environment variables. Raises HubError with `what` failed
    and the last line that the program wrote to stderr.
    """
    empty = home / "empty"
    empty.mkdir()
    # -P: neither the folder of the program nor the current one is on the import path.
    child = subprocess.run(
        [sys.executable, "-P", str(program)],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        cwd=empty,
        env=environment_apart(home, **settings),
        check=False,
    )
    if child.returncode != 0:
        raise HubError(f"{what}: {reason_of(child)}")
    findings: dict[str, Any] = json.loads(child.stdout)
    return findings


def environment_apart(home: Path, **settings: str) -> dict[str, str]:
    """Return the environment of such a program: ours without what steers Python and the hub's clients."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    return {**kept, "HF_HOME": str(home), "PYTHONUTF8": "1", **settings}


def reason_of(child: subprocess.CompletedProcess[str]) -> str:
    """Return why a program failed: the last line that it wrote to stderr."""
    said = [line.strip() for line in child.stderr.splitlines() if line.strip()]
    return said[-1] if said else f"exit status {child.returncode}"
