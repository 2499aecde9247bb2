"""`axk1 generate`, as a person types it: the same words as without a cap, plain costs, one line for what is wrong."""

import contextlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.cli.live import status
from modeling_axk1.stream.watch import Sight, Sums
from tests.speaking import speaking_model
from tests.weights.range_server import range_server

QUESTION = "안녕하세요, what is a mixture of experts?"
SHORT = ("--greedy", "--max-new-tokens", "6")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return speaking_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def said(folder) -> str:
    """What transformers generates, greedily, of the model in memory."""
    model, tokenizer = AXK1ForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.apply_chat_template([{"role": "user", "content": QUESTION}], add_generation_prompt=True)[
        "input_ids"
    ]
    out = model.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False)[0, len(ids) :]
    return tokenizer.decode(out, skip_special_tokens=True)


@pytest.mark.parametrize("cap", [(), ("--expert-memory", "100KB"), ("--memory", "3GiB"), ("--expert-memory", "1GB")])
def test_it_says_the_same_with_any_cap_and_without(run_axk1_here, folder, said, tmp_path, cap):
    result = run_axk1_here("generate", folder, QUESTION, *SHORT, *cap, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, said + "\n")
    (summary,) = result.stderr.splitlines()
    assert summary.startswith("6 tokens in ")
    assert ("of experts were in memory" in summary) == bool(cap)
    assert list(tmp_path.iterdir()) == []


def test_a_prompt_comes_from_stdin_too(run_axk1_here, folder, said, tmp_path, monkeypatch):
    for dash in (["-"], []):
        monkeypatch.setattr(sys, "stdin", io.StringIO(QUESTION + "\n"))
        assert run_axk1_here("generate", folder, *dash, *SHORT, cwd=tmp_path).stdout == said + "\n"


def test_json_is_one_object_with_the_cost_as_the_kernel_counts_it(run_axk1_here, folder, said, tmp_path):
    result = run_axk1_here("generate", folder, QUESTION, *SHORT, "--memory", "3GiB", "--json", cwd=tmp_path)
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report["text"] == said
    assert report["tokens"] == len(report["token_ids"]) == 6
    assert 0 < report["peak_bytes"] < 3 * 2**30
    assert report["bytes_read"] > 0
    assert 0 <= report["hit_rate"] <= 1
    assert report["tokens_per_second"] > 0
    assert report["stopped"] is False


def test_raw_goes_on_with_the_text_as_it_stands(run_axk1_here, folder, tmp_path):
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AXK1ForCausalLM.from_pretrained(folder)
    ids = tokenizer("Once upon a time", return_tensors="pt")
    out = model.generate(**ids, max_new_tokens=6, do_sample=False)[0, ids["input_ids"].shape[1] :]
    result = run_axk1_here("generate", folder, "Once upon a time", "--raw", *SHORT, cwd=tmp_path)
    assert result.stdout == tokenizer.decode(out, skip_special_tokens=True) + "\n"


def test_an_address_is_read_as_far_as_it_is_needed(run_axk1_here, folder, said, tmp_path):
    with range_server(folder) as server:
        asked = ("generate", server.address, QUESTION, *SHORT, "--expert-memory", "100KB", "--cache-dir", "cache")
        assert run_axk1_here(*asked, cwd=tmp_path).stdout == said + "\n"
        dry = run_axk1_here(*asked, "--dry-run", "--disk-speed", "10MB", cwd=tmp_path)
        assert "at 0.01 GB/s (as given)" in dry.stdout


