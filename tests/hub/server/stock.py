"""A stock client in a process of its own: huggingface_hub with the hf_xet wheel, and nothing set but HF_ENDPOINT."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_PROGRAM = """
import json, sys
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
api = HfApi()
calls = {"hf_hub_download": hf_hub_download, "snapshot_download": snapshot_download}
answers = []
for name, arguments in json.load(sys.stdin):
    answers.append(str(calls.get(name, getattr(api, name, None))(**arguments)))
print(json.dumps(answers))
"""


def outcome_of(
    endpoint: str, home: Path, *calls: tuple[str, dict[str, Any]], token: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Make calls in one process whose caches are in `home`: (function, its keyword arguments)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment = {**kept, "HOME": str(home), "HF_ENDPOINT": endpoint, **({"HF_TOKEN": token} if token else {})}
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps(calls, default=str),
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )


def call(endpoint: str, home: Path, *calls: tuple[str, dict[str, Any]], token: str | None = None) -> list[str]:
    """Make calls as `outcome_of` does; return their answers as text. Fails when one of them does."""
    done = outcome_of(endpoint, home, *calls, token=token)
    assert done.returncode == 0, done.stderr
    answers: list[str] = json.loads(done.stdout.splitlines()[-1])
    return answers
