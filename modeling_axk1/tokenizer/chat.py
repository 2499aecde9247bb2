r"""Render a conversation as the chat template does.

The template (tokenizer/chat_template.jinja) is this project's own: the release's text is not published. A test holds
that both renderings agree to the letter. One turn is `<|im_start|>ROLE\n...<|im_end|>\n`; an answer to the last
question begins with its thinking, `<think>\n...\n</think>\n\n`, which is empty when thinking is off; thinking of
answers to earlier questions is left out. Tool results in a row share one turn.

Whatever others wrote (contents, reasoning, tools, calls and their results) is escaped: special tokens in it are text.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from modeling_axk1.errors import TokenizerError
from modeling_axk1.tokenizer.escape import escape

_TOOLS = """\
# Tools

You may call these functions, given as JSON, one a line:
<tools>
{tools}</tools>

To call one, write its name and arguments as JSON, each call in tags of its own:
<tool_call>
{{"name": "function", "arguments": {{"argument": "value"}}}}
</tool_call>"""


def render(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    add_generation_prompt: bool = False,
    enable_thinking: bool = False,
) -> str:
    """Return the conversation as the string to tokenize, which is the text that the model reads, escaped.

    A message is {"role", "content"}; an assistant's may have "reasoning_content" and "tool_calls" (each {"name",
    "arguments"}, or the same inside "function"). Raises TokenizerError for another role, a content that is not a
    string, or a system message that is not the first.
    """
    last_user = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=-1)
    first = messages[0] if messages else {"role": "user"}
    system = _content(first) if first["role"] == "system" else ""
    if tools:
        described = _TOOLS.format(tools="".join(_json(tool) + "\n" for tool in tools))
        system = f"{system}\n\n{described}" if system else described
    text = _turn("system", system) if system else ""
    for index, message in enumerate(messages):
        role = message["role"]
        if role == "system":
            if index:
                raise TokenizerError(f"a system message must be the first, got one at {index + 1}")
        elif role == "user":
            text += _turn(role, _content(message))
        elif role == "tool":
            if index == 0 or messages[index - 1]["role"] != "tool":
                text += "<|im_start|>tool"
            text += f"\n<tool_response>\n{_content(message)}\n</tool_response>"
            if index + 1 == len(messages) or messages[index + 1]["role"] != "tool":
                text += "<|im_end|>\n"
        elif role == "assistant":
            text += _turn(role, _answer(message, with_thinking=index > last_user))
        else:
            raise TokenizerError(f"role must be system, user, assistant or tool, got {role}")
    if add_generation_prompt:
        text += "<|im_start|>assistant\n<think>\n" + ("" if enable_thinking else "\n</think>\n\n")
    return text


def _answer(message: Mapping[str, Any], with_thinking: bool) -> str:
    content = _string(message.get("content"))
    reasoning = _string(message.get("reasoning_content"))
    if not reasoning and "</think>" in content:
        # A client that sends back the raw completion as content.
        thinking, _, content = content.partition("</think>")
        reasoning = thinking.removeprefix("<think>").strip("\n")
        content = content.lstrip("\n")
    text = f"<think>\n{escape(reasoning)}\n</think>\n\n" if with_thinking else ""
    parts = [escape(content)] if content else []
    for call in message.get("tool_calls") or []:
        call = call.get("function") or call
        arguments = call["arguments"]
        arguments = escape(arguments) if isinstance(arguments, str) else _json(arguments)
        parts.append(f'<tool_call>\n{{"name": {_json(call["name"])}, "arguments": {arguments}}}\n</tool_call>')
    return text + "\n".join(parts)


def _turn(role: str, content: str) -> str:
    return f"<|im_start|>{role}\n{content}<|im_end|>\n"


def _content(message: Mapping[str, Any]) -> str:
    return escape(_string(message.get("content")))


def _string(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        # A list of parts, as for images: written out as it stands it would be Python's notation of it.
        raise TokenizerError(f"content must be a string, got {value}")
    return value


def _json(value: object) -> str:
    # As transformers' `tojson` does: no escapes for letters outside ASCII, none for HTML.
    return escape(json.dumps(value, ensure_ascii=False))
