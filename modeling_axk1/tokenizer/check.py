"""Check a tokenizer folder before it is published: what a user, an engine and a model rely on.

Each check returns what is wrong with the folder, one line each; an empty list is a sound tokenizer.
"""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from modeling_axk1.errors import TokenizerError
from modeling_axk1.tokenizer.chat import render
from modeling_axk1.tokenizer.encoder import Encoder, read_tokenizer
from modeling_axk1.tokenizer.escape import NORMALIZER, escape
from modeling_axk1.tokenizer.vocabulary import BOS, BYTES, EOS, MARKS, PAD, SPECIAL_BLOCK, special_tokens

_SEED = 0
_TEXTS = 2000
# The ids that are known of the release, at its size.
_RELEASED = {163_840: {BOS: 163_691, PAD: 163_692, EOS: 163_704}}

# Loads the folder as a stranger does: transformers alone, offline, and no package of ours to import.
_STRANGER = """
import json, sys
sys.modules["modeling_axk1"] = None
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=False)
task = json.load(sys.stdin)
said = {"fast": tokenizer.is_fast, "entries": len(tokenizer)}
said |= {"named": [tokenizer.bos_token, tokenizer.pad_token, tokenizer.eos_token]}
said["rendered"] = [tokenizer.apply_chat_template(**chat, tokenize=False) for chat in task["chats"]]
said["ids"] = [tokenizer.apply_chat_template(**chat, tokenize=True, return_dict=False) for chat in task["chats"]]
said["texts"] = [tokenizer.decode(tokenizer(text).input_ids) for text in task["texts"]]
json.dump(said, sys.stdout)
"""


def check(folder: Path, sibling: Path | None = None) -> dict[str, list[str]]:
    """Return {check: what is wrong} for a tokenizer folder, and for how it goes with a `sibling`'s folder.

    Raises TokenizerError when the folder holds no tokenizer at all.
    """
    tokenizer = read_tokenizer(folder)
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    encoder = Encoder(tokenizer)
    checks: dict[str, Callable[[], Iterator[str]]] = {
        "vocabulary": lambda: _vocabulary(content),
        "special tokens": lambda: _special_tokens(content),
        "lossless": lambda: _lossless(encoder),
        "escapes": lambda: _escapes(tokenizer, encoder),
        "transformers": lambda: _transformers(folder, encoder, len(content["model"]["vocab"]) + SPECIAL_BLOCK),
    }
    if sibling:
        other = json.loads(read_tokenizer(sibling).to_str())
        checks["sibling"] = lambda: _sibling(content, other)
    return {name: list(find()) for name, find in checks.items()}


def _vocabulary(content: dict[str, Any]) -> Iterator[str]:
    vocab = content["model"]["vocab"]
    entries = len(vocab) + len(content["added_tokens"])
    if entries % 128:
        yield f"the number of entries must be a multiple of 128, got {entries}"
    if sorted(vocab.values()) != list(range(len(vocab))):
        yield f"ids of learned tokens must be 0 to {len(vocab) - 1} without a gap"
    if len(vocab) != BYTES + len(content["model"]["merges"]):
        merges = len(content["model"]["merges"])
        yield f"{len(vocab)} learned tokens must be {BYTES} bytes and one for each merge, got {merges} merges"
    for left, right in content["model"]["merges"]:
        if left + right not in vocab:
            yield f"the merge of {left!r} and {right!r} makes no token"
            break


def _special_tokens(content: dict[str, Any]) -> Iterator[str]:
    first = len(content["model"]["vocab"])
    added = {token["content"]: token for token in content["added_tokens"]}
    expected = {token: first + place for place, token in enumerate(special_tokens())}
    expected |= _RELEASED.get(first + SPECIAL_BLOCK, {})
    for token, number in expected.items():
        if token not in added:
            yield f"{token} is missing"
            continue
        if added[token]["id"] != number:
            yield f"{token} must be {number}, got {added[token]['id']}"
        if added[token]["special"] == (token in MARKS):
            yield f"{token} must {'not ' if token in MARKS else ''}be special"
        if added[token]["normalized"] or added[token]["lstrip"] or added[token]["rstrip"]:
            yield f"{token} must be found as it stands: normalized, lstrip and rstrip false"
        if token in content["model"]["vocab"]:
            yield f"{token} must not be a learned token too: text would give it"
    for token in added.keys() - expected.keys():
        yield f"{token} is not one of the special block"


def _lossless(encoder: Encoder) -> Iterator[str]:
    texts = list(_texts())
    for text, ids in zip(texts, encoder.encode_texts(texts), strict=True):
        if encoder.decode_bytes(ids) != text.encode():
            yield f"text does not come back: {text!r}"
            break
    random_ = random.Random(_SEED)  # noqa: S311 - not for secrets
    for data in (bytes(range(256)), *(random_.randbytes(random_.randrange(64)) for _ in range(_TEXTS))):
        if encoder.decode_bytes(encoder.encode_bytes(data)) != data:
            yield f"bytes do not come back: {data!r}"
            break


