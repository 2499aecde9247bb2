import json

import pytest
from hypothesis import given, settings

from modeling_axk1.errors import TokenizerError
from modeling_axk1.tokenizer.chat import render
from modeling_axk1.tokenizer.escape import unescape
from tests.goldens import assert_golden
from tests.tokenizer.conversations import ASK, CONVERSATIONS, conversations


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
        ([{"role": "user", "content": ["x"]}], "content must be a string, got ['x']"),
        ([{"role": "system", "content": 1}], "content must be a string, got 1"),
        ([ASK, {"role": "assistant", "content": ["x"]}], "content must be a string, got ['x']"),
    ],
)
def test_both_refuse_the_same_messages_in_the_same_words(tokenizer, messages, message):
    import jinja2

    with pytest.raises(TokenizerError) as ours:
        render(messages)
    with pytest.raises(jinja2.TemplateError) as theirs:
        tokenizer.apply_chat_template(messages, tokenize=False)
    assert str(ours.value) == str(theirs.value) == message


@settings(max_examples=200, deadline=None)
@given(conversation=conversations())
def test_the_template_renders_any_conversation_as_python_does(tokenizer, encoder, conversation):
    messages = conversation["messages"]
    options = {key: value for key, value in conversation.items() if key != "messages"}
    assert tokenizer.apply_chat_template(messages, tokenize=False, **options) == render(messages, **options)
    ids = tokenizer.apply_chat_template(messages, return_dict=False, **options)
    assert ids == encoder.encode_chat(messages, **options)


@settings(max_examples=100, deadline=None)
@given(conversation=conversations())
def test_thinking_of_answers_to_earlier_questions_is_left_out(encoder, conversation):
    messages = conversation["messages"]
    last = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=-1)
    answers = sum(message["role"] == "assistant" for message in messages[last + 1 :])
    ids = encoder.encode_chat(messages)
    assert ids.count(encoder.special["<think>"]) == ids.count(encoder.special["</think>"]) == answers


def test_tool_results_in_a_row_share_a_turn():
    text = render(**CONVERSATIONS["tools_parallel_calls_and_results"])
    assert text.count("<|im_start|>tool") == 1
    assert text.count("<tool_response>") == 2


def test_tool_arguments_stay_readable_in_the_prompt():
    text = render(**CONVERSATIONS["tools_parallel_calls_and_results"])
    assert json.dumps({"city": "서울"}, ensure_ascii=False) in text
    assert "<now>" in unescape(text)
