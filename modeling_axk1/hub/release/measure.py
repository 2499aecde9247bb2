"""What a stored form of a model costs: its loss on held-out text and its distance from the model as it was trained."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import HubError

GOLDEN = "golden/logits.safetensors"

# On one thread, a model of some hundred million parameters takes minutes for these.
MOST_TOKENS = 16_384


def measure(folder: Path, dataset: Path, window: int) -> dict[str, Any]:
    """Measure the model repository `folder` and record its golden logits; see measure_child.py for what comes back.

    Raises HubError when the model does not load.
    """
    task = {
        "folder": str(folder.resolve()),
        "golden": str((folder / GOLDEN).resolve()),
        "texts": [str((dataset / name).resolve()) for name in _validation_files(dataset)],
        "window": window,
        "most_tokens": MOST_TOKENS,
    }
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_", "PYTHON"))
    }
    with tempfile.TemporaryDirectory(prefix="axk1-measure-") as home:
        environment = {**kept, "HF_HOME": home, "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
        child = subprocess.run(
            [sys.executable, "-P", str(Path(__file__).with_name("measure_child.py"))],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=home,
            env=environment,
            check=False,
        )
    if child.returncode != 0:
        said = [line.strip() for line in child.stderr.splitlines() if line.strip()]
        raise HubError(f"{folder.name} does not load: {said[-1] if said else f'exit status {child.returncode}'}")
    findings: dict[str, Any] = json.loads(child.stdout)
    return findings


def _validation_files(dataset: Path) -> list[str]:
    names = parse_sums((dataset / SUMS_FILE).read_bytes())
    found = [name for name in names if name.startswith("data/") and Path(name).name.startswith("validation-")]
    if not found:
        raise HubError(f"{dataset} has no validation split to measure on; `axk1 data build` makes one")
    return found
