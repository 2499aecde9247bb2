"""JSON that was sound once: tokens lost, doubled, swapped or replaced by what a careless reader takes for them."""

import re
from collections.abc import Iterator

from hypothesis import strategies as st

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[-+\w.]+|\s+|.', re.DOTALL)

NUMBERS = [
    *("-0", "-1", "01", "+1", "1.0", "1e0", "1E400", "-1e-400", "0x10", "1_0", ".5", "1.", "NaN", "-Infinity"),
    *("4294967296", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615"),
    *("18446744073709551616", "9" * 400, "true", "null", '"1"', "[1]", "{}", "0", "1", "2"),
]
STRINGS = [
    *('""', '"a"', '"\\u0061"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\x01"', '"é"', '"\u2028"', '"\\/"'),
    *('"__metadata__"', '"dtype"', '"dtyp\\u0065"', '"shape"', '"data_offsets"', '"DTYPE"', '"BF16"', '"F8_E4M3"'),
    *('"F4"', '"I128"', '"bf16"', '"../x.safetensors"', '"/etc/passwd"', '"a\\\\b"', f'"{"x" * 600}"', "'a'", "a"),
]
MARKS = ["{", "}", "[", "]", ",", ":", "", " ", "\t", "\r\n", "\x0b", "\u00a0", "\ufeff", "\0", "//", "/* */"]


def each_token_changed(text: str) -> Iterator[str]:
    """`text` with each of its tokens in turn replaced by everything, and everything put before it."""
    tokens = _TOKEN.findall(text)
    for at in range(len(tokens)):
        for other in (*NUMBERS, *STRINGS, *MARKS):
            yield "".join([*tokens[:at], other, *tokens[at + 1 :]])
            yield "".join([*tokens[:at], other, *tokens[at:]])


def mutated(text: str) -> st.SearchStrategy[str]:
    """`text` with one to four of its tokens changed."""
    tokens = _TOKEN.findall(text)
    place = st.integers(0, len(tokens) - 1)
    other = st.sampled_from(NUMBERS) | st.sampled_from(STRINGS) | st.sampled_from(MARKS)
    change = st.one_of(
        st.tuples(st.just("replace"), place, other),
        st.tuples(st.just("insert"), place, other),
        st.tuples(st.just("copy"), place, place),
        st.tuples(st.just("double"), place, st.integers(1, 40)),
        st.tuples(st.just("drop"), place, st.integers(1, 40)),
    )
    return st.lists(change, min_size=1, max_size=4).map(lambda changes: _apply(tokens, changes))


def _apply(tokens: list[str], changes: list[tuple]) -> str:
    tokens = list(tokens)
    for kind, at, what in changes:
        if not tokens:
            break
        at = at % len(tokens)
        if kind == "replace":
            tokens[at] = what
        elif kind == "insert":
            tokens.insert(at, what)
        elif kind == "copy":
            tokens[at] = tokens[what % len(tokens)]
        elif kind == "double":
            tokens[at:at] = tokens[at : at + what]
        else:
            del tokens[at : at + what]
    return "".join(tokens)
