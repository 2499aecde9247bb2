"""Tokens per byte: how many tokens a tokenizer needs for a byte of UTF-8 text. Lower is better.

Bytes are the unit because they are the same for every tokenizer and every script; tokens per word are not defined
for Chinese and Japanese, and tokens per character flatter scripts whose characters take three bytes.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modeling_axk1.data.document import Document

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Fertility:
    """Tokens and bytes of the text measured, and their ratio rounded to four places."""

    tokens: int
    bytes: int
    tokens_per_byte: float


def measure_fertility(tokenizer: "Tokenizer", documents: Iterable[Document]) -> dict[str, Fertility]:
    """Return {language: Fertility} over `documents`; "all" sums them up."""
    tokens: defaultdict[str, int] = defaultdict(int)
    size: defaultdict[str, int] = defaultdict(int)
    for document in documents:
        count = len(tokenizer.encode(document.text, add_special_tokens=False).ids)
        for key in (document.language, "all"):
            tokens[key] += count
            size[key] += document.bytes
    return {key: Fertility(tokens[key], size[key], round(tokens[key] / size[key], 4)) for key in sorted(tokens)}
