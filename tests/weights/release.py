"""A release that the tests of this folder record, sign and damage."""

from pathlib import Path

from tests.weights.checkpoints import write_tiny


def write_release(folder: Path) -> Path:
    """A sound checkpoint with what else a release has: a card, a folder of its own, git's attributes."""
    write_tiny(folder)
    (folder / "README.md").write_text("# A.X K1\n")
    (folder / "golden").mkdir()
    (folder / "golden" / "logits.txt").write_text("1 2 3\n")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    return folder


def flip(path: Path, place: int = -1) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
