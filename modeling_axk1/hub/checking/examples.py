"""Examples: every Python block of a card runs, in a process of its own that reaches no network.

The repositories of the set lie there under their names, so that `from_pretrained("me/nano")` finds them as folders.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from modeling_axk1.hub.card import CARDS
from modeling_axk1.hub.checking.subject import Subject
from modeling_axk1.hub.child import environment_apart, reason_of

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
_SECONDS = 600


def check_examples(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield (card, what an example said last) of every example that does not run."""
    if subject.is_plan:
        return
    blocks = dict.fromkeys(
        (page, block)
        for page in CARDS.values()
        if page in subject.files
        for block in _BLOCK.findall(subject.text(page))
    )
    with tempfile.TemporaryDirectory(prefix="axk1-examples-") as home:
        work = Path(home) / "work"
        for name, (_, folder) in {subject.repo_id: (subject.type, subject.folder), **subject.beside}.items():
            place = work / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(folder.resolve(), target_is_directory=True)
        for page, block in blocks:
            if problem := _run(block, work, Path(home)):
                yield page, f"an example does not run: {problem:.200}"


def _run(block: str, work: Path, home: Path) -> str | None:
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-c", block],
            cwd=work,
            env=environment_apart(home / "hf", HF_HUB_OFFLINE="1"),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {_SECONDS} seconds"
    return None if child.returncode == 0 else reason_of(child)
