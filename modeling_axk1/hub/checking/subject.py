"""What a rule looks at: one repository's folder, and the release set around it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

# Git's own, and what the hub keeps itself.
_LEFT_OUT = (".git", ".gitattributes", ".cache")


@dataclass(frozen=True)
class Finding:
    """One broken rule: which, in which file of which repository, and what it got."""

    repository: str
    rule: str
    file: str
    message: str

    def __str__(self) -> str:
        return f"{self.repository}: {self.file}: {self.message} [{self.rule}]"


@dataclass(frozen=True)
class Subject:
    """A repository that is checked.

    `repo_id` is its name where that is known; `beside` are {name: (type, folder)} of all repositories of its set,
    itself among them.
    """

    folder: Path
    type: Literal["model", "dataset"]
    repo_id: str
    beside: Mapping[str, tuple[str, Path]] = field(default_factory=dict)
    in_set: bool = False

    @cached_property
    def files(self) -> list[str]:
        """Relative paths of all files, in order."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if not path.is_dir())
        return sorted(path.as_posix() for path in found if path.parts[0] not in _LEFT_OUT)

    @cached_property
    def pages(self) -> dict[str, str]:
        """{name: text} of the Markdown files."""
        return {name: self.text(name) for name in self.files if name.lower().endswith(".md")}

    def text(self, name: str) -> str:
        """Return a file's text; what is no UTF-8 is replaced."""
        return (self.folder / name).read_text(encoding="utf-8", errors="replace")

    @property
    def is_plan(self) -> bool:
        """Whether it is planned, without weights."""
        return (self.folder / "results/plan.json").is_file()
