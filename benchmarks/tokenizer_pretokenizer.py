"""What each rule of the pre-tokenizer is worth: tokens per byte with the rule, and with what it might have been.

    python benchmarks/tokenizer_pretokenizer.py TEXT... --unseen UNSEEN... [--vocab-size N] [--bytes N] [--out FOLDER]

TEXT are datasets or .jsonl files of documents to train on, weighted as tokenizer/recipe.toml says but for the amount;
UNSEEN are those to measure on. One small tokenizer is trained for each variant, on the same text, one change each:
of the rules for words, by words alone; of superwords, with the share of the vocabulary that the recipe has of them.
Differences between rules for words are much the same at any size of vocabulary, levels are not: compare within this
table alone. What superwords save grows with the vocabulary. Nothing is timed. Writes
release/results/tokenizer_pretokenizer.json.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean

from measure import RESULTS

from modeling_axk1.data.dataset import read_documents
from modeling_axk1.data.document import Document
from modeling_axk1.data.read import read_jsonl
from modeling_axk1.environment import environment
from modeling_axk1.shipped import shipped
from modeling_axk1.tokenizer.bpe import learn
from modeling_axk1.tokenizer.peers import OfTokenizers
from modeling_axk1.tokenizer.recipe import Recipe, read_recipe, sample, weights
from modeling_axk1.tokenizer.report import Text, gather
from modeling_axk1.tokenizer.train import measure_sizes
from modeling_axk1.tokenizer.vocabulary import RULES, WORDS, over_words

EAST_ASIAN = r"\p{Han}\p{Hiragana}\p{Katakana}々〆ー"
OTHER = rf"(?![\p{{Hangul}}{EAST_ASIAN}])"
UPPER, LOWER = (
    rf"(?:{OTHER}[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}])",
    rf"(?:{OTHER}[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}])",
)
SIGN = r"[^\r\n\p{L}\p{M}\p{N}]?"
SIGNS = r" ?[^\s\p{L}\p{M}\p{N}]+"

# What is changed -> the rules that change; None takes a rule away.
VARIANTS: dict[str, dict[str, str | None]] = {
    "words as chosen": {},
    "line breaks without the indentation behind them": {"signs": rf"{SIGNS}[\r\n]*", "lines": r"\s*[\r\n]+"},
    "before Hangul a space alone": {"hangul": r" ?\p{Hangul}+"},
    "before Chinese and kana a space alone": {"east asian": rf" ?[{EAST_ASIAN}]+"},
    "Hangul with other letters": {"hangul": None, "letters": rf"{SIGN}(?:(?![{EAST_ASIAN}])[\p{{L}}\p{{M}}])+"},
    "all scripts together": {"hangul": None, "east asian": None, "letters": rf"{SIGN}[\p{{L}}\p{{M}}]+"},
    "kana and Chinese characters apart": {
        "east asian": rf"{SIGN}(?:[\p{{Han}}々〆]+|[\p{{Hiragana}}ー]+|[\p{{Katakana}}ー]+)"
    },
    "a sign behind Chinese and kana": {"east asian": rf" ?[{EAST_ASIAN}]+[、。，：；！？]?"},
    "a sign behind Hangul": {"hangul": rf"{SIGN}\p{{Hangul}}+[.,?!]?"},
    "English endings by themselves": {
        "hangul": rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|{RULES['hangul']}",
        "letters": rf"{SIGN}(?:{OTHER}[\p{{L}}\p{{M}}])+",
    },
    "words cut at capitals": {"letters": rf"{SIGN}{UPPER}*{LOWER}+|{SIGN}{UPPER}+{LOWER}*"},
    "digits one by one": {"digits": r"\p{N}"},
    "digits in pairs": {"digits": r"\p{N}{1,2}"},
    "digits with the space before them": {"digits": r" ?\p{N}{1,3}"},
}
# What superwords reach over, and what part of the vocabulary they are; the recipe's part where there is no number.
SUPERWORDS: dict[str, tuple[str, float | None]] = {
    "superwords as chosen": (",? ", None),
    "a twentieth of superwords": (",? ", 0.05),
    "a fifth of superwords": (",? ", 0.2),
    "superwords over spaces alone": (" ", None),
    "superwords over hyphens and apostrophes too": ("(?:,? |['’-])", None),
}


def documents(paths: list[Path]) -> Iterator[Document]:
    """Read what to train on."""
    for path in paths:
        yield from read_jsonl(path) if path.suffix == ".jsonl" else read_documents(path, "train")


def variants(vocab_size: int, recipe: Recipe) -> dict[str, tuple[str, str, int]]:
    """Return how each variant cuts text while words are learned and after that, and its superwords."""
    found = {}
    for name, changes in VARIANTS.items():
        pattern = "|".join(rule for rule in (RULES | changes).values() if rule)
        found[name] = (pattern, pattern, 0)
    for name, (between, part) in SUPERWORDS.items():
        part = recipe.superwords / recipe.vocab_size if part is None else part
        found[name] = (WORDS, over_words(between), round(part * vocab_size))
    return found


def mean_by_language(tokenizer: OfTokenizers, rows: list[Text]) -> dict[str, float]:
    """Tokens per byte of each language; its registers count alike."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.language, []).append(sum(map(len, tokenizer.encode(row.texts))) / row.bytes)
    return {language: round(mean(ratios), 4) for language, ratios in found.items()}


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, nargs="+", metavar="TEXT")
    parser.add_argument("--unseen", type=Path, nargs="+", required=True, metavar="UNSEEN")
    parser.add_argument("--vocab-size", type=int, default=16_384)
    parser.add_argument("--bytes", type=int, default=12_000_000)
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where to write")
    options = parser.parse_args()

    recipe = read_recipe(shipped("tokenizer/recipe.toml"))
    recipe = replace(recipe, text_bytes=options.bytes)
    weight = weights(measure_sizes(documents(options.text)), recipe)
    texts = [document.text for document in sample(documents(options.text), weight)]
    rows = gather([], options.unseen, limit=500_000)
    runs: list[dict[str, object]] = []
    chosen: dict[str, float] = {}
    for name, (words, pattern, superwords) in variants(options.vocab_size, recipe).items():
        tokenizer = OfTokenizers(learn(texts, options.vocab_size, superwords, words, pattern).to_str())
        by = mean_by_language(tokenizer, rows)
        chosen = chosen or by
        more = {language: round(100 * (value / chosen[language] - 1), 2) for language, value in by.items()}
        runs.append({"variant": name, "superwords": superwords, "tokens_per_byte": by, "percent_more_tokens": more})
        print(f"{name:<50}", more if runs[1:] else by, file=sys.stderr, flush=True)
    result = {
        "command": "python benchmarks/tokenizer_pretokenizer.py",
        "vocab_size": options.vocab_size,
        "bytes": options.bytes,
        "runs": runs,
        **environment(),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (options.out / "tokenizer_pretokenizer.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
