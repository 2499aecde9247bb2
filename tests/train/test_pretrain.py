"""Pretraining as a person meets it: it learns, it says what it measured, it survives being killed."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from modeling_axk1.errors import TrainError, UsageError
from modeling_axk1.train import checkpoint as checkpoint_module
from modeling_axk1.train.batches import token_stream
from modeling_axk1.train.loop import Settings, train
from modeling_axk1.train.pretrain import plan, pretrain, resume_folder, validation_nats
from modeling_axk1.weights.verify import verify


def run(dataset: Path, tokenizer: Path, **settings):
    return plan(dataset, tokenizer, Settings(**{"steps": 12, "warmup_steps": 2, **settings}), "tiny", 4, 32)


@pytest.fixture(scope="module")
def trained(dataset, tokenizer, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "checkpoint"
    report = pretrain(run(dataset, tokenizer, steps=40), out, max_shard_bytes=300_000)
    return out, report


def test_it_learns_and_reports_what_it_measured(trained):
    out, report = trained
    facts = json.loads((out / "train.json").read_text())
    assert facts["losses"][0] > 5  # near log(512) = 6.2
    assert report.validation_loss < facts["losses"][0] - 1
    assert facts["measured"]["tokens"] == 40 * 4 * 32 == report.tokens
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["settings"]["seed"] == 0
    assert facts["machine"]["cores"] == os.cpu_count()


def test_the_checkpoint_is_sound_in_released_names_and_several_shards(trained):
    out, _ = trained
    assert verify(out).problems == []
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1
    assert "model.layers.1.mlp.experts.gate_up_proj" in index["weight_map"]
    assert "model.layers.0.post_mlp_layernorm.weight" in index["weight_map"]


def test_golden_logits_are_those_of_the_loaded_model(trained):
    out, _ = trained
    model = AutoModelForCausalLM.from_pretrained(out)
    with safe_open(out / "golden" / "logits.safetensors", "pt") as file:
        assert file.metadata()["prompt"]
        golden, input_ids = file.get_tensor("logits"), file.get_tensor("input_ids")
    assert torch.equal(model(input_ids).logits, golden)
    assert model.generation_config.eos_token_id == [model.config.eos_token_id, model.config.bos_token_id]


def test_bfloat16_stores_rounded_weights_and_golden_logits_of_those(dataset, tokenizer, tmp_path):
    pretrain(run(dataset, tokenizer, steps=3), tmp_path / "half", dtype="bfloat16")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "half", dtype=torch.float32)
    with safe_open(tmp_path / "half" / "golden" / "logits.safetensors", "pt") as file:
        torch.testing.assert_close(model(file.get_tensor("input_ids")).logits, file.get_tensor("logits"))
    stored = AutoModelForCausalLM.from_pretrained(tmp_path / "half", dtype="auto")
    assert stored.dtype == torch.bfloat16


def test_bits_per_byte_counts_every_token_of_the_held_out_text_once(trained, dataset, tokenizer):
    out, report = trained
    model = AutoModelForCausalLM.from_pretrained(out)
    held_out = run(dataset, tokenizer).held_out
    stream = token_stream([d.text for d in held_out], AutoTokenizer.from_pretrained(tokenizer))
    whole = validation_nats(model, stream, length=len(stream))
    in_windows = validation_nats(model, stream, length=32)
    assert whole < in_windows * 1.2  # longer context, similar size
    bits = in_windows / math.log(2) / sum(len(d.text.encode()) for d in held_out)
    assert abs(bits - report.bits_per_byte) < 1e-3


def test_the_same_seed_gives_the_same_weights(dataset, tokenizer, tmp_path):
    for name in ("a", "b"):
        pretrain(run(dataset, tokenizer, steps=4), tmp_path / name)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_a_run_killed_halfway_goes_on_and_ends_where_an_unbroken_one_ends(dataset, tokenizer, tmp_path):
    program = f"""
