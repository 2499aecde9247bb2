"""run-it-on-a-small-machine.md, block by block, on a tiny model that stands in for the release."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.speaking import speaking_model

DOCS = Path(__file__).parent.parent.parent / "docs"
FENCED = re.compile(r"^```(.*?)\n(.*?)^```", re.M | re.S)


@pytest.mark.slow
def test_its_blocks_run_as_they_stand_but_for_the_size(tmp_path):
    speaking_model(tmp_path / "A.X-K1")
    (tmp_path / "my-mails.txt").write_text("Dear all, the experts are in memory. Yours, the router.")
    (tmp_path / "notes.jsonl").write_text('{"text": "Disks are not dear."}\n')
    page = (DOCS / "en" / "run-it-on-a-small-machine.md").read_text("utf-8").replace("16GiB", "3GiB")
    shell = "set -euo pipefail\n" + "".join(text for kind, text in FENCED.findall(page) if kind == "sh")
    script = "".join(text for kind, text in FENCED.findall(page) if kind == "python")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(DOCS.parent),
        "HOME": str(tmp_path / "home"),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
    }
    for command, last in ((["bash", "-c", shell], "-> mails.json"), ([sys.executable, "-c", script], "Counts(hits=")):
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert last in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        *("A.X-K1", "my-mails.txt", "notes.jsonl"),
        *("answer.json", "mails.json"),
    }
