"""The documentation is true: its blocks run as they stand, its figures are measured, both languages say the same."""

import re
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer import Typer

from modeling_axk1.cli.hub import app as hub
from modeling_axk1.cli.weights import app as weights

DOCS = Path(__file__).parent.parent / "docs"
PYTHON = re.compile(r"^```python( torchrun)?\n(.*?)^```", re.M | re.S)
BLOCK = re.compile(r"^```sh( serve)?\n(.*?)^```", re.M | re.S)
FENCED = re.compile(r"^```(.*?)\n(.*?)^```", re.M | re.S)
# Words in a block, behind a command.
COMMENT = re.compile(r"  +# .*$", re.M)
# What a line is before its words: heading, table row, item of a list, fence or markup.
STRUCTURE = re.compile(r"^(#+ |\||- |```|<[^>]*>)", re.M)


def blocks(page: str, language: str = "en") -> list[tuple[bool, str]]:
    """The shell blocks of a page, each with whether it is the server's."""
    return [(bool(mark), text) for mark, text in BLOCK.findall((DOCS / language / page).read_text("utf-8"))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def anchor(heading: str) -> str:
    """What a link to a heading says, as renderers of Markdown make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def run_page(
    text: str, replaced: dict[str, str], folder: Path, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a page's shell blocks: the servers beside the whole rest, which is one script.

    Numbers of ports become free ones, and `replaced` makes small what takes long. `variables` join the environment.
    """
    found = BLOCK.findall(text)
    ports = {port: str(free_port()) for port in re.findall(r"--port (\d+)", text)}
    replaced = replaced | {
        f"{before}{port}": f"{before}{ours}" for port, ours in ports.items() for before in (":", "port ")
    }
    pattern = re.compile("|".join(map(re.escape, replaced)))
    found = [(mark, pattern.sub(lambda match: replaced[match[0]], block)) for mark, block in found]
    tree = str(DOCS.parent)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
    }
    environment |= {"PYTHONPATH": tree, "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment |= variables or {}
    environment |= {f"GIT_{who}_{what}": "page@test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    options = {"cwd": folder, "env": environment, "text": True}
    with ExitStack() as stack:
        for _, command in (block for block in found if block[0]):
            server = stack.enter_context(subprocess.Popen(command.split(), stdout=subprocess.PIPE, **options))
            stack.callback(server.terminate)
            assert " at http" in server.stdout.readline()
        script = "set -euo pipefail\n" + "".join(block for mark, block in found if not mark)
        return subprocess.run(["bash", "-c", script], capture_output=True, errors="replace", **options)


def hub_commands(app: Typer = hub, before: str = "axk1 hub") -> list[str]:
    """Every command of `axk1 hub`, those below `token` and others too."""
    own = [command.name or command.callback.__name__ for command in app.registered_commands]
    below = [found for group in app.registered_groups for found in hub_commands(group.typer_instance, group.name)]
    return [f"{before} {command}" for command in (*own, *below)]


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
    environment = {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
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


def test_pages_and_plots_say_what_the_results_say_and_a_figure_that_nobody_measured_is_found(tmp_path):
    """In a copy of the documentation with one digit changed, of a measurement and of a tensor; else all is as it is."""
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
    assert "say: docs/en/model.md, docs/en/weights.md; run" in result.stderr


@pytest.mark.slow
def test_the_python_of_the_first_page_and_of_the_model_page_runs(tmp_path):
    pages = {
        language: "".join((DOCS / language / name).read_text("utf-8") for name in ("index.md", "model.md"))
        for language in ("en", "ko")
    }
    texts = {language: PYTHON.findall(page) for language, page in pages.items()}
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


ALIKE = [
    *("weights.md", "hub.md", "hub-server.md", "index.md", "the-519b-release.md", "choosing-a-variant.md"),
    *("air-gapped.md", "check-what-you-downloaded.md", "training.md", "contributing.md", "model.md"),
    "run-it-on-a-small-machine.md",
]


@pytest.mark.parametrize("page", ALIKE)
def test_a_page_is_the_same_in_both_languages_but_for_its_words(page):
    texts = [(DOCS / language / page).read_text("utf-8") for language in ("en", "ko")]
    english, korean = ([(kind, COMMENT.sub("", block)) for kind, block in FENCED.findall(text)] for text in texts)
    assert english == korean
    texts[1] = re.sub(r"\A<!-- follows .*-->\n", "", texts[1])
    english, korean = (STRUCTURE.findall(re.sub('alt="[^"]*"', "", text)) for text in texts)
    assert english == korean


@pytest.mark.parametrize("page", sorted(DOCS.glob("*/*.md")), ids=lambda page: f"{page.parent.name}/{page.name}")
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            path, _, heading = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), target
            if heading:
                headings = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.M)
                assert heading in map(anchor, headings), target


def test_the_weights_page_shows_every_command():
    pages = ("weights.md", "run-it-on-a-small-machine.md")  # the second has `profile`
    commands = "".join(text for page in pages for _, text in blocks(page))
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
    environment = {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "HF_ENDPOINT": hub}
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


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_pages_about_hubs_show_every_command(language):
    shown = "".join(text for page in ("hub.md", "hub-server.md") for _, text in blocks(page, language))
    assert [command for command in hub_commands() if f"{command} " not in shown] == []


@pytest.mark.slow
def test_the_hub_page_works_block_by_block(tmp_path):
    """With a model of three steps; the examples of the cards are run in tests/hub/release."""
    shutil.copytree(DOCS.parent / "release", tmp_path / "release")
    quick = {"--preset nano": "--preset nano --steps 3", "hub check release-set": "hub check release-set --no-run"}
    quick |= {"--volume-size 4GB": "--volume-size 4MB"}
    result = run_page((DOCS / "en" / "hub.md").read_text("utf-8"), quick, tmp_path)
    assert result.returncode == 0, result.stderr
    said = result.stdout
    assert "nothing found" in said
    assert "every card is what its files give" in said
    # Four repositories: on the second hub, in two bundles, streamed, in the folder; and the one in the client's cache.
    assert said.count("every SHA-256 as published") == 4 * 5 + 1
    assert said.count("loads without this package") == 3
    assert "torch.bfloat16" in said
    assert (tmp_path / "copy" / "release.json").read_bytes() == (tmp_path / "release-set/release.json").read_bytes()


@pytest.mark.slow
def test_the_page_about_the_hub_itself_works_block_by_block(tmp_path):
    result = run_page((DOCS / "en" / "hub-server.md").read_text("utf-8"), {}, tmp_path)
    assert result.returncode == 0, result.stderr
    said = result.stdout
    assert '{"status":"ok"}' in said
    assert "minji: write in minji, team" in said
    assert "axk1_hub_free_bytes " in said
    assert "first (model)" in said
    assert "all sound" in said
    assert "every digest right" in said
    for name, line in (("axk1-hub.conf", "server_name hub.example.org;"), ("axk1-hub.service", "DynamicUser=yes")):
        assert line in (tmp_path / name).read_text()
