"""The main job, end to end, as a person runs it; small sizes, real everything."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = ["--preset", "tiny", "--steps", "8"]
STEPS = ["dataset", "tokenizer", "training", "weights", "export", "publish", "proof"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """A finished quickstart: its folder and its report."""
    root = tmp_path_factory.mktemp("quickstart")
    return root / "out", run(root / "out")


def run(out: Path, *options: str) -> dict:
    command = [sys.executable, "-m", "modeling_axk1", "quickstart", "--out", str(out), *SMALL, *options, "--json"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_all_seven_steps_run_and_the_stranger_gets_the_same_logits(quickstart):
    _, report = quickstart
    assert [name.split()[1] for name in report["seconds"]] == STEPS
    assert report["reused"] == []
    assert report["verified"]["logits_max_abs_diff"] <= 1e-5
    assert report["verified"]["sample"]
    assert report["verified"]["dataset_rows"]["train"] > 100
    assert report["model"]["tag"] == report["dataset"]["tag"] == "v0.1"


def test_the_published_folder_is_complete_and_its_card_says_what_was_measured(quickstart):
    out, _ = quickstart
    files = {path.relative_to(out / "export").as_posix() for path in (out / "export").rglob("*") if path.is_file()}
    assert {
        "README.md",
        "LICENSE",
        "NOTICE",
        "SHA256SUMS",
        "config.json",
        "configuration_axk1.py",
        "modeling_axk1.py",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "golden/logits.safetensors",
        "results/train.json",
    } <= files
    assert any(name.endswith(".safetensors") and name.startswith("model") for name in files)
    measured = json.loads((out / "checkpoint" / "train.json").read_text())["measured"]
    card = (out / "export" / "README.md").read_text()
    for name, said in (
        ("validation_loss", f"{measured['validation_loss']:.3f}"),
        ("bits_per_byte", f"{measured['bits_per_byte']:.3f}"),
        ("steps", "8"),
    ):
        assert f'| [{said}](results/train.json "/measured/{name}") |' in card
    config = json.loads((out / "export" / "config.json").read_text())
    assert config["auto_map"]["AutoModelForCausalLM"] == "modeling_axk1.AXK1ForCausalLM"
    generation = json.loads((out / "export" / "generation_config.json").read_text())
    assert len(generation["eos_token_id"]) == 2
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out / "export", check=True)


def test_nothing_published_names_a_path_of_this_machine(quickstart):
    out, _ = quickstart
    for folder in ("export", "data"):
        for path in (out / folder).rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert str(out.parent).encode() not in content, path
                assert str(Path.home()).encode() + b"/" not in content, path


def test_a_second_run_reuses_everything_and_still_proves_it(quickstart):
    out, first = quickstart
    before = (out / "checkpoint" / "train.json").read_bytes()
    second = run(out)
    assert [name.split()[1] for name in second["reused"]] == ["dataset", "tokenizer", "training", "export"]
    assert second["verified"]["logits_max_abs_diff"] <= 1e-5
    assert second["model"]["commit"] == first["model"]["commit"]
    assert second["model"]["uploaded"] == []
    assert (out / "checkpoint" / "train.json").read_bytes() == before


def test_a_damaged_result_is_built_again_and_not_reused(quickstart, tmp_path):
    out, _ = quickstart
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    shard = next((copy / "export").glob("model*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    report = run(copy)
    assert "5/7 export" not in report["reused"]
    assert "3/7 training" in report["reused"]
    assert report["model"]["tag"] == "v0.1"


def test_changed_settings_are_published_under_a_new_tag(quickstart, tmp_path):
    out, _ = quickstart
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    report = run(copy, "--seed", "1")
    assert report["model"]["tag"] == "v0.2"
    assert report["dataset"]["tag"] == "v0.1"


def test_killed_at_any_step_it_completes_when_run_again(tmp_path):
    command = [sys.executable, "-m", "modeling_axk1", "quickstart", "--out", "out", *SMALL]
    for step in ("2/7", "3/7", "6/7", "7/7"):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True)
        for line in process.stdout:
            if line.startswith(f"{step}") and "..." in line:
                time.sleep(0.3)
                break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    report = run(tmp_path / "out")
    assert report["verified"]["logits_max_abs_diff"] <= 1e-5
    assert report["model"]["tag"] == "v0.1"


def test_what_a_person_reads_says_where_everything_is(quickstart):
    out, _ = quickstart
    command = [sys.executable, "-m", "modeling_axk1", "quickstart", "--out", str(out), *SMALL]
    result = subprocess.run(command, capture_output=True, text=True)
    for name in ("export", "data", "checkpoint", "hub"):
        assert str(out / name) in result.stdout
    assert re.search(r"largest difference to the trained model \d\.\de[+-]\d\d", result.stdout)
    assert result.stderr == ""