from pathlib import Path
from modeling_axk1.train.loop import Settings
from modeling_axk1.train.pretrain import plan, pretrain
settings = Settings(steps=60, warmup_steps=2, save_every=0.0)
pretrain(plan(Path({str(dataset)!r}), Path({str(tokenizer)!r}), settings, "tiny", 4, 32), Path("killed"))
"""
    first = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    state = tmp_path / ".killed.resume" / "state.json"
    deadline = time.monotonic() + 120
    while not (state.exists() and json.loads(state.read_text())["history"]["step"] >= 5):
        assert time.monotonic() < deadline
        assert first.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not (tmp_path / "killed").exists()
    assert 5 <= json.loads(state.read_text())["history"]["step"] < 60

    settings = {"steps": 60, "save_every": 0.0}
    resumed = pretrain(run(dataset, tokenizer, **settings), tmp_path / "killed")
    unbroken = pretrain(run(dataset, tokenizer, **settings), tmp_path / "unbroken")
    losses = [json.loads((tmp_path / name / "train.json").read_text())["losses"] for name in ("killed", "unbroken")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    assert resumed.tokens == unbroken.tokens == 60 * 4 * 32
    assert not resume_folder(tmp_path / "killed").exists()


def test_a_state_of_other_settings_is_not_resumed(dataset, tokenizer, tmp_path):
    state = tmp_path / "state"
    model = torch.nn.Linear(2, 2)
    batches, loss = (lambda step: torch.ones(1, 2)), (lambda module, batch: module(batch).pow(2).mean())
    train(model, batches, loss, Settings(steps=3, save_every=0.0), state, {"data": "a"})
    assert train(model, batches, loss, Settings(steps=3, save_every=0.0), state, {"data": "a"}).step == 3
    other = train(torch.nn.Linear(2, 2), batches, loss, Settings(steps=2, save_every=0.0), state, {"data": "b"})
    assert other.step == 2
    assert len(other.losses) == 2


def test_the_clock_can_end_a_run_before_its_steps_do(dataset, tokenizer, tmp_path):
    report = pretrain(run(dataset, tokenizer, steps=10_000, minutes=0.01), tmp_path / "short")
    assert 0 < report.steps < 10_000


def test_a_loss_that_is_not_a_number_stops_the_run_and_says_what_to_try(tmp_path):
    def loss(module, batch):
        return module(batch).sum() * float("nan")

    with pytest.raises(TrainError, match="the loss is nan at step 0; try a lower --learning-rate"):
        train(torch.nn.Linear(1, 1), lambda step: torch.ones(1, 1), loss, Settings(steps=1), tmp_path / "state", {})


def test_a_full_disk_leaves_no_checkpoint(dataset, tokenizer, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", "model.safetensors")

    monkeypatch.setattr(checkpoint_module, "write_checkpoint", full)
    with pytest.raises(OSError, match="No space left"):
        pretrain(run(dataset, tokenizer, steps=2), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokenizer", "nowhere"], "no tokenizer.json in nowhere"),
        (["--data", "nowhere"], "nowhere is not a dataset folder"),
        (["--preset", "huge"], "preset must be one of 519b, quickstart, nano, tiny, got huge"),
        (["--length", "4096"], "length must be in [2, 512], the preset's context, got 4096"),
        (["--steps", "0"], "steps must be at least 1, got 0"),
        (["--minutes", "-1"], "minutes must be more than 0, got -1.0"),
        (["--batch-size", "100000"], "needs 3,200,000 tokens"),
        (["--dtype", "int8"], "dtype must be one of float32, bfloat16, got int8"),
        (["--shard-size", "big"], "big"),
    ],
)
def test_wrong_input_gets_one_line_and_writes_nothing(run_axk1_here, dataset, tokenizer, tmp_path, arguments, message):
    defaults = {"--data": dataset, "--tokenizer": tokenizer, "--out": "out", "--preset": "tiny", "--length": 32}
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    flat = [part for pair in {**defaults, **given}.items() for part in pair]
    result = run_axk1_here("train", "pretrain", *flat, cwd=tmp_path)
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_what_would_happen_and_writes_nothing(run_axk1, dataset, tokenizer, tmp_path):
    options = ["--data", dataset, "--tokenizer", tokenizer, "--out", "out", "--preset", "tiny", "--length", 32]
    result = run_axk1("train", "pretrain", *options, "--dry-run", "--json", cwd=tmp_path)
    assert json.loads(result.stdout)["steps"] == 220
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_dtype_is_refused_before_training(dataset, tokenizer, tmp_path):
    with pytest.raises(UsageError, match="dtype must be one of float32, bfloat16, got int8"):
        pretrain(run(dataset, tokenizer, steps=10**9), tmp_path / "out", dtype="int8")
