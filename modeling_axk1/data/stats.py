"""The numbers of a dataset, all measured: they are stats.json, and the card is written from them."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from modeling_axk1.data.dataset import SPLITS, read_documents
from modeling_axk1.errors import DataError
from modeling_axk1.files import sha256_file
from modeling_axk1.progress import progress_bar

STATS_FILE = "stats.json"


@dataclass(frozen=True)
class Amount:
    """How much text: documents, and their bytes in UTF-8."""

    documents: int = 0
    bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.documents + other.documents, self.bytes + other.bytes)


@dataclass(frozen=True)
class Tokens:
    """How many tokens a tokenizer makes of the dataset's text; `tokenizer` is the SHA-256 of its tokenizer.json."""

    name: str
    tokenizer: str
    by_language: dict[str, int]
    by_source: dict[str, int]


@dataclass(frozen=True)
class Compared:
    """With which texts to evaluate on a finished dataset was compared, and how many of its documents share a run.

    `recipe` is the SHA-256 of the recipe of those texts, `documents` and `runs` say how many there are, `words` and
    `characters` how long a run is (data/decontaminate.py).
    """

    name: str
    recipe: str
    documents: int
    runs: int
    words: int
    characters: int
    found: int


@dataclass(frozen=True)
class Stats:
    """What a dataset holds and what became of the rest.

    `whole`: what the recipe holds back from release is in; `sampled`: documents were read from files beside the recipe,
    as `axk1 data sample` writes them, and not from packages.

    `read` is what the readers gave to the steps, `left_out` what they gave not ({source: {reason: files or texts}}).
    `kept` is what is in the dataset; with `dropped` ({step: {reason: amount}}) and `held_back` ({reason: amount}) it
    makes `read`. Amounts by anything are of what is in the dataset. `found` is what steps counted in it ({step:
    {what: number}}), `lengths` says by language how many documents have 2^n bytes and more, but less than 2^(n+1).
    """

    name: str
    whole: bool
    sampled: bool
    read: Amount
    left_out: dict[str, dict[str, int]]
    read_by_source: dict[str, Amount]
    dropped: dict[str, dict[str, Amount]]
    held_back: dict[str, Amount]
    kept: Amount
    by_split: dict[str, Amount]
    by_config: dict[str, dict[str, Amount]]
    by_language: dict[str, dict[str, Amount]]
    by_source: dict[str, Amount]
    by_license: dict[str, Amount]
    by_license_and_language: dict[str, dict[str, Amount]]
    changed_by_step: dict[str, int]
    found: dict[str, dict[str, int]]
    lengths: dict[str, dict[int, int]]
    parquet_bytes: int
    tokens: Tokens | None = None
    compared: Compared | None = None

    def share_dropped(self, step: str) -> float:
        """Return which share of the documents that reached a step it dropped; the steps are in their order."""
        left = self.read.documents
        for name, reasons in self.dropped.items():
            dropped = sum(amount.documents for amount in reasons.values())
            if name == step:
                return dropped / left
            left -= dropped
        return 0.0


def stats_text(stats: Stats) -> str:
    """Return stats as stats.json holds them."""
    return json.dumps(asdict(stats), ensure_ascii=False, indent=2) + "\n"


def read_stats(dataset: Path) -> Stats:
    """Read the stats.json of a dataset folder; raises DataError when it is missing or is not what it must be."""
    path = dataset / STATS_FILE
    if not path.is_file():
        raise DataError(f"{dataset} has no {STATS_FILE}; it is written by `axk1 data build`")
    try:
        return _stats(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(f"{path}: not what `axk1 data build` writes: {error}") from None


def count_tokens(dataset: Path, tokenizer: Path, batch: int = 256) -> Tokens:
    """Count the tokens of a dataset's text, without special tokens, with the tokenizer.json of a folder.

    Raises DataError when there is none, or when the dataset's files are not what they were.
    """
    from tokenizers import Tokenizer

    path = tokenizer / "tokenizer.json"
    if not path.is_file():
        raise DataError(f"no tokenizer.json in {tokenizer}; `axk1 tokenizer train` makes one")
    loaded = Tokenizer.from_file(str(path))
    by_language: Counter[str] = Counter()
    by_source: Counter[str] = Counter()
    for split in SPLITS:
        documents = read_documents(dataset, split)
        with progress_bar(f"counting tokens ({split})", total=None) as advance:
            while some := list(islice(documents, batch)):
                encoded = loaded.encode_batch_fast([one.text for one in some], add_special_tokens=False)
                for document, tokens in zip(some, encoded, strict=True):
                    by_language[document.language] += len(tokens.ids)
                    by_source[document.source] += len(tokens.ids)
                advance(len(some))
    counts = (dict(sorted(counted.items())) for counted in (by_language, by_source))
    return Tokens(tokenizer.resolve().name, sha256_file(path), *counts)


def _stats(table: dict[str, Any]) -> Stats:
    def amounts(of: Mapping[str, Any]) -> dict[str, Amount]:
        return {key: Amount(**value) for key, value in of.items()}

    def nested(of: Mapping[str, Any]) -> dict[str, dict[str, Amount]]:
        return {key: amounts(value) for key, value in of.items()}

    read: dict[str, Any] = dict(table)
    for key in ("read", "kept"):
        read[key] = Amount(**table[key])
    for key in ("read_by_source", "held_back", "by_split", "by_source", "by_license"):
        read[key] = amounts(table[key])
    for key in ("dropped", "by_config", "by_language", "by_license_and_language"):
        read[key] = nested(table[key])
    read["lengths"] = {
        language: {int(exponent): number for exponent, number in bins.items()}
        for language, bins in table["lengths"].items()
    }
    for key, kind in (("tokens", Tokens), ("compared", Compared)):
        read[key] = kind(**table[key]) if table.get(key) else None
    return Stats(**read)
