"""A newcomer's first minutes, walked: clone, `make demo`, and then nothing but what it printed, as it printed it.

In an empty home, with an environment of two variables and no network. Only the download of packages is left out: the
environment that `make demo` would fill borrows the libraries of this one, and gets the package by the same
`pip install -e .`. Filling it from nothing is what .ci/run starts with, on a fresh machine; what that run has built is
reused here, as a second `make demo` reuses it, and else built now.
"""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.hub.test_air_gapped import LOOPBACK_UP, without_network

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
MODEL = "local/A.X-K1-quickstart"

# What a browser does, as far as a test can see: ask for a page as HTML, wherever it is.
BROWSER = """
import sys, urllib.request
for address in sys.argv[1:]:
    with urllib.request.urlopen(urllib.request.Request(address, headers={"Accept": "text/html"})) as answer:
        assert answer.headers.get_content_type() == "text/html", answer.headers.get_content_type()
        print(answer.read().decode())
"""


class Text(HTMLParser):
    """The words of a page, without its markup."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words = ""
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words += data


class Newcomer:
    """Somebody in an empty home who types commands, and whose every command is counted."""

    def __init__(self, home: Path) -> None:
        self.home, self.typed = home, []
        self.namespace, self.changes = without_network()
        (home / "up.py").write_text(LOOPBACK_UP)
        (home / "browser.py").write_text(BROWSER)

    def types(self, command: str, folder: Path, *, before: str = "", after: str = "") -> str:
        """Type a command and wait for its end; `before` and `after` are what no person has to type."""
        self.typed.append(command)
        up = f"'{sys.executable}' '{self.home}/up.py'" if self.namespace else "true"
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), **self.changes}
        done = subprocess.run(
            [*self.namespace, "bash", "-euc", f"{up}\n{before}\n{command}{after}"],
            cwd=folder, env=environment, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return Newcomer(home)


@pytest.fixture(scope="module")
def demo(newcomer):
    """The folder after `make demo`, and what it printed at its end."""
    newcomer.types(f"git clone --quiet '{ROOT}' axk1", newcomer.home)
    folder = newcomer.home / "axk1"
    newcomer.typed.append("cd axk1")
    _install(folder)
    if (ROOT / "axk1-quickstart" / "steps.json").is_file():
        shutil.copytree(ROOT / "axk1-quickstart", folder / "axk1-quickstart")
    (command,) = re.findall(r"^(make demo)\b", README, flags=re.M)
    return folder, newcomer.types(command, folder)


def _install(folder: Path) -> None:
    """Do what the Makefile does for the demo, but take the libraries from here; it then finds its work done."""
    venv.create(folder / ".venv", with_pip=False)
    python = folder / ".venv" / "bin" / "python"
    purelib = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    (folder / ".venv" / purelib / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "-e", folder]
    subprocess.run(command, check=True, capture_output=True)
    (folder / ".venv" / ".installed").touch()


def printed(said: str) -> list[str]:
    """The commands in what `make demo` printed: indented by two spaces, each a paragraph of its own."""
    return re.findall(r"^\n  (\S.*)\n$", said[said.index("hub  ") :], flags=re.M)


@pytest.mark.slow
def test_from_a_clone_to_a_loaded_model_and_a_card_in_a_browser(newcomer, demo):
    folder, said = demo
    ask, serve, more = printed(said)
    (address,) = re.findall(r"http://\S+", said)

    assert "The server" in newcomer.types(ask, folder)
    assert newcomer.typed == [f"git clone --quiet '{ROOT}' axk1", "cd axk1", "make demo", ask], "four to a loaded model"

    # The hub in the background, and a browser that is pointed at the address printed beside it.
    front = address.removesuffix(f"/{MODEL}")
    look = f"""
    hub=$!
    trap 'kill $hub' EXIT
    for _ in $(seq 600); do grep -q ' at http' hub.log && break; sleep 0.1; done
    '{sys.executable}' ~/browser.py '{front}/' '{address}'
    """
    pages = newcomer.types(serve, folder, after=f" >hub.log 2>&1 &\n{look}")
    list_page, card_page = (Text(page).words for page in pages.split("<!doctype html>")[1:])
    assert MODEL in list_page
    assert MODEL.rpartition("/")[2] in card_page
    measured = json.loads((folder / "axk1-quickstart/checkpoint/train.json").read_text())["measured"]
    assert f"{measured['validation_loss']:.3f}" in card_page
    assert f"{measured['bits_per_byte']:.3f}" in card_page

    assert "On a laptop" in newcomer.types(more, folder)
    assert len(newcomer.typed) == 6


@pytest.mark.slow
def test_in_an_activated_environment_the_commands_are_shorter(demo):
    folder, said = demo
    names = [command.split()[0] for command in printed(said)]
    assert names == [".venv/bin/python", ".venv/bin/axk1", ".venv/bin/axk1"]
    code = "from modeling_axk1.cli.quickstart import commands_here; print(*commands_here())"
    for path, expected in ((folder / ".venv/bin", "axk1 python"), ("/bin", ".venv/bin/axk1 .venv/bin/python")):
        environment = {"PATH": f"{path}:/usr/bin:/bin", "HOME": str(folder)}
        shown = subprocess.run(
            [folder / ".venv/bin/python", "-c", code], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert shown.stdout.strip() == expected
