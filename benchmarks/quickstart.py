"""How long the whole way takes: `axk1 quickstart` twice in an empty folder, first building, then reusing.

    python benchmarks/quickstart.py

Writes release/results/quickstart.json, from which the README takes its figures.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULT = Path(__file__).resolve().parent.parent / "release" / "results" / "quickstart.json"


def timed_run(folder: Path) -> dict:
    """Run the command as a person would and return its report with the seconds of the whole process."""
    command = [sys.executable, "-m", "modeling_axk1", "quickstart", "--json", "--out", "quickstart"]
    started = time.monotonic()
    output = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {**json.loads(output), "process_seconds": round(time.monotonic() - started, 1)}


def main() -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as folder:
        built, reused = timed_run(Path(folder)), timed_run(Path(folder))
        train = json.loads((Path(folder) / "quickstart" / "checkpoint" / "train.json").read_text(encoding="utf-8"))
    result = {
        "command": "python benchmarks/quickstart.py",
        "first_run_seconds": built["process_seconds"],
        "second_run_seconds": reused["process_seconds"],
        "step_seconds": built["seconds"],
        "reused_steps": reused["reused"],
        "logits_max_abs_diff": built["verified"]["logits_max_abs_diff"],
        "training": train["measured"],
        "seed": train["settings"]["seed"],
        **{key: built[key] for key in ("machine", "versions", "commit")},
    }
    RESULT.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
