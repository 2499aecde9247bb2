"""What a stored form of a model costs: its loss on held-out text and its distance from the model as it was trained."""

import tempfile
from pathlib import Path
from typing import Any

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import HubError
from modeling_axk1.hub.child import run_apart

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
    with tempfile.TemporaryDirectory(prefix="axk1-measure-") as home:
        program = Path(__file__).with_name("measure_child.py")
        return run_apart(program, task, Path(home), f"{folder.name} does not load", HF_HUB_OFFLINE="1")


def _validation_files(dataset: Path) -> list[str]:
    names = parse_sums((dataset / SUMS_FILE).read_bytes())
    found = [name for name in names if name.startswith("data/") and Path(name).name.startswith("validation-")]
    if not found:
        raise HubError(f"{dataset} has no validation split to measure on; `axk1 data build` makes one")
    return found
