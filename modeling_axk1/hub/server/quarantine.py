"""The objects of a push that is not accepted yet, read with git in the environment of its hook."""

import os
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Self


class Quarantine:
    """A push inside its hook: what came, and what the repository had."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["git", "cat-file", "--batch-command"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ids(self) -> Iterator[str]:
        """Yield the id of every object that came."""
        folder = os.environ.get("GIT_QUARANTINE_PATH")
        if folder is None:
            return  # a push that only removes references
        # One pack, or none: `receive.unpackLimit` leaves no loose objects.
        if any(Path(folder).glob("[0-9a-f][0-9a-f]/*")):
            raise ValueError("a push must arrive as a pack")
        for index in Path(folder).glob("pack/*.idx"):
            with index.open("rb") as file:
                listed = subprocess.run(["git", "show-index"], stdin=file, capture_output=True, check=True).stdout
            for line in listed.splitlines():
                yield line.split()[1].decode()

    def info(self, oid: str) -> tuple[str, int]:
        """Return (type, size in bytes) of an object; LookupError when there is none."""
        return self._ask("info", oid)

    def read(self, oid: str) -> tuple[str, bytes]:
        """Return (type, content) of an object; LookupError when there is none."""
        kind, size = self._ask("contents", oid)
        assert self._process.stdout is not None
        return kind, self._process.stdout.read(size + 1)[:-1]

    def peel(self, oid: str) -> str | None:
        """Return the commit that an object is or that a tag names, None when it's something else."""
        found = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", f"{oid}^{{commit}}"],
            capture_output=True,
            text=True,
            check=False,
        )
        return found.stdout.strip() or None

    def is_ancestor(self, old: str, new: str) -> bool:
        """Tell whether the history of `new` holds `old`."""
        return subprocess.run(["git", "merge-base", "--is-ancestor", old, new], check=False).returncode == 0

    def references(self) -> set[str]:
        """Return the full names of the references before the push."""
        return set(_git("for-each-ref", "--format=%(refname)").splitlines())

    def name_of(self, oid: str) -> str:
        """Return a path at which the push has an object, for a person to read; its id when nothing leads to it."""
        return self._paths.get(oid, oid)

    @cached_property
    def _paths(self) -> dict[str, str]:
        tips = [oid for oid in self.ids() if self.info(oid)[0] == "commit"]
        known = [f"^{oid}" for oid in _git("for-each-ref", "--format=%(objectname)").splitlines()]
        listed = _git("rev-list", "--objects", "--stdin", given="".join(f"{tip}\n" for tip in [*tips, *known]))
        return {line[:40]: line[41:] for line in listed.splitlines() if len(line) > 41}

    def _ask(self, command: str, oid: str) -> tuple[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command} {oid}\n".encode())
        self._process.stdin.flush()
        answer = self._process.stdout.readline().decode().split()
        if len(answer) != 3:
            raise LookupError(oid)
        return answer[1], int(answer[2])


def _git(*arguments: str, given: str = "") -> str:
    done = subprocess.run(["git", *arguments], input=given.encode(), capture_output=True, check=True)
    return done.stdout.decode("utf-8", "backslashreplace")
