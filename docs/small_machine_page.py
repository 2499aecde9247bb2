"""Of the page about running the release on a small machine: what configs say, and pictures of what was measured."""

from collections.abc import Callable
from functools import partial

from results import Table, Word
from streaming_page import has
from variants_page import STORED

from modeling_axk1.model.configuration_axk1 import AXK1Config
from modeling_axk1.stream.estimate import token_bytes
from modeling_axk1.weights.encodings import encoding_named
from modeling_axk1.weights.sizes import human_bytes

PROMPTS = (20, 500)

KOREAN = {
    "Needed by every token": "토큰마다 필요한 나머지",
    "Experts of a token": "토큰 하나의 전문가",
    "One expert": "전문가 하나",
    "Prompt of 20 tokens": "20토큰 프롬프트",
    "Prompt of 500 tokens": "500토큰 프롬프트",
    "Tokens a second against memory": "메모리에 따른 초당 토큰 수",
    "Hit rates of the policies by size of the cache": "캐시 크기에 따른 정책별 적중률",
}


def token(_: Word) -> Table:
    """What a token of the release needs, and what a prompt needs that nothing of is in memory yet, by precision."""
    rows = []
    for name in STORED:
        weights = token_bytes(AXK1Config().to_dict(), None if name == "bf16" else encoding_named(name))
        prompts = [weights.rest + round(weights.distinct(tokens) * weights.expert) for tokens in PROMPTS]
        sizes = (weights.rest, weights.expert, weights.routed, *prompts)
        rows.append([name.upper(), *map(human_bytes, sizes)])
    header = ["Stored in", "Needed by every token", "One expert", "Experts of a token"]
    return [*header, *(f"Prompt of {tokens} tokens" for tokens in PROMPTS)], rows, 1, None


def _picture(word: Word, result: str, figure: str, says: str) -> str | None:
    if not has(result):
        return None
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="figures/{figure}-dark.svg">\n'
        f'  <img alt="{word(says)}" src="figures/{figure}-light.svg">\n'
        "</picture>\n"
    )


TABLES: dict[str, Callable[[Word], Table | str | None]] = {
    "token": token,
    "curve": partial(_picture, result="curve", figure="streaming_curve", says="Tokens a second against memory"),
    "policies": partial(
        _picture,
        result="policies",
        figure="streaming_policies",
        says="Hit rates of the policies by size of the cache",
    ),
}
