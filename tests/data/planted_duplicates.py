"""Copies of a text with a share of it edited, as texts are edited: sentences changed, dropped, added, words swapped."""

import random


def edited(text: str, share: float, others: list[str], rng: random.Random) -> str:
    """Return `text` with about `share` of its characters replaced by stretches of other texts, or dropped."""
    left = share * len(text)
    while left > 0:
        length = min(rng.randint(8, 60), max(1, int(left) + 1))
        start = rng.randrange(max(1, len(text) - length))
        other = rng.choice(others)
        begin = rng.randrange(max(1, len(other) - length))
        insert = rng.choice([other[begin : begin + length], ""])
        text = text[:start] + insert + text[start + length :]
        left -= length
    return text
