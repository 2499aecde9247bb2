"""The documentation is true: its blocks run as they stand, its figures are measured, both languages say the same."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from modeling_axk1.cli.weights import app as weights

DOCS = Path(__file__).parent.parent / "docs"
PYTHON = re.compile(r"^```python( torchrun)?\n(.*?)^```", re.M | re.S)
BLOCK = re.compile(r"^```sh( serve)?\n(.*?)^```", re.M | re.S)
FENCED = re.compile(r"^```(.*?)\n(.*?)^```", re.M | re.S)
# What a line is before its words: heading, table row, item of a list, fence or markup.
STRUCTURE = re.compile(r"^(#+ |\||- |```|<[^>]*>)", re.M)


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
    """The check can fail: a copy of the documentation with one digit changed, of a measurement and of a tensor."""
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copytree(DOCS.parent / "release" / "results", tmp_path / "release" / "results")
    for name, true, false in (
        ("model.md", "| float32 | 1 | 1 |", "| float32 | 1 | 2 |"),
        ("weights.md", "| [576, 7168] |", "| [512, 7168] |"),
    ):
        page = tmp_path / "docs" / "en" / name
        assert true in page.read_text("utf-8")
        page.write_text(page.read_text("utf-8").replace(true, false, 1), "utf-8")
    command = [sys.executable, tmp_path / "docs" / "build.py", "--check"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "docs/en/model.md, docs/en/weights.md" in result.stderr
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


def test_the_weights_page_is_the_same_in_both_languages_but_for_its_words():
    texts = [(DOCS / language / "weights.md").read_text("utf-8") for language in ("en", "ko")]
    assert FENCED.findall(texts[0]) == FENCED.findall(texts[1])
    english, korean = (STRUCTURE.findall(re.sub('alt="[^"]*"', "", text)) for text in texts)
    assert english == korean


@pytest.mark.parametrize("page", sorted(DOCS.glob("*/*.md")), ids=lambda page: f"{page.parent.name}/{page.name}")
def test_links_lead_somewhere(page):
    text = page.read_text("utf-8")
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_weights_page_shows_every_command():
    commands = "".join(text for _, text in blocks("weights.md"))
    for command in weights.registered_commands:
        assert f"axk1 weights {command.callback.__name__} " in commands


@pytest.mark.slow
def test_the_weights_page_works_block_by_block(tmp_path):
    """On the page's own small checkpoint; skt/A.X-K1 is that one too, published to a hub of this test."""
    page = FENCED.findall((DOCS / "en" / "weights.md").read_text("utf-8"))
    script = [
        f"python - <<'END'\n{text}END\n" if kind == "python" else text
        for kind, text in page
        if kind == "python" or (kind == "sh" and "benchmarks/" not in text)
    ]
    hub = f"http://127.0.0.1:{free_port()}"
    script[0] += "cp -r small published\necho Small. > published/README.md\n"
    script[0] += f"axk1 hub publish published --repo skt/A.X-K1 --to {hub}\n"
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8", "HF_ENDPOINT": hub}
    serve = ["axk1", "hub", "serve", "--root", "hub", "--port", hub.rpartition(":")[2]]
    options = {"cwd": tmp_path, "env": environment, "text": True}
    with subprocess.Popen(serve, stdout=subprocess.PIPE, **options) as server:
        try:
            assert hub in server.stdout.readline()
            command = ["bash", "-c", "set -euo pipefail\n" + "".join(script)]
            result = subprocess.run(command, capture_output=True, errors="replace", **options)
            assert result.returncode == 0, result.stderr
        finally:
            server.terminate()
    assert "missing: 0" in result.stdout
