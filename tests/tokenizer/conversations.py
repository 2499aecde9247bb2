"""Conversations that show every rule of the chat template, and a strategy for any."""

from hypothesis import strategies as st

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city, e.g. 서울 <now>.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    },
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}},
]
_SEOUL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "서울"}}}
_CLOCK = {"name": "clock", "arguments": "{}"}

ASK = {"role": "user", "content": "서울 날씨는?"}

CONVERSATIONS: dict[str, dict] = {
    "one_question": {"messages": [ASK], "add_generation_prompt": True},
    "one_question_thinking": {"messages": [ASK], "add_generation_prompt": True, "enable_thinking": True},
    "system_and_answer": {
        "messages": [
            {"role": "system", "content": "짧게 답하세요."},
            ASK,
            {"role": "assistant", "content": "맑습니다."},
        ]
    },
    "earlier_thinking_is_left_out": {
        "messages": [
            ASK,
            {"role": "assistant", "reasoning_content": "기억을 찾는다.", "content": "맑습니다."},
            {"role": "user", "content": "내일은?"},
            {"role": "assistant", "reasoning_content": "모른다.", "content": "모릅니다."},
        ]
    },
    "raw_completion_sent_back": {
        "messages": [
            ASK,
            {"role": "assistant", "content": "<think>\n기억을 찾는다.\n</think>\n\n맑습니다."},
            {"role": "user", "content": "내일은?"},
            {"role": "assistant", "content": "모른다.\n</think>\n\n모릅니다."},
        ]
    },
    "tools_parallel_calls_and_results": {
        "messages": [
            ASK,
            {
                "role": "assistant",
                "reasoning_content": "물어본다.",
                "content": "찾아보겠습니다.",
                "tool_calls": [_SEOUL, _CLOCK],
            },
            {"role": "tool", "content": '{"sky": "맑음"}'},
            {"role": "tool", "content": "12:00"},
            {"role": "assistant", "reasoning_content": "정오다.", "content": "정오에 맑습니다."},
        ],
        "tools": TOOLS,
    },
    "tools_with_system_and_call_without_words": {
        "messages": [
            {"role": "system", "content": "도구를 쓰세요."},
            ASK,
            {"role": "assistant", "content": None, "tool_calls": [_SEOUL]},
            {"role": "tool", "content": "맑음"},
        ],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
}

# Texts with what the format is made of in them, whole and in parts.
_PARTS = [
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<|im_end|>",
    "<",
    "\ufdd0",
    "{",
    '"',
    "\n",
    " ",
    "글",
    "a",
]
TEXT = st.lists(st.sampled_from(_PARTS), max_size=6).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8
)
ARGUMENTS = st.dictionaries(TEXT, TEXT | st.integers() | st.none() | st.lists(TEXT, max_size=2), max_size=2)
CALLS = st.lists(st.fixed_dictionaries({"name": TEXT, "arguments": ARGUMENTS}), max_size=3)


def conversations() -> st.SearchStrategy[dict]:
    """Any arguments of `render`: a system message or none, then turns in any order."""
    turn = st.one_of(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "tool"]), "content": TEXT | st.none()}),
        st.fixed_dictionaries(
            {"role": st.just("assistant")},
            optional={"content": TEXT | st.none(), "reasoning_content": TEXT | st.none(), "tool_calls": CALLS},
        ),
        st.fixed_dictionaries(
            {"role": st.just("assistant"), "content": TEXT, "tool_calls": CALLS.map(lambda calls: _in_functions(calls))}
        ),
    )
    system = st.lists(st.fixed_dictionaries({"role": st.just("system"), "content": TEXT}), max_size=1)
    return st.fixed_dictionaries(
        {
            "messages": st.tuples(system, st.lists(turn, min_size=1, max_size=5)).map(
                lambda parts: [*parts[0], *parts[1]]
            )
        },
        optional={
            "tools": st.just(TOOLS) | st.lists(st.fixed_dictionaries({"name": TEXT}), max_size=2),
            "add_generation_prompt": st.booleans(),
            "enable_thinking": st.booleans(),
        },
    )


def _in_functions(calls: list[dict]) -> list[dict]:
    return [{"type": "function", "function": call} for call in calls]
