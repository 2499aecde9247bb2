"""The documentation is true: its blocks run as they stand, its figures are measured, both languages say the same."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PYTHON = re.compile(r"^```python( torchrun)?\n(.*?)^```", re.M | re.S)
BLOCK = re.compile(r"^```sh( serve)?\n(.*?)^```", re.M | re.S)


def blocks(page: str, language: str = "en") -> list[tuple[bool, str]]:
    """The shell blocks of a page, each with whether it is the server's."""
    return [(bool(mark), text) for mark, text in BLOCK.findall((DOCS / language / page).read_text("utf-8"))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_every_page_is_there_in_both_languages():
    names = [{path.name for path in (DOCS / language).glob("*.md")} for language in ("en", "ko")]
    assert names[0] == names[1]
    assert names[0]


def test_the_korean_quickstart_gives_the_same_commands():
    assert set(blocks("quickstart.md", "ko")) <= set(blocks("quickstart.md"))
    assert len(blocks("quickstart.md", "ko")) == len(blocks("quickstart.md")) - 1  # without the Python example


@pytest.mark.slow
def test_the_quickstart_page_works_command_by_command(tmp_path):
    """Only the size of the model and the port are changed, to be quick and to disturb nobody."""
    port = str(free_port())
    script = "set -euo pipefail\n"
    server = None
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    try:
        for is_server, text in blocks("quickstart.md"):
            text = text.replace("8000", port).replace("train pretrain", "train pretrain --preset tiny --steps 5")
            if not is_server:
                script += text
                continue
            server = subprocess.Popen(
                text.split(), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, bufsize=1
            )
            assert port in server.stdout.readline()
        result = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, errors="replace"
        )
        assert result.returncode == 0, result.stderr
        assert "The server" in result.stdout
    finally:
        if server:
            server.terminate()
            server.wait()


def test_pages_and_plots_say_what_the_results_say():
    result = subprocess.run([sys.executable, DOCS / "build.py", "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_figure_that_nobody_measured_is_found(tmp_path):
    """The check can fail: a copy of the documentation with one digit changed."""
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copytree(DOCS.parent / "release" / "results", tmp_path / "release" / "results")
    page = tmp_path / "docs" / "en" / "model.md"
    page.write_text(page.read_text("utf-8").replace("| float32 | 1 | 1 |", "| float32 | 1 | 2 |", 1), "utf-8")
    command = [sys.executable, tmp_path / "docs" / "build.py", "--check"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "docs/en/model.md" in result.stderr
    assert "docs/ko" not in result.stderr


@pytest.mark.slow
def test_the_python_of_the_model_page_runs(tmp_path):
    texts = {language: PYTHON.findall((DOCS / language / "model.md").read_text("utf-8")) for language in ("en", "ko")}
    assert texts["en"] == texts["ko"]
    (tmp_path / "alone.py").write_text("\n".join(text for mark, text in texts["en"] if not mark))
    (tmp_path / "together.py").write_text("\n".join(text for mark, text in texts["en"] if mark))
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    for arguments in (
        ["-m", "modeling_axk1", "quickstart", "--preset", "tiny", "--steps", "2"],
        ["alone.py"],
        [*torchrun, "together.py"],
    ):
        result = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
