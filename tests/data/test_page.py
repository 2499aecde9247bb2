"""The page about data works block by block, and says the same in both languages."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from modeling_axk1.cli.data import app
from modeling_axk1.data.recipe import read_recipe

DOCS = Path(__file__).parent.parent.parent / "docs"
FENCED = re.compile(r"^```(.*?)\n(.*?)^```", re.M | re.S)
STRUCTURE = re.compile(r"^(#+ |\||- |```|<!-- .*? -->|\*\*\w+\*\*)", re.M)


def blocks(language: str = "en") -> list[tuple[str, str]]:
    return FENCED.findall((DOCS / language / "data.md").read_text("utf-8"))


def test_both_languages_have_the_same_blocks_and_structure():
    english, korean = ([one for one in blocks(language) if one[0] != "text"] for language in ("en", "ko"))
    assert english == korean
    texts = [(DOCS / language / "data.md").read_text("utf-8") for language in ("en", "ko")]
    assert STRUCTURE.findall(texts[0]) == STRUCTURE.findall(texts[1].partition("\n")[2])


def test_every_command_is_shown():
    commands = "".join(text for kind, text in blocks() if kind.startswith("sh"))
    for command in app.registered_commands:
        assert f"axk1 data {command.callback.__name__} " in commands


def test_its_recipe_is_one(tmp_path):
    (text,) = (text for kind, text in blocks() if kind == "toml")
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    recipe = read_recipe(tmp_path)
    assert recipe.step_names == ["normalise", "length", "language", "quality", "pii", "duplicates", "near_duplicates"]
    assert set(recipe.sources[0].languages) == {"en", "es", "ja"}


@pytest.mark.slow
def test_its_blocks_run_as_they_stand(tmp_path):
    """All but those that fetch packages; only the hub's port is another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    script, serve = "set -euo pipefail\n", ""
    for number, (kind, text) in enumerate(blocks()):
        text = text.replace("8000", port)
        if kind == "sh serve":
            serve = text
        elif kind == "python":
            (tmp_path / f"{number}.py").write_text(text, encoding="utf-8")
            script += f"python {number}.py\n"
        elif kind == "sh":
            script += text
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
    }
    options = {"cwd": tmp_path, "env": environment, "text": True}
    with subprocess.Popen(serve.split(), stdout=subprocess.PIPE, **options) as server:
        try:
            assert port in server.stdout.readline()
            result = subprocess.run(["bash", "-c", script], capture_output=True, **options)
        finally:
            server.terminate()
    assert result.returncode == 0, result.stderr
    assert "no document shares a run with the 2 documents of questions" in result.stdout
    assert "(texts, bad.txt) shares 4 runs with the evaluation texts" in result.stdout
