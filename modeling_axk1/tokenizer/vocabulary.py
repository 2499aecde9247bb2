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


# Text is cut into pieces that merges never cross; WORDS says how while words are learned, PATTERN how after that, and
# whenever text is encoded. Rules, first match wins; what each is worth, benchmarks/tokenizer_pretokenizer.py measures.
#   1. A word is a run of letters of one script, with one space or sign before it: Hangul; Chinese characters and kana;
#      all others. Hangul stands apart because Korean words end in particles, and a particle behind a word in another
#      script ("Apache를") must not hang on to it. Kanji and kana stay together, because Japanese words mix them (行う).
#      An English ending ('s, 't, 're ...) belongs to its word. Words are not cut at capitals (camelCase).
#   2. Digits in groups of at most three, without the space before them: a number is spelt alike wherever it stands,
#      and none has a token of its own for each of its spellings.
#   3. A run of signs, with the space before it, and behind it line breaks and the next line's indentation: program
#      text ends lines so.
#   4. White space: line breaks with what leads to them and the indentation behind them, then runs; always without the
#      last space, which belongs to the next word.
# In PATTERN, words that follow each other with one space, or a comma and one, are one piece: the last merges join
# words to superwords such as " of the" or " 수 있습니다" (SuperBPE, arXiv 2503.13423). What was learned from words
# alone has no token with a space behind a letter, so words come out as if each stood alone, and smaller siblings
# without superwords use PATTERN too.
# Every character falls under one rule, and ByteLevel then maps bytes one to one: nothing is ever lost.
_BEFORE = r"[^\r\n\p{L}\p{M}\p{N}]?"
_EAST_ASIAN = r"\p{Han}\p{Hiragana}\p{Katakana}々〆ー"
_ENDING = r"(?:'(?i:s|t|re|ve|m|ll|d)(?!\p{L}))?"
_INDENTATION = r"(?:[ \t]+(?!\S))?"
_LETTERS = {
    "hangul": r"\p{Hangul}+",
    "east asian": rf"[{_EAST_ASIAN}]+",
    "letters": rf"(?:(?![\p{{Hangul}}{_EAST_ASIAN}])[\p{{L}}\p{{M}}])+{_ENDING}",
}
_OTHERS = {
    "digits": r"\p{N}{1,3}",
    "signs": rf" ?[^\s\p{{L}}\p{{M}}\p{{N}}]+(?:[\r\n]+{_INDENTATION})?",
    "lines": rf"\s*[\r\n]+{_INDENTATION}",
    "spaces": r"\s+(?!\S)",
    "space": r"\s+",
}
_WORD = f"(?:{'|'.join(_LETTERS.values())})"
RULES = {name: _BEFORE + letters for name, letters in _LETTERS.items()} | _OTHERS
WORDS = "|".join(RULES.values())


def over_words(between: str) -> str:
    """Return the pattern in which words with `between` between them are one piece."""
    return "|".join([f"{_BEFORE}{_WORD}(?:{between}{_WORD})*", *_OTHERS.values()])


PATTERN = over_words(",? ")
