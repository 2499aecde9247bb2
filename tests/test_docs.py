"""The documentation is true: the quickstart page's blocks are run as they stand, and both languages say the same."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
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
