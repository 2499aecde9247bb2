"""The page about the tokenizer works block by block, and says the same in both languages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"
FENCED = re.compile(r"^```(.*?)\n(.*?)^```", re.M | re.S)


def test_both_languages_have_the_same_blocks_and_headings():
    texts = [(DOCS / language / "tokenizer.md").read_text("utf-8") for language in ("en", "ko")]
    assert FENCED.findall(texts[0]) == FENCED.findall(texts[1])
    structure = [re.findall(r"^(#+ |- |```)", text, re.M) for text in texts]
    assert structure[0] == structure[1]


@pytest.mark.slow
def test_its_blocks_run_as_they_stand(tmp_path):
    blocks = FENCED.findall((DOCS / "en" / "tokenizer.md").read_text("utf-8"))
    shell = "set -euo pipefail\n" + "".join(text for kind, text in blocks if kind == "sh")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
    }
    script = "\n".join(text for kind, text in blocks if kind == "python")
    for command in (["bash", "-c", shell], [sys.executable, "-c", script]):
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
