"""The README is true: it maps every folder, its commands exist, its figures are the measured ones."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_commands import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def tracked_folders() -> set[str]:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return {Path(file).parts[0] for file in files if len(Path(file).parts) > 1}


def test_the_first_screen_has_the_two_commands():
    first_screen = "\n".join(README.splitlines()[:20])
    assert "make demo" in first_screen
    assert "make test" in first_screen


def test_the_map_names_every_folder():
    mapped = set(re.findall(r"^\| `([^`]+)/` \|", README, flags=re.M))
    rooms = {p.parent.relative_to(ROOT).as_posix() for p in (ROOT / "modeling_axk1").glob("*/__init__.py")}
    assert {f for f in tracked_folders() if not f.startswith(".")} <= mapped
    assert rooms <= mapped
    assert all((ROOT / folder).is_dir() for folder in mapped)


@pytest.mark.parametrize("command", re.findall(r"`(axk1 [^`]+)`", README))
def test_every_command_in_it_parses(command):
    words = shlex.split(command)[1:]
    if words[0].startswith("-"):
        return
    name = next((tuple(words[:n]) for n in (2, 1) if tuple(words[:n]) in COMMANDS), None)
    assert name is not None, f"{command} is not a command"
    arguments = words[len(name) :]
    if arguments:
        COMMANDS[name].make_context("axk1", arguments)


def test_its_figures_are_the_measured_ones():
    measured = json.loads((ROOT / "release" / "results" / "quickstart.json").read_text("utf-8"))
    shown = re.search(
        r"a model of\s+([\d.]+) million parameters.*took (\d+) seconds on (\d+) cores, and (\d+) seconds", README, re.S
    )
    assert shown is not None
    assert shown.groups() == (
        f"{measured['training']['parameters'] / 1e6:.1f}",
        f"{measured['first_run_seconds']:.0f}",
        f"{measured['machine']['cores']}",
        f"{measured['second_run_seconds']:.0f}",
    )
