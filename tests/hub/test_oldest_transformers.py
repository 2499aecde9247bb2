"""The exported remote code on an older transformers than the package needs, on the oldest it admits, on the newest."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import transformers
from safetensors.torch import load_file, save_file

from modeling_axk1.hub import verify_child
from modeling_axk1.hub.export import export
from modeling_axk1.weights.encodings import encoding_named, quantised_config
from tests.hub.test_export import NAMES, made  # noqa: F401 (a fixture)
from tests.model.test_loading import one_by_one
from tests.weights.quantised import encoded

PYPROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"
# The code that travels does without huggingface_hub 2, which is what asks pyproject for a newer one.
OLDEST_FOR_EXPORT = "5.15"

# What a stranger does beyond `verify`: other heads, the layout of January 2026, eight bits through Auto classes and
# directly, a checkpoint with a hole.
PROGRAM = """
import sys
import torch, transformers
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
whole, single, quantised, damaged = (
    dict(pretrained_model_name_or_path=path, trust_remote_code=True) for path in sys.argv[1:]
)
model = AutoModelForCausalLM.from_pretrained(**whole)
assert type(model).__module__.startswith("transformers_modules."), type(model)
state = AutoModelForCausalLM.from_pretrained(**single).state_dict()
assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
classifier = AutoModelForSequenceClassification.from_pretrained(**single, num_labels=3, dtype=torch.bfloat16)
assert classifier(torch.arange(6)[None]).logits.shape == (1, 3)
rounded = AutoModelForCausalLM.from_pretrained(**quantised)
direct = type(model).from_pretrained(quantised["pretrained_model_name_or_path"], use_cache=False)
for one in (rounded, direct):
    assert not hasattr(one.config, "quantization_config") and one.dtype == model.dtype, one.config
    for name, tensor in one.state_dict().items():
        assert (tensor - state[name]).abs().max() <= state[name].abs().max() / 127, name
assert not direct.config.use_cache
try:
    AutoModelForCausalLM.from_pretrained(**damaged)
except ValueError as error:
    print(transformers.__version__, error)
"""


def requirements() -> list[str]:
    return tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]


def oldest_admitted() -> str:
    return next(match[1] for line in requirements() if (match := re.match(r"transformers>=([\d.]+)", line)))


@pytest.fixture(scope="module", params=["export", "package", "installed"])
def stranger(request, tmp_path_factory):
    """Run Python where such a transformers, with what it depends on, stands before all else; torch is borrowed."""
    env = {**os.environ, "HF_MODULES_CACHE": str(tmp_path_factory.mktemp("modules")), "PYTHONPATH": ""}
    expected = transformers.__version__
    if request.param != "installed":
        expected = {"export": OLDEST_FOR_EXPORT, "package": oldest_admitted()}[request.param] + ".0"
        target = tmp_path_factory.mktemp("oldest")
        # The package's oldest must get along with what else the package needs, or nobody could install it.
        others = tmp_path_factory.mktemp("constraints") / "constraints.txt"
        others.write_text("\n".join(requirements()) if request.param == "package" else "")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), "-c", str(others)]
        subprocess.run([*pip, f"transformers=={expected}"], check=True, capture_output=True, text=True)
        env["PYTHONPATH"] = str(target)

    def run(*arguments: object, stdin: str = "") -> str:
        command = [sys.executable, *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, input=stdin, env=env)
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert run("-c", "import transformers; print(transformers.__version__)").strip() == expected
    return run


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory) -> Path:  # noqa: F811 (the fixture)
    out = tmp_path_factory.mktemp("exported") / "repository"
    export(*made, out, **NAMES)
    return out


@pytest.mark.slow
def test_the_exported_model_gives_its_golden_logits_and_generates(stranger, exported):
    golden = str(exported / "golden" / "logits.safetensors")
    task = {"repo_id": str(exported), "revision": None, "golden": golden, "dataset_id": None}
    task |= {"dataset_revision": None, "prompt": "The cat counts", "max_new_tokens": 8}
    findings = json.loads(stranger(verify_child.__file__, stdin=json.dumps(task)))
    assert findings["logits_max_abs_diff"] < 1e-5
    assert findings["sample"].startswith("The cat counts")


@pytest.mark.slow
def test_it_loads_every_layout_and_head_and_refuses_a_hole(stranger, exported, tmp_path):
    tensors = {name: tensor for shard in exported.glob("*.safetensors") for name, tensor in load_file(shard).items()}
    config, eight_bits = json.loads((exported / "config.json").read_text()), encoding_named("int8", 32)
    single, damaged = one_by_one(tensors), dict(tensors)
    del damaged["model.norm.weight"]
    states = {"single": single, "quantised": encoded(tensors, config, eight_bits), "damaged": damaged}
    for folder, state in states.items():
        (tmp_path / folder).mkdir()
        for file in exported.glob("*.*"):
            if file.is_file() and "safetensors" not in file.name:
                (tmp_path / folder / file.name).write_bytes(file.read_bytes())
        state = {name: tensor.contiguous() for name, tensor in state.items()}
        save_file(state, tmp_path / folder / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "quantised" / "config.json").write_text(json.dumps(quantised_config(config, eight_bits)))
    output = stranger("-c", PROGRAM, exported, *(tmp_path / folder for folder in states))
    assert "model.norm.weight is missing" in output
