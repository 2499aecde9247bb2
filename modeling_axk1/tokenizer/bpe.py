"""Byte-level BPE: learn it from text, and cut a smaller one from it.

Merges are learned one after another, each the most frequent pair of what the ones before left. So the first merges of
a large vocabulary are those of a small one: `cut` makes the tokenizer that a smaller size would have learned. The last
merges may join words to superwords (superwords.py).
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from modeling_axk1.errors import TokenizerError
from modeling_axk1.tokenizer.escape import NORMALIZER
from modeling_axk1.tokenizer.superwords import add_superwords
from modeling_axk1.tokenizer.vocabulary import BYTES, MARKS, PATTERN, SPECIAL_BLOCK, WORDS, special_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer


# The smallest multiple of 128 with a merge in it.
SMALLEST = -(-(BYTES + SPECIAL_BLOCK + 1) // 128) * 128


def check_vocab_size(vocab_size: int) -> None:
    """Raise TokenizerError unless `vocab_size` is a multiple of 128 with room for bytes and special tokens."""
    if vocab_size % 128:
        raise TokenizerError(f"vocab size must be a multiple of 128, got {vocab_size}")
    if vocab_size < SMALLEST:
        raise TokenizerError(f"vocab size must be at least {SMALLEST}, got {vocab_size}")


def learn(
    texts: Iterable[str], vocab_size: int, superwords: int = 0, words: str = WORDS, pattern: str = PATTERN
) -> "Tokenizer":
    """Return a tokenizer of `vocab_size` entries in all, the last `superwords` learned ones over more than one word.

    `words` says how text is cut while words are learned, `pattern` how after that. Texts are counted as they come and
    not kept: memory grows with the number of different pieces. With `superwords` they are read twice, and a piece is
    several words. The same texts give the same tokenizer. Raises TokenizerError when they can't fill the vocabulary.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = _pre_tokenizer(words)
    learned = vocab_size - SPECIAL_BLOCK - superwords
    trainer = trainers.BpeTrainer(
        vocab_size=learned, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    model = json.loads(learner.to_str())["model"]
    vocab: dict[str, int] = model["vocab"]
    merges: list[list[str]] = model["merges"]
    if superwords and len(vocab) == learned:
        learner.pre_tokenizer = _pre_tokenizer(pattern)
        add_superwords(learner, texts, vocab, merges, superwords)
    if (reached := len(vocab) + SPECIAL_BLOCK) < vocab_size:
        raise TokenizerError(
            f"the text is too small for a vocabulary of {vocab_size}: it gives {reached} entries; "
            "ask for fewer, or train on more text"
        )
    return _assembled(vocab, merges, pattern)


def cut(tokenizer: "Tokenizer", vocab_size: int) -> "Tokenizer":
    """Return a smaller tokenizer with the first merges of `tokenizer`, and so the same ids for what it has learned."""
    content = json.loads(tokenizer.to_str())
    have = len(content["model"]["vocab"]) + SPECIAL_BLOCK
    check_vocab_size(vocab_size)
    if vocab_size > have:
        raise TokenizerError(f"a sibling must have at most the {have} entries of its tokenizer, got {vocab_size}")
    learned = vocab_size - SPECIAL_BLOCK
    vocab = {token: number for token, number in content["model"]["vocab"].items() if number < learned}
    pattern = content["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    return _assembled(vocab, content["model"]["merges"][: learned - BYTES], pattern)


def _assembled(vocab: dict[str, int], merges: list[list[str]], pattern: str) -> "Tokenizer":
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    tokenizer = Tokenizer(models.BPE(vocab, [(left, right) for left, right in merges]))
    tokenizer.normalizer = normalizers.Replace(NORMALIZER["pattern"]["String"], NORMALIZER["content"])
    tokenizer.pre_tokenizer = _pre_tokenizer(pattern)
    tokenizer.decoder = decoders.ByteLevel()
    # Special tokens go last, as in the release. Not normalized: they are looked for before escapes are undone.
    tokenizer.add_tokens(
        [AddedToken(token, normalized=False, special=token not in MARKS) for token in special_tokens()]
    )
    return tokenizer


def _pre_tokenizer(pattern: str) -> Any:
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
