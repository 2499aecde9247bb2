"""How vLLM renders chats and reads answers: a program for the Python of .venv-vllm, where there is no package of ours.

    python vllm_chat_child.py TASK FINDINGS

TASK and FINDINGS are JSON files:

    task      {"tokenizer": folder, "conversations": arguments of `render`,
               "answers": [{"ids": what the model appended, "enable_thinking"}]}
    findings  {"prompts": token ids, as the server makes them,
               "answers": [{"reasoning", "content", "tool_calls": [{"name", "arguments"}]}],
               "streamed": the same, put together from token by token}
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.reasoning import ReasoningParserManager
from vllm.renderers.hf import safe_apply_chat_template
from vllm.tokenizers import get_tokenizer
from vllm.tool_parsers import ToolParserManager

REQUEST = ChatCompletionRequest(messages=[{"role": "user", "content": "x"}], model="x")


def prompt(tokenizer, conversation: dict) -> list[int]:
    """What vllm/renderers makes of a chat: a string first, and that tokenized."""
    config = SimpleNamespace(
        tokenizer_revision=None, code_revision=None, tokenizer="", model="", trust_remote_code=False
    )
    config.hf_config = SimpleNamespace(model_type="axk1")
    options = {"add_generation_prompt": False, **conversation}
    messages = options.pop("messages")
    text = safe_apply_chat_template(
        config, tokenizer, messages, tools=options.pop("tools", None), tokenize=False, **options
    )
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def parsers(tokenizer, enable_thinking: bool) -> tuple:
    reasoning = ReasoningParserManager.get_reasoning_parser("deepseek_v3")
    thinking = {"enable_thinking": enable_thinking}
    return reasoning(tokenizer, chat_template_kwargs=thinking), ToolParserManager.get_tool_parser("hermes")(tokenizer)


def at_once(tokenizer, answer: dict) -> dict:
    reasoning_parser, tool_parser = parsers(tokenizer, answer["enable_thinking"])
    text = tokenizer.decode(answer["ids"], skip_special_tokens=False).removesuffix("<|im_end|>\n")
    reasoning, content = reasoning_parser.extract_reasoning(text, REQUEST)
    found = tool_parser.extract_tool_calls(content or "", REQUEST)
    calls = [
        {"name": call.function.name, "arguments": json.loads(call.function.arguments)} for call in found.tool_calls
    ]
    return {"reasoning": reasoning or "", "content": found.content or "", "tool_calls": calls}


def streamed(tokenizer, answer: dict) -> dict:
    """Reasoning token by token up to its end, then words and calls from what follows."""
    reasoning_parser, tool_parser = parsers(tokenizer, answer["enable_thinking"])
    reasoning, content, calls = "", "", {}
    thinking = answer["enable_thinking"]
    before, pending, text = [], [], ""
    for number in answer["ids"]:
        pending.append(number)
        ids = before + pending
        now = tokenizer.decode(ids, skip_special_tokens=False)
        if now.endswith("\ufffd"):
            continue  # a character is not whole yet: the engine waits too
        delta = now.removeprefix(text)
        if delta.startswith("<|im_end|>"):
            break
        if thinking:
            message = reasoning_parser.extract_reasoning_streaming(text, now, delta, before, ids, pending)
        else:
            message = tool_parser.extract_tool_calls_streaming(text, now, delta, before, ids, pending, REQUEST)
        if message is not None:
            reasoning += message.reasoning or ""
            content += message.content or ""
            for call in message.tool_calls or []:
                known = calls.setdefault(call.index, {"name": "", "arguments": ""})
                known["name"] += call.function.name or ""
                known["arguments"] += call.function.arguments or ""
        before, pending, text = ids, [], now
        if thinking and reasoning_parser.is_reasoning_end(ids):
            thinking, before, text = False, [], ""
    found = [{"name": call["name"], "arguments": json.loads(call["arguments"])} for call in calls.values()]
    return {"reasoning": reasoning, "content": content, "tool_calls": found}


def main(task_file: str, findings_file: str) -> None:
    task = json.loads(Path(task_file).read_text())
    tokenizer = get_tokenizer(task["tokenizer"])
    findings = {
        "prompts": [prompt(tokenizer, conversation) for conversation in task["conversations"]],
        "answers": [at_once(tokenizer, answer) for answer in task["answers"]],
        "streamed": [streamed(tokenizer, answer) for answer in task["answers"]],
    }
    Path(findings_file).write_text(json.dumps(findings))


if __name__ == "__main__":
    main(*sys.argv[1:])
