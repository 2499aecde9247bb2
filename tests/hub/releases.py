"""Small releases that tests publish, bundle, mirror and damage: a dataset and a model, signed."""

import hashlib
import json
from pathlib import Path

from modeling_axk1.checksums import write_sums
from modeling_axk1.weights.sign import generate_keys, sign


def flip(path: Path, at: int = -1) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def make_set(folder: Path, key: Path | None = None, tag: str = "v0.1") -> Path:
    """Make a release set of a dataset and a model, as `axk1 hub export` writes it; the model loads nowhere."""
    members = []
    for kind, name, files in (
        ("dataset", "team/text", {"data/train.parquet": b"PAR1" + bytes(5_000), "stats.json": b"{}\n"}),
        (
            "model",
            "team/nano",
            {"model.safetensors": bytes(range(256)) * 4_000, "config.json": b"{}\n", "말.txt": b"x"},
        ),
    ):
        place = f"{kind}s/{name}"
        (folder / place).mkdir(parents=True)
        (folder / place / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A release\n")
        for path, content in files.items():
            (folder / place / path).parent.mkdir(exist_ok=True)
            (folder / place / path).write_bytes(content)
        write_sums(folder / place)
        if key:
            sign(folder / place, key)
        sums = hashlib.sha256((folder / place / "SHA256SUMS").read_bytes()).hexdigest()
        members.append({"type": kind, "id": name, "folder": place, "sums_sha256": sums})
    content = {"format": "axk1-release-1", "name": "nano", "tag": tag, "repositories": members}
    (folder / "release.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return folder


def make_keys(folder: Path) -> tuple[Path, Path]:
    """Return a new private key and its public one."""
    return generate_keys(folder / "release.pem")
