"""Compare text with a golden file, to the letter."""

import os
from pathlib import Path

_FOLDER = Path(__file__).parent / "golden"


def assert_golden(name: str, text: str) -> None:
    """Fail unless tests/golden/NAME holds exactly `text`; with AXK1_WRITE_GOLDEN=1 write it there instead.

    A file written so is read by a person before it is committed.
    """
    path = _FOLDER / name
    if os.environ.get("AXK1_WRITE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
