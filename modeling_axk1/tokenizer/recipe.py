"""What a tokenizer is trained on, and how much of it: tokenizer/recipe.toml.

A vocabulary mirrors its text. A corpus is mostly English and code, and of Korean mostly manuals; left as it is, it
gives a vocabulary of English manuals. So each language gets a share, and no source more than a part of its language.

A document is fed as many times as its weight says: 2.25 is twice, and once more for the quarter of documents whose
SHA-256 is smallest. So the same corpus gives the same text, whatever the order of its files.
"""

import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling_axk1.data.document import Document
from modeling_axk1.errors import TokenizerError, did_you_mean

Sizes = dict[tuple[str, str], int]
"""Bytes of text by language and source."""


@dataclass(frozen=True)
class Recipe:
    """Sizes of vocabularies, and how text is weighted. All of the text once is what it says without more.

    Attributes:
        vocab_size: entries of the tokenizer, special tokens included.
        superwords: how many of these entries are learned last, over more than one word.
        siblings: entries of smaller tokenizers with the same first merges.
        text_bytes: text to feed in all; 0 for as much as there is.
        shares: of these bytes by language; languages that are not named are left out. Empty: by size.
        max_source_share: the largest part of its language that a source may be.
        max_repeats: how many times a document may be fed at most, however large its language's share.

    """

    vocab_size: int = 4096
    superwords: int = 0
    siblings: tuple[int, ...] = ()
    text_bytes: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)
    max_source_share: float = 1.0
    max_repeats: float = 1.0


_KEYS: dict[str, type] = {
    "vocab_size": int,
    "superwords": int,
    "siblings": list,
    "text_bytes": int,
    "shares": dict,
    "max_source_share": float,
    "max_repeats": float,
}


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; raises TokenizerError for an unknown key, a value of the wrong type or shares that are not 1."""
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{path}: {error}") from None
    for key, value in table.items():
        if key not in _KEYS:
            raise TokenizerError(f"{path}: unknown key {key!r}; known are {', '.join(_KEYS)}{did_you_mean(key, _KEYS)}")
        if type(value) is not _KEYS[key]:
            raise TokenizerError(f"{path}: {key} must be of type {_KEYS[key].__name__}, got {value!r}")
    shares: dict[str, float] = table.get("shares", {})
    if shares and not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise TokenizerError(f"{path}: shares must sum to 1, got {sum(shares.values()):g}")
    return Recipe(**table | {"siblings": tuple(table.get("siblings", ()))})


def weights(sizes: Sizes, recipe: Recipe) -> dict[tuple[str, str], float]:
    """Return how often the documents of each language and source are fed.

    Raises TokenizerError when the recipe gives a share to a language of which there is no text.
    """
    by_language: dict[str, int] = {}
    for (language, _), size in sizes.items():
        by_language[language] = by_language.get(language, 0) + size
    for language in recipe.shares:
        if language not in by_language:
            raise TokenizerError(f"the recipe gives {language} a share, but the text has none of it")
    capped = {
        (language, source): min(size, recipe.max_source_share * by_language[language])
        for (language, source), size in sizes.items()
    }
    shares = recipe.shares or {language: size / sum(by_language.values()) for language, size in by_language.items()}
    available = dict.fromkeys(by_language, 0.0)
    for (language, _), kept in capped.items():
        available[language] += kept
    total: float = recipe.text_bytes or sum(available.values())
    return {
        (language, source): min(recipe.max_repeats, shares.get(language, 0.0) * total / available[language])
        * capped[language, source]
        / size
        for (language, source), size in sizes.items()
    }


def sample(documents: Iterable[Document], weight: Mapping[tuple[str, str], float]) -> Iterator[Document]:
    """Yield each document as often as its weight says."""
    for document in documents:
        times = weight[document.language, document.source]
        # The first 52 bits: what a float holds.
        drawn = int(document.sha256[:13], 16) / 16**13
        for _ in range(math.floor(times) + (drawn < times % 1)):
            yield document
