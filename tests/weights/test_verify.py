"""Every kind of damage is found, named with its tensor and shard, and together with all others."""

import hashlib
import json
import random

import numpy as np
import pytest

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.facts import CHUNK_BYTES
from modeling_axk1.weights.names import expected_tensors, parameters
from modeling_axk1.weights.verify import verify
from modeling_axk1.weights.write import RawTensor
from tests.weights.checkpoints import TINY, bf16, edit_json, tiny_tensors, write_tiny

NORM = "model.norm.weight"


@pytest.fixture
def folder(tmp_path):
    return write_tiny(tmp_path / "checkpoint")


def sums(folder) -> None:
    """What `sha256sum * > SHA256SUMS` writes."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_a_sound_checkpoint_has_no_problem(folder):
    report = verify(folder)
    assert report.ok
    assert (report.shards, report.tensors, report.parameters) == (3, 48, parameters(TINY).total)
    assert report.notes == ["no SHA256SUMS in the folder: no checksums compared"]


def test_all_problems_are_listed_not_only_the_first(tmp_path):
    tensors = tiny_tensors() | {NORM: RawTensor("F32", (9,), np.zeros(9, "<f4")), "more": bf16((1,))}
    del tensors["lm_head.weight"]
    folder = write_tiny(tmp_path / "checkpoint", tensors)
    (folder / "model-00001-of-00003.safetensors").unlink()
    text = "\n".join(verify(folder).problems)
    assert "model-00001-of-00003.safetensors is missing; the index places 25 tensors in it" in text
    assert "lm_head.weight is missing" in text
    assert "model.embed_tokens.weight" not in text  # its shard is missing: that is said, and once is enough
    assert "more in model-00003-of-00003.safetensors is not a tensor of this config" in text
    assert f"{NORM} in model-00003-of-00003.safetensors must have shape [8] by the config, got [9]" in text
    assert f"{NORM} in model-00003-of-00003.safetensors is F32, and config.json says bfloat16" in text


def test_without_a_config_it_cannot_be_known_what_is_missing(folder):
    (folder / "config.json").unlink()
    assert verify(folder).problems == ["config.json is missing: which tensors there must be cannot be known"]


def test_a_config_that_is_not_json_or_lacks_a_key_is_named(folder):
    edit_json(folder / "config.json", lambda config: config.pop("kv_lora_rank"))
    assert verify(folder).problems == ["config.json: the config must have kv_lora_rank, and it has not"]
    (folder / "config.json").write_text("{")
    (problem,) = verify(folder).problems
    assert problem.startswith("config.json must be a JSON object")


def test_another_model_is_checked_as_far_as_possible_and_says_so(folder):
    edit_json(folder / "config.json", lambda config: config.update(model_type="llama"))
    report = verify(folder)
    assert report.ok
    assert "model_type is 'llama', not axk1: names and shapes not checked" in report.notes


def test_one_layer_too_many_in_the_config_is_noticed(folder):
    edit_json(folder / "config.json", lambda config: config.update(num_hidden_layers=4))
    problems = verify(folder).problems
    assert len(problems) == 16
    assert all(problem.startswith("model.layers.3.") and problem.endswith(" is missing") for problem in problems)


def test_without_a_stated_dtype_the_majority_decides(tmp_path):
    tensors = tiny_tensors() | {NORM: RawTensor("I8", (8,), bytes(8))}
    folder = write_tiny(tmp_path / "checkpoint", tensors)
    edit_json(folder / "config.json", lambda config: config.pop("dtype"))
    assert verify(folder).problems == [
        f"{NORM} in model-00003-of-00003.safetensors is I8, and most tensors are BF16",
    ]


def test_the_router_bias_may_stay_in_float32(tmp_path):
    config = TINY | {"use_router_bias": True}
    tensors = {
        name: RawTensor("F32", spec.shape, np.zeros(spec.shape, "<f4")) if name.endswith("_bias") else bf16(spec.shape)
        for name, spec in expected_tensors(config).items()
    }
    folder = write_tiny(tmp_path / "checkpoint", tensors)
    (folder / "config.json").write_text(json.dumps(config))
    assert verify(folder).ok


def test_nan_is_counted_and_placed_beyond_the_first_chunk(tmp_path):
    values = np.zeros(CHUNK_BYTES, "<f4")
    values[[CHUNK_BYTES // 2, CHUNK_BYTES - 1]] = np.nan, np.inf
    folder = write_tiny(tmp_path / "checkpoint", {"big": RawTensor("F32", values.shape, values)})
    edit_json(folder / "config.json", lambda config: config.update(model_type="llama"))
    assert verify(folder).problems == [
        f"big in model.safetensors: 2 values are NaN or infinite, the first at {CHUNK_BYTES // 2:,}"
    ]
    assert verify(folder, values=False).ok


def test_checksums_cover_every_listed_file(folder):
    sums(folder)
    assert verify(folder).ok
    shard = folder / "model-00002-of-00003.safetensors"
    raw = bytearray(shard.read_bytes())
    raw[-2] ^= 1
    shard.write_bytes(raw)
    (folder / "config.json").write_text(json.dumps(TINY) + "\n")
    problems = verify(folder).problems
    assert [problem.split(" must have SHA-256 ")[0] for problem in problems] == [shard.name, "config.json"]
    assert verify(folder, checksums=False).ok


def test_checksums_must_list_every_shard_and_only_files_that_are_there(folder):
    sums(folder)
    text = (folder / "SHA256SUMS").read_text().replace("model-00002-of-00003.safetensors", "gone.txt")
    (folder / "SHA256SUMS").write_text(text)
    assert verify(folder).problems == [
        "model-00002-of-00003.safetensors is not listed in SHA256SUMS",
        "gone.txt is listed in SHA256SUMS and is missing",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello", "line 1 must be"),
        (f"{'0' * 64}  ../evil", "a path must stay inside the folder"),
        (f"{'0' * 64}  a\n{'1' * 64}  a", "line 2 names a a second time"),
        (f"{'0' * 64}  \x1b[31m", "printable characters"),
    ],
)
def test_a_bad_line_of_checksums_is_named(folder, line, message):
    (folder / "SHA256SUMS").write_text(line + "\n")
    assert any(message in problem for problem in verify(folder).problems)


def test_only_a_missing_folder_raises(tmp_path):
    with pytest.raises(WeightsError, match="must be a folder"):
        verify(tmp_path / "nothing")


ODD_VALUES = [None, True, [], {}, "x", -1, 2**70, 1.5, "\ud800", "\n", ["dense"] * 3, {"a": 1}, "../x", "a" * 5000]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_broken_the_answer_is_a_list_of_single_lines(folder, seed):
    """Bytes flipped, files cut, JSON values replaced by odd ones, 50 times over: never an exception."""
    sums(folder)
    sound = {path: path.read_bytes() for path in folder.iterdir()}
    rng = random.Random(seed)
    for _ in range(50):
        path = rng.choice(sorted(sound))
        broken = bytearray(sound[path])
        way = rng.choice(["flip", "cut", "odd value"])
        if way == "flip":
            for _ in range(rng.randint(1, 4)):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
        elif way == "cut":
            del broken[rng.randrange(len(broken)) :]
        elif path.suffix == ".json":
            value = json.loads(broken)
            part = rng.choice([value, *(inner for inner in value.values() if isinstance(inner, dict))])
            part[rng.choice([*part, "mlp_layer_types"])] = rng.choice(ODD_VALUES)
            broken = json.dumps(value).encode()
        path.write_bytes(broken)
        assert all(problem.isprintable() for problem in verify(folder).problems)
        path.write_bytes(sound[path])
