r"""Render a conversation as the chat template does, and take a completion apart again.

The template (tokenizer/chat_template.jinja) is this project's own: the release's text is not published. A test holds
that both renderings agree to the letter. One turn is `<|im_start|>ROLE\n...<|im_end|>\n`; an answer to the last
question begins with its thinking, `<think>\n...\n</think>\n\n`, which is empty when thinking is off; thinking of
answers to earlier questions is left out.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modeling_axk1.errors import TokenizerError

_TOOLS = """\
# Tools

You may call these functions, given as JSON, one a line:
<tools>
{tools}</tools>

To call one, write its name and arguments as JSON, each call in tags of its own:
<tool_call>
{{"name": "function", "arguments": {{"argument": "value"}}}}
</tool_call>"""
_THINK = re.compile(r"\s*<think>")
_TOOL_CALL = re.compile(r"<tool_call>(.*?)(</tool_call>|\Z)", re.DOTALL)


def render(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    add_generation_prompt: bool = False,
    enable_thinking: bool = False,
) -> str:
    """Return the conversation as the text that the model reads.

    A message is {"role", "content"}; an assistant's may have "reasoning_content" and "tool_calls" (each {"name",
    "arguments"}, or the same inside "function"). Raises TokenizerError for another role, or a system message that is
    not the first.
    """
    last_user = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=-1)
    first = messages[0] if messages else {"role": "user"}
    system = first["content"] if first["role"] == "system" else ""
    if tools:
        described = _TOOLS.format(tools="".join(_json(tool) + "\n" for tool in tools))
        system = f"{system}\n\n{described}" if system else described
    text = _turn("system", system) if system else ""
    for index, message in enumerate(messages):
        role, content = message["role"], message.get("content") or ""
        if role == "system":
            if index:
                raise TokenizerError(f"a system message must be the first, got one at {index + 1}")
        elif role == "user":
            text += _turn(role, content)
        elif role == "tool":
            text += _turn(role, f"<tool_response>\n{content}\n</tool_response>")
        elif role == "assistant":
            text += _turn(role, _answer(message, content, with_thinking=index > last_user))
        else:
            raise TokenizerError(f"role must be system, user, assistant or tool, got {role}")
    if add_generation_prompt:
        text += "<|im_start|>assistant\n<think>\n" + ("" if enable_thinking else "\n</think>\n\n")
    return text


@dataclass(frozen=True)
class Completion:
    """What a model answered: its thinking, its words, its tool calls, and the text of a call that was cut off."""

    reasoning: str
    content: str
    tool_calls: list[dict[str, Any]]
    unfinished_call: str | None = None


def parse(completion: str, enable_thinking: bool = False) -> Completion:
    """Take apart what the model wrote behind the generation prompt; pass the `enable_thinking` of that prompt.

    Everything is kept: an answer cut off while thinking is all reasoning, one cut off in a tool call keeps that text
    in `unfinished_call`, and a closed call that is not a JSON object with a name stays in the content as it stands.
    """
    completion = completion.partition("<|im_end|>")[0].partition("<|endoftext|>")[0]
    reasoning = ""
    opened = _THINK.match(completion)
    if enable_thinking or opened:
        thinking, closed, completion = completion[opened.end() if opened else 0 :].partition("</think>")
        reasoning = thinking.strip("\n")
        if not closed:
            return Completion(reasoning, "", [])
    calls: list[dict[str, Any]] = []
    unfinished = None
    content = ""
    position = 0
    for match in _TOOL_CALL.finditer(completion):
        call = _call(match[1])
        content += completion[position : match.start()]
        position = match.end()
        if call is not None:
            calls.append(call)
        elif match[2]:
            content += match[0]
        else:
            unfinished = match[0]
    content += completion[position:]
    # The line breaks between content and calls belong to the format.
    return Completion(reasoning, content.strip("\n"), calls, unfinished)


def _answer(message: Mapping[str, Any], content: str, with_thinking: bool) -> str:
    reasoning = message.get("reasoning_content") or ""
    if not reasoning and "</think>" in content:
        # A client that sends back the raw completion as content.
        thinking, _, content = content.partition("</think>")
        reasoning = thinking.removeprefix("<think>").strip("\n")
        content = content.lstrip("\n")
    text = f"<think>\n{reasoning}\n</think>\n\n" if with_thinking else ""
    parts = [content] if content else []
    for call in message.get("tool_calls") or []:
        call = call.get("function") or call
        arguments = call["arguments"]
        arguments = arguments if isinstance(arguments, str) else _json(arguments)
        parts.append(f'<tool_call>\n{{"name": {_json(call["name"])}, "arguments": {arguments}}}\n</tool_call>')
    return text + "\n".join(parts)


def _turn(role: str, content: str) -> str:
    return f"<|im_start|>{role}\n{content}<|im_end|>\n"


def _json(value: object) -> str:
    # As transformers' `tojson` does: no escapes for letters outside ASCII, none for HTML.
    return json.dumps(value, ensure_ascii=False)


def _call(text: str) -> dict[str, Any] | None:
    try:
        call = json.loads(text)
    except ValueError:
        return None
    return call if isinstance(call, dict) and isinstance(call.get("name"), str) else None
