"""`axk1 chat`, as a person types it: question after question, and Ctrl-C that stops an answer and not the program."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from modeling_axk1 import AXK1ForCausalLM
from tests.speaking import speaking_model

SHORT = ("--greedy", "--max-new-tokens", "6", "--expert-memory", "100KB")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return speaking_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def talk(run_axk1_here, folder, tmp_path, monkeypatch):
    """Type these lines into `axk1 chat` and return what it wrote."""

    def talk(*lines: str, options: tuple[str, ...] = SHORT) -> subprocess.CompletedProcess:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return run_axk1_here("chat", folder, *options, cwd=tmp_path)

    return talk


def test_answers_come_in_turn_each_with_its_cost(talk):
    result = talk("One?", "", "Two?")
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == 2
    assert all(line.startswith("6 tokens in ") for line in result.stderr.splitlines())
    assert len(result.stdout.splitlines()) >= 2


def test_the_second_turn_knows_the_first_and_does_not_pay_for_it(talk, folder):
    first, second = map(json.loads, talk("One?", "Two?", options=(*SHORT, "--json")).stdout.splitlines())
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AXK1ForCausalLM.from_pretrained(folder)
    before = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    ids = tokenizer(before.format("One?"))["input_ids"]
    assert first["prompt_tokens"] == len(ids)
    ids += first["token_ids"]
    follows = tokenizer("<|im_end|>\n" + before.format("Two?"))["input_ids"]
    # The answer's last token was never fed to the model.
    assert second["prompt_tokens"] == 1 + len(follows)
    ids += follows
    out = model.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False)[0, len(ids) :]
    assert second["token_ids"] == out.tolist()
    # 2 sparse layers, 2 experts a token: no more visits than what was new can make.
    passes = second["prompt_tokens"] + second["tokens"] - 1
    assert second["reads"]["hits"] + second["reads"]["misses"] <= passes * 2 * 2


def test_reset_forgets_and_exit_leaves(talk):
    lines = talk("One?", "/reset", "One?", "/exit", "Two?", options=(*SHORT, "--json")).stdout.splitlines()
    first, again = map(json.loads, lines)
    assert again["token_ids"] == first["token_ids"]
    assert again["prompt_tokens"] == first["prompt_tokens"]


def test_help_and_an_unknown_command(talk):
    result = talk("/help", "/hlep", "/exit")
    assert result.stdout == ""
    for said in ("/reset", "/exit", "Ctrl-C stops an answer", "unknown command '/hlep'"):
        assert said in result.stderr


def test_a_question_that_has_no_room_is_refused_and_the_conversation_goes_on(talk):
    options = ("--greedy", "--max-new-tokens", "6", "--memory", "3GiB", "--context", "40")
    result = talk("One?", "Two and " * 20, "/reset", "Three?", options=options)
    assert result.returncode == 0
    first, refused, third = result.stderr.splitlines()
    assert "holds 40 tokens" in refused
    assert refused.endswith("/reset begins anew")
    assert first.startswith("6 tokens")
    assert third.startswith("6 tokens")


def test_ctrl_c_stops_the_answer_and_not_the_program(folder, tmp_path):
    command = [sys.executable, "-m", "modeling_axk1", "chat", str(folder), "--temperature", "5"]
    command += ["--expert-memory", "100KB", "--max-new-tokens", "3000"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
    )
    process.stdin.write(b"One?\n")
    assert process.stdout.read(65_536), "an answer has begun"
    process.send_signal(signal.SIGINT)
    said = process.stderr.readline().decode()
    assert said.startswith("stopped: ")
    assert process.stdout.read(65_536).endswith(b"\n"), "the first answer's rest"
    process.stdin.write(b"/help\nTwo?\n")
    assert process.stderr.readline().startswith(b"/reset")
    assert process.stdout.read(65_536), "it answers again"
    process.send_signal(signal.SIGINT)
    process.stdin.close()
    rest = process.stderr.read().decode()
    assert "stopped: " in rest
    assert process.wait() == 0
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []
