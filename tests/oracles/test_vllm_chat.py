"""vLLM's renderer and its `hermes` and `deepseek_v3` parsers, with our tokenizer and template.

`make oracle` builds .venv-vllm, and runs this.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from modeling_axk1.data.build import build
from modeling_axk1.shipped import shipped
from modeling_axk1.tokenizer.encoder import Encoder
from modeling_axk1.tokenizer.recipe import Recipe
from modeling_axk1.tokenizer.train import train
from tests.oracles.test_vllm import VENV
from tests.tokenizer.conversations import ASK, CONVERSATIONS
from tests.tokenizer.test_injection import ATTACK, PLACES, with_text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (VENV / ".installed").exists(), reason="vLLM is not installed: `make oracle` does it"),
]

WEATHER = {"name": "weather", "arguments": {"city": "서울", "days": 2, "why": 'a "quoted" <word>'}}
CLOCK = {"name": "clock", "arguments": {}}
ANSWERS = {
    "words": ("", "정오에 맑습니다.", []),
    "thinking and words": ("먼저 센다: 1 < 2.\n다음.", "둘입니다.\n\n끝.", []),
    "a call without words": ("찾아본다.", "", [WEATHER]),
    "words and two calls": ("", "찾아보겠습니다.", [WEATHER, CLOCK]),
    "thinking, words and two calls": ("둘 다.", "찾아보겠습니다.", [WEATHER, CLOCK]),
}


def answer_ids(encoder: Encoder, reasoning: str, content: str, calls: list[dict]) -> list[int]:
    """What a model that learned the template appends to its prompt."""
    thinking = bool(reasoning)
    prompt = encoder.encode_chat([ASK], add_generation_prompt=True, enable_thinking=thinking)
    answer = {"role": "assistant", "reasoning_content": reasoning, "content": content, "tool_calls": calls}
    whole = encoder.encode_chat([ASK, answer])
    mark = encoder.special["<think>" if thinking else "</think>"]
    start = max(index for index, number in enumerate(prompt) if number == mark) + 1
    text = encoder.decode(whole[start:]).removeprefix(encoder.decode(prompt[start:]))
    # Marks as tokens, the rest as text.
    ids: list[int] = []
    for index, piece in enumerate(encoder._find.split(text)):
        ids += [encoder.special[piece]] if index % 2 else encoder.encode_text(piece)
    return ids


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The encoder, and what vLLM finds in a process and a Python of its own."""
    root = tmp_path_factory.mktemp("chat")
    data = build(shipped("data_cards/sample"), root / "data").out
    train([data], root / "tokenizer", Recipe(vocab_size=4096))
    encoder = Encoder.load(root / "tokenizer")
    task = {
        "tokenizer": str(root / "tokenizer"),
        "conversations": [*CONVERSATIONS.values(), *(with_text(place, ATTACK) for place in PLACES.values())],
        "answers": [
            {"ids": answer_ids(encoder, *answer), "enable_thinking": bool(answer[0])} for answer in ANSWERS.values()
        ],
    }
    (root / "task.json").write_text(json.dumps(task))
    command = [
        VENV / "bin" / "python",
        Path(__file__).parent / "vllm_chat_child.py",
        root / "task.json",
        root / "found.json",
    ]
    env = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    result = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return encoder, task, json.loads((root / "found.json").read_text())


def test_vllm_makes_the_same_prompts_and_no_special_token_of_what_others_wrote(asked):
    encoder, task, found = asked
    assert found["prompts"] == [encoder.encode_chat(**conversation) for conversation in task["conversations"]]


@pytest.mark.parametrize("way", ["answers", "streamed"])
@pytest.mark.parametrize("name", ANSWERS)
def test_vllm_reads_thinking_words_and_calls_as_we_do(asked, name, way):
    encoder, task, found = asked
    number = list(ANSWERS).index(name)
    reasoning, content, calls = ANSWERS[name]
    theirs = found[way][number]
    # vLLM leaves the line breaks around marks where they are.
    assert (theirs["reasoning"].strip("\n"), theirs["content"].strip("\n")) == (reasoning, content)
    assert theirs["tool_calls"] == calls
    ours = encoder.parse(task["answers"][number]["ids"], enable_thinking=bool(reasoning))
    assert (ours.reasoning, ours.content, ours.tool_calls) == (reasoning, content, calls)
