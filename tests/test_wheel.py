"""The wheel, installed away from the checkout, does the whole job too."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(ROOT)]
    subprocess.run(command, check=True)
    return next(out.glob("axk1-*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A clean environment that has the wheel itself, and borrows the libraries it depends on."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    purelib = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    # A folder named in a .pth file is searched after the environment's own, and .pth files in it (the one that makes
    # the checkout importable here) are not followed.
    (folder / purelib / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(command, check=True)
    return folder


def run(environment: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(environment / "bin" / command[0]), *command[1:]], cwd=cwd, env=clean, capture_output=True
    )


def test_it_ships_what_is_read_at_run_time(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "modeling_axk1/_shipped/LICENSE",
        "modeling_axk1/_shipped/NOTICE",
        "modeling_axk1/_shipped/data_cards/sample/recipe.toml",
        "modeling_axk1/_shipped/release/nano.toml",
        "modeling_axk1/_shipped/release/a.x-k1.toml",
        "modeling_axk1/_shipped/release/facts.toml",
        "modeling_axk1/_shipped/release/cards/model.en.md.jinja",
        "modeling_axk1/_shipped/release/cards/model.ko.md.jinja",
        "modeling_axk1/_shipped/release/cards/model/SECURITY.md.jinja",
        "modeling_axk1/_shipped/release/cards/data_card.md.jinja",
        "modeling_axk1/_shipped/tokenizer/chat_template.jinja",
        "modeling_axk1/model/modeling_axk1.py",
        "modeling_axk1/hub/server/browse/templates/base.html",
        "modeling_axk1/hub/server/browse/static/hub.css",
        "modeling_axk1/hub/server/browse/words/core.toml",
        "modeling_axk1/py.typed",
    } <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"modeling_axk1", "axk1"}


def test_the_package_is_the_installed_one_and_not_the_checkout(environment, tmp_path):
    result = run(environment, "python", "-c", "import modeling_axk1; print(modeling_axk1.__file__)", cwd=tmp_path)
    assert Path(result.stdout.decode().strip()).is_relative_to(environment), result.stderr


def test_quickstart_runs_from_it(environment, tmp_path):
    result = run(environment, "axk1", "quickstart", "--preset", "tiny", "--steps", "3", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr.decode()
    report = json.loads(result.stdout)
    assert report["verified"]["logits_max_abs_diff"] <= 1e-5
    assert report["commit"] is None
