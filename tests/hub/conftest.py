import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import HfApi

from modeling_axk1.hub.server import serving


@dataclass
class Hub:
    """A hub that runs for the tests of a module, and a stock client for it."""

    root: Path
    endpoint: str
    api: HfApi

    def git_folder(self, repo_id: str, kind: str = "models") -> Path:
        return self.root / "repositories" / kind / f"{repo_id}.git"

    def git(self, repo_id: str, *arguments: str, kind: str = "models") -> str:
        return git(self.git_folder(repo_id, kind), *arguments)


def git(folder: Path, *arguments: str) -> str:
    """Real git, which knows nothing of dulwich; fails on a non-zero exit."""
    command = ["git", "-c", "safe.directory=*", "-C", str(folder), *arguments]
    # On a machine with git-lfs, a clone would ask the folder it came from for large files.
    environment = {**os.environ, "GIT_LFS_SKIP_SMUDGE": "1"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def fsck(folder: Path) -> str:
    """What git finds wrong with a repository: nothing, when it is sound."""
    command = ["git", "-c", "safe.directory=*", "-C", str(folder), "fsck", "--full", "--strict"]
    result = subprocess.run(command, capture_output=True, text=True)
    problems = [line for line in (result.stdout + result.stderr).splitlines() if not line.startswith("dangling")]
    return "\n".join(problems) + (f"exit {result.returncode}" if result.returncode else "")


@pytest.fixture(autouse=True, scope="session")
def large_files_over_lfs() -> Iterator[None]:
    """What HF_HUB_DISABLE_XET=1 in the environment of a stock client does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        patch.setenv("HF_HUB_DISABLE_XET", "1")
        yield


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    root = tmp_path_factory.mktemp("hub")
    with serving(root) as endpoint:
        yield Hub(root, endpoint, HfApi(endpoint=endpoint, token=False))


@pytest.fixture
def repo(hub: Hub, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh model repository, named after the test."""
    name = f"team/{request.node.originalname or request.node.name}"[:60].strip("_")
    hub.api.create_repo(name)
    yield name
    hub.api.delete_repo(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small model folder: text, a non-ASCII name, a subfolder, an empty file, two large ones."""
    path = tmp_path / "folder"
    (path / "sub").mkdir(parents=True)
    (path / "README.md").write_text("---\nlicense: apache-2.0\npipeline_tag: text-generation\n---\n# A model\n")
    (path / "sub" / "empty.txt").write_bytes(b"")
    (path / "한글 이름.txt").write_text("안녕\n")
    (path / "model.safetensors").write_bytes(bytes(range(256)) * 8_000)
    # No suffix of a large file, but over the limit of what git itself holds.
    (path / "tokenizer.json").write_bytes(b'{"x": 1}' * 1_400_000)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".gitattributes" and ".git" not in path.relative_to(folder).parts
    }


@pytest.fixture
def clone(hub: Hub, tmp_path: Path):
    """Clone a repository with real git, large files as pointers."""

    def clone(repo_id: str, kind: str = "models") -> Path:
        target = tmp_path / "clone"
        shutil.rmtree(target, ignore_errors=True)
        git(tmp_path, "clone", "-q", str(hub.git_folder(repo_id, kind)), str(target))
        return target

    return clone
