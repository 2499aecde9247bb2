import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modeling_axk1.tokenizer.chat import render
from modeling_axk1.tokenizer.completion import Completion, parse
from modeling_axk1.tokenizer.escape import unescape
from tests.tokenizer.conversations import ASK, CALLS, TEXT

PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>"))


def turn(reasoning: str, content: str, calls: list[dict]) -> dict:
    return {"role": "assistant", "reasoning_content": reasoning, "content": content, "tool_calls": calls}


@given(reasoning=PLAIN, content=PLAIN, city=PLAIN, thinking=st.booleans())
@example(reasoning=" 들여 쓴 생각 ", content="\n들여 쓴 답\n", city="", thinking=True)
def test_what_a_turn_renders_is_what_its_completion_parses_to(reasoning, content, city, thinking):
    call = {"name": "weather", "arguments": {"city": city}}
    reasoning = reasoning if thinking else ""
    prompt = render([ASK], add_generation_prompt=True, enable_thinking=thinking)
    whole = render([ASK, turn(reasoning, content, [call])])
    # What is trained on continues exactly what generation starts from.
    assert whole.startswith(prompt)
    completion = parse(unescape(whole.removeprefix(prompt)), enable_thinking=thinking)
    assert completion == Completion(reasoning, content, [call])


@settings(max_examples=200, deadline=None)
@given(reasoning=TEXT.filter(bool), content=TEXT, calls=CALLS)
@example(
    reasoning="It ends with </think>.", content="Write <tool_call> so.", calls=[{"name": "<|im_end|>", "arguments": {}}]
)
def test_of_token_ids_any_answer_parses_to_what_it_was_even_where_it_quotes_marks(encoder, reasoning, content, calls):
    prompt = encoder.encode_chat([ASK], add_generation_prompt=True, enable_thinking=True)
    whole = encoder.encode_chat([ASK, turn(reasoning, content, calls)])
    completion = encoder.parse(generated(encoder, prompt, whole), enable_thinking=True)
    assert completion == Completion(reasoning, content, calls)


@settings(max_examples=100, deadline=None)
@given(reasoning=TEXT.filter(bool), content=TEXT, calls=CALLS, data=st.data())
def test_any_beginning_of_an_answer_parses_and_loses_nothing(encoder, reasoning, content, calls, data):
    prompt = encoder.encode_chat([ASK], add_generation_prompt=True, enable_thinking=True)
    answer = generated(encoder, prompt, encoder.encode_chat([ASK, turn(reasoning, content, calls)]))
    beginning = answer[: data.draw(st.integers(0, len(answer)))]
    parsed = encoder.parse(beginning, enable_thinking=True)
    # A character that is cut in two is its replacement: so compare what was said but for that.
    assert f"{reasoning}\n".startswith(parsed.reasoning.rstrip("\ufffd"))
    assert f"{content}\n".startswith(parsed.content.rstrip("\ufffd"))
    assert parsed.tool_calls == calls[: len(parsed.tool_calls)]
    if encoder.special["<tool_call>"] in beginning:
        assert parsed.content == content
        begun = beginning.count(encoder.special["<tool_call>"])
        assert len(parsed.tool_calls) + (parsed.unfinished_call is not None) == begun
    if encoder.special["</think>"] in beginning:
        assert parsed.reasoning == reasoning
    else:
        assert encoder.decode(beginning) == parsed.reasoning


def generated(encoder, prompt: list[int], whole: list[int]) -> list[int]:
    """The ids of an answer behind its prompt, encoded as a model gives them: from the prompt on."""
    text = encoder.decode_bytes(whole).removeprefix(encoder.decode_bytes(prompt))
    assert encoder.decode_bytes(whole) == encoder.decode_bytes(prompt) + text
    start = prompt.index(encoder.special["<think>"])
    ids = whole[start + 1 :]
    # The line break behind `<think>` is the prompt's; the tokenizer may have joined it to the answer's first.
    first = next(index for index, number in enumerate(ids) if number in encoder.special.values())
    return encoder.encode_text(encoder.decode(ids[:first]).removeprefix("\n")) + ids[first:]


def test_cut_off_between_two_calls_the_content_stays_as_it_was():
    text = 'Two.\n<tool_call>\n{"name": "a"}\n</tool_call>\n'
    assert parse(text) == Completion("", "Two.", [{"name": "a"}])


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
        ("x</think><tool_call>" + "[" * 10**5 + "</tool_call>", "x", f"<tool_call>{'[' * 10**5}</tool_call>", 0, None),
        ("<think>\nx\n</think>\n\ny<|im_end|>\n<|im_start|>user", "x", "y", 0, None),
        ("x</think>y<|endoftext|>next document", "x", "y", 0, None),
        ("x</thi", "x</thi", "", 0, None),
        ("x</think>y<tool_c", "x", "y<tool_c", 0, None),
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
