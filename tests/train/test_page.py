"""The page about training works block by block: all but its benchmarks, with a tiny model of a few steps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.test_docs import DOCS, FENCED

QUICK = ("train pretrain", "train pretrain --preset tiny --steps 2")


@pytest.mark.slow
def test_its_blocks_run(tmp_path):
    """The Python blocks are one program, as each goes on where the one before it ended."""
    page = FENCED.findall((DOCS / "en" / "training.md").read_text("utf-8"))
    shell = "".join(text for kind, text in page if kind == "sh" and "benchmarks/" not in text)
    (tmp_path / "page.py").write_text("\n".join(text for kind, text in page if kind == "python"), "utf-8")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.fspath(DOCS.parent),
        "OMP_NUM_THREADS": "1",  # other tests have the other cores
    }
    script = f"set -euo pipefail\n{shell.replace(*QUICK)}python page.py\n"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for folder in ("checkpoint", "tuned", "merged", "student"):
        with safe_open(tmp_path / folder / "model.safetensors", "pt") as weights:
            assert "model.layers.1.mlp.experts.down_proj" in weights.keys()  # noqa: SIM118 (it is no dict)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
