"""Conversations that show every rule of the chat template."""

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