def test_a_dry_run_plans_and_reads_no_weights(run_axk1_here, folder, tmp_path):
    asked = ("generate", folder, "--memory", "3GiB", "--dry-run", "--disk-speed", "2GB/s")
    result = run_axk1_here(*asked, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "16 of 16 at a time" in result.stdout
    assert "at 2.00 GB/s (as given)" in result.stdout
    report = json.loads(run_axk1_here(*asked, "--json", cwd=tmp_path).stdout)
    assert report["plan"]["total"] <= 3 * 2**30
    assert report["token"]["bytes_read"] == 0, "all of it stays in memory"
    assert [prompt["tokens"] for prompt in report["prompts"]] == [20, 500]
    measured = run_axk1_here(*asked[:-2], "--json", cwd=tmp_path)
    assert json.loads(measured.stdout)["read_measured"] is True


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ("nowhere hello", 2, "MODEL must be a folder with a checkpoint, an address"),
        ("MODEL hello --memory much", 2, "--memory must be a size like 16GiB or 500MB, got 'much'"),
        ("MODEL hello --memory 50MiB", 2, "--memory must be at least "),
        ("MODEL hello --expert-memory 1KB", 2, "--expert-memory must be at least "),
        ("MODEL hello --memory 1GiB --expert-memory 1GiB", 2, "give one of them"),
        ("MODEL hello --threads 2", 2, "--threads is about weights read on demand"),
        ("MODEL hello --profile none.json --memory 3GiB", 1, "No such file or directory: none.json"),
        ("MODEL hello --policy best --memory 3GiB", 1, "policy must be one of lru, lfu, segmented, got 'best'"),
        ("MODEL hello --greedy --top-p 0.5", 2, "greedy takes the likeliest token"),
        ("MODEL hello --raw --thinking", 2, "--raw goes on with a text"),
        ("MODEL --dry-run", 2, "it goes with --memory or --expert-memory"),
        ("MODEL hello --disk-speed 2GB", 2, "--disk-speed goes with --dry-run"),
        ("MODEL --dry-run --memory 3GiB --disk-speed 0", 2, "--disk-speed must be bytes a second"),
        ("MODEL hello --max-new-tokens 5000 --expert-memory 1GB", 2, "the model's context holds 4,096 tokens"),
        (
            "MODEL hello --max-new-tokens 500 --memory 3GiB --context 100",
            2,
            "--context, for which memory is set aside,",
        ),
        ("https://x.invalid/a/ hello", 2, "an address is read on demand alone"),
        ("MODEL hello --memory 3GiB --cache-size 1GB", 2, "are for what comes from the web"),
    ],
)
def test_what_is_wrong_is_one_line(run_axk1_here, folder, tmp_path, arguments, code, line):
    words = [str(folder) if word == "MODEL" else word for word in arguments.split()]
    result = run_axk1_here("generate", *words, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith("axk1: error: ")
    assert line in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_shard_that_breaks_off_is_one_line(run_axk1_here, tmp_path):
    folder = speaking_model(tmp_path / "model")
    shard = folder / "model.safetensors"
    with shard.open("r+b") as file:
        file.truncate(shard.stat().st_size - 1000)
    result = run_axk1_here("generate", folder, "hello", "--memory", "3GiB", cwd=tmp_path)
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "model.safetensors" in result.stderr


def test_the_line_says_where_it_is_how_fast_and_how_long():
    sums = Sums(hits=3, misses=1, guessed=10, guessed_right=6, bytes_read=10**9)
    prompt = Sight(7, 61, 0.1, 0, 1.9e9, sums, 10**10, 12 * 10**9, None, 380.0)
    assert status(prompt, 256) == (
        "reading the prompt 10%, layer 7 of 61 · 1.90 GB/s · 10.0 GB of 12.0 GB held · 75% found there · "
        "60% guessed right · 6 min left before the first token"
    )
    answering = Sight(7, 61, 1.0, 12, 1.9e9, sums, 10**10, 12 * 10**9, 1 / 31, 7564.0)
    assert status(answering, 256).endswith("60% guessed right · 31 s a token · 2.1 h left")
    in_memory = Sight(7, 61, 1.0, 12, 0.0, Sums(), 0, 0, 20.0, 4.0)
    assert status(in_memory, 256) == "token 12 of 256, layer 7 of 61 · 20.0 tokens/s · 4.0 s left"


def test_on_a_terminal_a_line_says_what_goes_on_and_ctrl_c_keeps_what_came(folder, tmp_path):
    command = [sys.executable, "-m", "modeling_axk1", "generate", str(folder), QUESTION, "--temperature", "5"]
    # With this seed no stop comes of itself.
    command += ["--memory", "3GiB", "--max-new-tokens", "3000", "--seed", "1"]
    main_end, other_end = pty.openpty()
    answer = (tmp_path / "answer.txt").open("wb")
    tree = str(Path(__file__).parent.parent.parent)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "PYTHONPATH": tree}
    process = subprocess.Popen(command, cwd=tmp_path, stdout=answer, stderr=other_end, env=environment)
    os.close(other_end)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(main_end, 1 << 16):
            shown += part
            if b" a token" in shown or b"tokens/s" in shown:  # after the second
                process.send_signal(signal.SIGINT)
                break
        while part := os.read(main_end, 1 << 16):
            shown += part
    text = shown.decode()
    assert process.wait() == 130, text
    os.close(main_end)
    answer.close()
    assert "of 3000, layer " in text
    assert "guessed right" in text
    assert "stopped: " in text.splitlines()[-1]
    assert len((tmp_path / "answer.txt").read_text()) > 5
    assert [path.name for path in tmp_path.iterdir()] == ["answer.txt"]
