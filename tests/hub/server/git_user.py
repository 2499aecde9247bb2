"""Somebody with stock git and git-lfs, and nothing else of this machine's settings."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SETTINGS = """\
[user]
    name = Somebody
    email = somebody@example.org
[init]
    defaultBranch = main
[protocol "file"]
    allow = always
[filter "lfs"]
    clean = git-lfs clean -- %f
    smudge = git-lfs smudge -- %f
    process = git-lfs filter-process
    required = true
"""


@dataclass
class GitUser:
    """Runs git in `folder`; `git(...)` fails on an error, `refused(...)` returns what git said when it failed."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / ".gitconfig").write_text(SETTINGS)

    def run(self, *arguments: str | Path, at: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["git", *map(str, arguments)],
            cwd=at or self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_TERMINAL_PROMPT": "0",
                "LC_ALL": "C.UTF-8",
                **environment,
            },
        )

    def git(self, *arguments: str | Path, at: Path | None = None, **environment: str) -> str:
        done = self.run(*arguments, at=at, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refused(self, *arguments: str | Path, at: Path | None = None) -> str:
        done = self.run(*arguments, at=at)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def clone(self, url: str, name: str = "clone", *options: str) -> Path:
        """Clone a repository; git-lfs takes part in its pushes, as after `git lfs install`."""
        self.git("clone", "-q", *options, url, name)
        self.git("lfs", "install", "--local", "--force", at=self.folder / name)
        return self.folder / name

    def commit(self, clone: Path, files: dict[str, bytes], message: str = "Change") -> str:
        """Write files, commit them, and return the commit's id."""
        for name, content in files.items():
            path = clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.git("add", "-A", at=clone)
        self.git("commit", "-q", "-m", message, at=clone)
        return self.git("rev-parse", "HEAD", at=clone)
