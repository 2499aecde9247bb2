"""Which tokens are special, where they sit in the vocabulary, and how text is cut before merging.

The last SPECIAL_BLOCK ids of every vocabulary are special. Known of the release are three of them in its 163,840
entries: `<|endoftext|>` 163691, `<|pad|>` 163692 and `<|im_end|>` 163704. The block below puts them exactly there at
that size, and at the same distance from the end at any other. What stands between and behind them is not published:
those tokens and their places are this project's own choice.
"""

SPECIAL_BLOCK = 149
BYTES = 256

BOS = "<|endoftext|>"
PAD = "<|pad|>"
EOS = "<|im_end|>"

# Place in the block -> token. Marks that a reader of the model's answer needs (thinking, tools) are tokens of their
# own but not "special" to `decode(skip_special_tokens=True)`, which would otherwise delete them from the answer.
_CONTROL = {0: BOS, 1: PAD, 12: "<|im_start|>", 13: EOS}
_MARKS = {
    2: "<think>",
    3: "</think>",
    4: "<tool_call>",
    5: "</tool_call>",
    6: "<tool_response>",
    7: "</tool_response>",
}
MARKS = frozenset(_MARKS.values())


def special_tokens() -> list[str]:
    """Return the tokens of the special block in order; places without a use are `<|reserved_N|>`."""
    named = _CONTROL | _MARKS
    return [named.get(place, f"<|reserved_{place}|>") for place in range(SPECIAL_BLOCK)]


# Text is cut into pieces that merges never cross. Rules, first match wins:
#   1. English contractions ('s, 't, 're ...).
#   2. A run of Hangul, with the space before it: Korean words end in particles, and a particle behind a word in
#      another script ("Apache를") must not hang on to it.
#   3. A run of Chinese characters and kana, with the space before it. Kanji and kana stay together, because Japanese
#      words mix them (行う).
#   4. A run of letters and marks of any other script, with the space or sign before it.
#   5. Digits in groups of at most three, so that no number gets a token of its own for each of its spellings.
#   6. A run of signs, with the space before it and the line breaks behind it (program text ends lines so).
#   7. White space: line breaks with what leads to them, then runs that leave the last space to the next word.
# Every character falls under one rule, and ByteLevel then maps bytes one to one: nothing is ever lost.
_EAST_ASIAN = r"\p{Han}\p{Hiragana}\p{Katakana}々〆ー"
PATTERN = "|".join(
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r" ?\p{Hangul}+",
        rf" ?[{_EAST_ASIAN}]+",
        rf"[^\r\n\p{{L}}\p{{M}}\p{{N}}]?(?:(?![\p{{Hangul}}{_EAST_ASIAN}])[\p{{L}}\p{{M}}])+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
