import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from modeling_axk1.checksums import write_sums
from modeling_axk1.data.build import plan_folder, write
from modeling_axk1.files import file_digests
from modeling_axk1.hub.export import export_release
from modeling_axk1.hub.release.manifest import Manifest, read_manifest
from modeling_axk1.hub.release.sbom import SBOM_FILE
from modeling_axk1.hub.release_set import read_release, write_release
from modeling_axk1.model.presets import PRESETS
from modeling_axk1.tokenizer.recipe import Recipe
from modeling_axk1.tokenizer.train import train as train_tokenizer
from modeling_axk1.train.loop import Settings
from modeling_axk1.train.pretrain import plan, pretrain

NANO = Path(__file__).parents[3] / "release" / "nano.toml"
MODEL = "models/local/A.X-K1-nano"
INT4 = "models/local/A.X-K1-nano-INT4"
DATA = "datasets/local/A.X-K1-sample-corpus"


@dataclass(frozen=True)
class Made:
    """What release/nano.toml is exported from, and the set that came of it."""

    inputs: Path
    set: Path

    @property
    def manifest(self) -> Manifest:
        return read_manifest(NANO, inputs=self.inputs)


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Made:
    """A real release set of a barely trained model; made once, whichever worker of pytest-xdist comes first."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "release-made"
    root.mkdir(exist_ok=True)
    result = Made(root / "inputs", root / "set")
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.set.exists():
            _make_inputs(result.inputs)
            export_release(result.manifest, result.set)
    return result


def _make_inputs(root: Path) -> None:
    source = root / "stories"
    source.mkdir(parents=True)
    for number in range(30):
        text = " ".join(f"The {animal} counts to {number * k}." for k, animal in enumerate(["cat", "owl"] * 12))
        (source / f"{number:02}.txt").write_text(text)
    out = root / "axk1-nano"
    data = write(plan_folder(source, "en", "Apache-2.0"), out / "data").out
    train_tokenizer([data], out / "tokenizer", Recipe(vocab_size=512))
    # Fewer experts and layers, so that a test may copy the set and read it again.
    small = {"num_hidden_layers": 2, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1}
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(PRESETS, "nano", {**PRESETS["nano"], **small})
        pretrain(plan(data, out / "tokenizer", Settings(steps=2), "nano", 4, 32), out / "checkpoint")


@pytest.fixture
def copied(made, tmp_path) -> Path:
    """A copy of the dataset and two of the models as a set, to be broken."""
    out = tmp_path / "set"
    for folder in (DATA, MODEL, INT4):
        shutil.copytree(made.set / folder, out / folder)
    release = read_release(made.set)
    kept = [(entry.type, entry.id) for entry in release.repositories if entry.folder in (DATA, MODEL, INT4)]
    write_release(out, release.name, release.tag, kept)
    return out


def mend(release: Path) -> None:
    """Make digests right again after a file was changed, so that nothing but the change itself is wrong."""
    import json

    found = read_release(release)
    for entry in found.repositories:
        folder = release / entry.folder
        (folder / "MANIFEST.json").unlink(missing_ok=True)
        sbom = json.loads((folder / SBOM_FILE).read_text())
        digests = file_digests(folder)
        kept = [one for one in sbom["components"] if one["type"] != "file"]
        files = [
            {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}
            for name, digest in digests.items()
            if name not in (SBOM_FILE, "SHA256SUMS", "model.sig")
        ]
        (folder / SBOM_FILE).write_text(json.dumps({**sbom, "components": kept + files}))
        write_sums(folder)
    write_release(release, found.name, found.tag, [(entry.type, entry.id) for entry in found.repositories])
