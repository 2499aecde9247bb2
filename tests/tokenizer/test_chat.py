import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modeling_axk1.errors import TokenizerError
from modeling_axk1.tokenizer.chat import parse, render
from tests.goldens import assert_golden
from tests.tokenizer.conversations import ASK, CONVERSATIONS


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_rendering_is_exactly_the_golden_one(name):
    assert_golden(f"chat/{name}.txt", render(**CONVERSATIONS[name]))


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("thinking", [False, True])
def test_the_template_renders_what_python_renders(tokenizer, name, thinking):
    conversation = CONVERSATIONS[name] | {"enable_thinking": thinking}
    messages = conversation.pop("messages")
    assert tokenizer.apply_chat_template(messages, tokenize=False, **conversation) == render(messages, **conversation)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([ASK, {"role": "system", "content": "x"}], "a system message must be the first, got one at 2"),
        ([{"role": "robot", "content": "x"}], "role must be system, user, assistant or tool, got robot"),
    ],
)
def test_both_refuse_the_same_messages_in_the_same_words(tokenizer, messages, message):
    import jinja2

    with pytest.raises(TokenizerError) as ours:
        render(messages)
    with pytest.raises(jinja2.TemplateError) as theirs:
        tokenizer.apply_chat_template(messages, tokenize=False)
    assert str(ours.value) == str(theirs.value) == message


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>\n"))


@given(reasoning=PLAIN, content=PLAIN, city=PLAIN, thinking=st.booleans())
@example(reasoning=" 들여 쓴 생각 ", content=" 들여 쓴 답 ", city="", thinking=True)
def test_what_a_turn_renders_is_what_its_completion_parses_to(reasoning, content, city, thinking):
    call = {"name": "weather", "arguments": {"city": city}}
    reasoning = reasoning if thinking else ""
    answer = {"role": "assistant", "reasoning_content": reasoning, "content": content, "tool_calls": [call]}
    prompt = render([ASK], add_generation_prompt=True, enable_thinking=thinking)
    whole = render([ASK, answer])
    # What is trained on continues exactly what generation starts from.
    assert whole.startswith(prompt)
    completion = parse(whole.removeprefix(prompt), enable_thinking=thinking)
    assert (completion.reasoning, completion.content, completion.tool_calls) == (reasoning, content, [call])
    assert completion.unfinished_call is None


def test_a_completion_of_two_calls_gives_both():
    text = '둘 다.\n<tool_call>\n{"name": "a", "arguments": {}}\n</tool_call>\n<tool_call>\n{"name": "b"}\n</tool_call>'
    completion = parse(text + "<|im_end|>")
    assert completion.content == "둘 다."
    assert [call["name"] for call in completion.tool_calls] == ["a", "b"]


@pytest.mark.parametrize(
    ("completion", "reasoning", "content", "calls", "unfinished"),
    [
        ("생각하는 중", "생각하는 중", "", 0, None),
        ("생각\n</think>", "생각", "", 0, None),
        ("생각\n</think>\n\n답은", "생각", "답은", 0, None),
        ('x</think>답\n<tool_call>\n{"name": "a", "argu', "x", "답", 0, '<tool_call>\n{"name": "a", "argu'),
        ('x</think><tool_call>\n{"name": "a"}', "x", "", 1, None),
        ("x</think><tool_call>not json</tool_call>", "x", "<tool_call>not json</tool_call>", 0, None),
        ("x</think><tool_call>[1]</tool_call>", "x", "<tool_call>[1]</tool_call>", 0, None),
        ("<think>\nx\n</think>\n\ny<|im_end|>\n<|im_start|>user", "x", "y", 0, None),
        ("x</think>y<|endoftext|>next document", "x", "y", 0, None),
        ("", "", "", 0, None),
    ],
)
def test_a_cut_off_or_broken_completion_loses_nothing(completion, reasoning, content, calls, unfinished):
    parsed = parse(completion, enable_thinking=True)
    assert (parsed.reasoning, parsed.content, len(parsed.tool_calls)) == (reasoning, content, calls)
    assert parsed.unfinished_call == unfinished


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<tool_call>", "</tool_call>", "{", '"name"', "\n", "글"])).map(
        "".join
    )
)
def test_no_completion_breaks_the_parser(completion):
    for thinking in (False, True):
        parse(completion, enable_thinking=thinking)


def test_tool_arguments_stay_readable_in_the_prompt():
    text = render(**CONVERSATIONS["tools_parallel_calls_and_results"])
    assert json.dumps({"city": "서울"}, ensure_ascii=False) in text
    assert "<now>" in text