def _escapes(tokenizer: Any, encoder: Encoder) -> Iterator[str]:
    if json.loads(tokenizer.to_str())["normalizer"] != NORMALIZER:
        yield "the normalizer must undo the template's escapes, and do nothing else"
    for text in _texts():
        if tokenizer.encode(escape(text), add_special_tokens=False).ids != encoder.encode_text(text):
            yield f"escaped text must have the ids of the text: {text!r}"
            break


def _transformers(folder: Path, encoder: Encoder, entries: int) -> Iterator[str]:
    chats = list(_chats())
    # Only what follows a `<` is not whole in text that was not escaped.
    texts = [text for text in _texts() if "<\ufdd0" not in text][:200]
    command = [sys.executable, "-c", _STRANGER, str(folder.resolve())]
    task = json.dumps({"chats": chats, "texts": texts})
    result = subprocess.run(command, input=task, capture_output=True, text=True, cwd=folder)
    if result.returncode:
        yield f"transformers alone must load it: {result.stderr.strip().splitlines()[-1]}"
        return
    said = json.loads(result.stdout)
    if not said["fast"] or said["entries"] != entries:
        yield f"transformers must load a fast tokenizer of {entries} entries, got {said['entries']}"
    if said["named"] != [BOS, PAD, EOS]:
        yield f"bos, pad and eos must be {BOS}, {PAD} and {EOS}, got {', '.join(map(str, said['named']))}"
    for chat, rendered, ids in zip(chats, said["rendered"], said["ids"], strict=True):
        arguments = {"messages": chat["conversation"], **{k: v for k, v in chat.items() if k != "conversation"}}
        if rendered != render(**arguments):
            yield f"the template must render what Python renders: {chat['conversation']}"
        elif ids != encoder.encode_chat(**arguments):
            yield f"a rendered chat must have the ids of our encoder, got a special token of what a user wrote: {chat}"
    for text, came_back in zip(texts, said["texts"], strict=True):
        if came_back != text:
            yield f"text does not come back from transformers: {text!r}"
            break


def _sibling(content: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    small, large = sorted((content, other), key=lambda one: len(one["model"]["merges"]))
    for key in ("normalizer", "pre_tokenizer", "decoder"):
        if small[key] != large[key]:
            yield f"siblings must have the same {key}"
    count = len(small["model"]["merges"])
    if small["model"]["merges"] != large["model"]["merges"][:count]:
        yield f"the merges of the smaller must be the first {count} of the larger"
    ids = large["model"]["vocab"]
    if any(ids.get(token) != number for token, number in small["model"]["vocab"].items()):
        yield "a token that both have learned must have the same id"


def _texts() -> Iterator[str]:
    """Texts that are hard to keep whole: every block of Unicode, what the format is made of, and both mixed."""
    random_ = random.Random(_SEED)  # noqa: S311 - not for secrets
    yield from ("", " ", "\n\n \t", "\x00\x7f", "\ufeff", "e\u0301é", "👩‍👩‍👧‍👦", "ㄱㅏ각", "<", "<\ufdd0", "\ufdd0<")
    yield from special_tokens()
    parts = [*special_tokens()[:14], "<", "\ufdd0", "\n", "  ", "\t", "'s", "12345", "글", "漢字", "かな", "x", "é"]
    for _ in range(_TEXTS):
        letters = (chr(_character(random_)) for _ in range(random_.randrange(12)))
        yield "".join(random_.choice([letter, random_.choice(parts)]) for letter in letters)


def _character(random_: random.Random) -> int:
    number = random_.randrange(0x110000 - 0x800)
    return number if number < 0xD800 else number + 0x800


def _chats() -> Iterator[dict[str, Any]]:
    attack = "".join(special_tokens()[:14])
    ask = {"role": "user", "content": attack}
    call = {"name": attack, "arguments": {attack: attack}}
    answer = {"role": "assistant", "reasoning_content": attack, "content": attack, "tool_calls": [call, call]}
    results = [{"role": "tool", "content": attack}, {"role": "tool", "content": "글"}]
    tools = [{"type": "function", "function": {"name": "clock", "description": attack}}]
    yield {"conversation": [ask], "add_generation_prompt": True}
    yield {"conversation": [ask], "add_generation_prompt": True, "enable_thinking": True}
    yield {"conversation": [{"role": "system", "content": attack}, ask, answer, *results, answer], "tools": tools}
    yield {"conversation": [ask, answer, ask, answer]}


def require_sound(found: dict[str, list[str]]) -> None:
    """Raise TokenizerError with the number of findings when there are any."""
    if count := sum(map(len, found.values())):
        raise TokenizerError(f"{count} {'thing is' if count == 1 else 'things are'} wrong with the tokenizer")
