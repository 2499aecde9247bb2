"""`verify` and `inspect` know what a quantised checkpoint is made of, and say what of it is missing or wrong."""

import re

import pytest
import torch

from modeling_axk1.weights.encodings import encoding_named
from modeling_axk1.weights.inspect import inspect
from modeling_axk1.weights.names import parameters
from modeling_axk1.weights.verify import verify
from tests.weights.checkpoints import edit_json
from tests.weights.quantised import config_of, wide_model, write_quantised

Q_B = "model.layers.1.self_attn.q_b_proj"
EXPERT = "model.layers.2.mlp.experts.3.up_proj"


@pytest.fixture(scope="module")
def model():
    return wide_model()


def written(folder, model, name, change=None):
    write_quantised(folder / "checkpoint", model, encoding_named(name), change)
    return folder / "checkpoint"


@pytest.mark.parametrize("name", ["fp8", "int8", "int4"])
def test_a_sound_one_is_sound_and_counts_weights_not_words(model, tmp_path, name):
    folder = written(tmp_path, model, name)
    report, found = verify(folder), inspect(folder)
    assert report.problems == []
    assert report.parameters == found.parameters == parameters(config_of(model)).total
    assert (found.layout, found.missing, found.extra) == ("per-expert", [], [])


DAMAGES = {
    "a scale is missing": (
        "fp8",
        lambda tensors: tensors.pop(f"{EXPERT}.weight_scale_inv"),
        rf"{EXPERT}.weight_scale_inv is missing",
    ),
    "a shape is missing": (
        "int4",
        lambda tensors: tensors.pop(f"{Q_B}.weight_shape"),
        rf"{Q_B}.weight_shape is missing",
    ),
    "a scale of another type": (
        "int4",
        lambda tensors: tensors.update({f"{Q_B}.weight_scale": tensors[f"{Q_B}.weight_scale"].float()}),
        r"weight_scale in model-0000.-of-00002.safetensors must be BF16 by quantization_config, got F32",
    ),
    "words of another width": (
        "int8",
        lambda tensors: tensors.update({f"{Q_B}.weight_packed": tensors[f"{Q_B}.weight_packed"][:, :16]}),
        rf"{Q_B}.weight_packed in .* must have shape \[384, 32\] by the config, got \[384, 16\]",
    ),
    "a weight that was not quantised": (
        "fp8",
        lambda tensors: tensors.update({f"{Q_B}.weight": tensors[f"{Q_B}.weight"].bfloat16()}),
        rf"{Q_B}.weight in .* must be F8_E4M3 by quantization_config, got BF16",
    ),
    "a norm in eight bits": (
        "fp8",
        lambda tensors: tensors.update({"model.norm.weight": torch.ones(256).to(torch.float8_e4m3fn)}),
        "model.norm.weight in .* is F8_E4M3, and config.json says bfloat16",
    ),
    "a scale that is infinite": (
        "fp8",
        lambda tensors: tensors[f"{Q_B}.weight_scale_inv"].fill_(torch.inf),
        rf"{Q_B}.weight_scale_inv in .* values are NaN or infinite",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_line_says_what_is_wrong(model, tmp_path, damage):
    name, change, line = DAMAGES[damage]
    problems = verify(written(tmp_path, model, name, change)).problems
    assert len(problems) == 1
    assert re.search(line, problems[0])


def test_a_quantisation_that_is_not_known_is_named(model, tmp_path):
    folder = written(tmp_path, model, "fp8")
    edit_json(folder / "config.json", lambda config: config["quantization_config"].update(quant_method="awq"))
    lines = [line for line in verify(folder).problems if line.startswith("config.json")]
    assert lines == ['config.json: quant_method must be "fp8" or "compressed-tensors", got \'awq\'']
