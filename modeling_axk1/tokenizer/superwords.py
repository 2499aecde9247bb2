"""The second stage of learning: merges that join words, such as " of" and " the" (SuperBPE, arXiv 2503.13423).

The first stage learned words, from text cut at every word. Here the same text, cut at runs of words, is written as what
the first stage makes of it, one character for each token, and byte-pair encoding goes on with these characters.
"""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import groupby, islice, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Token n is written as the character _FIRST + n: beyond surrogates, and with room for 900,000 tokens.
_FIRST = 0x20000
_BATCH = 256
# More merges are asked for than are needed: some make a token that there is already, from other parts.
_SPARE = 0.02


def add_superwords(
    learner: "Tokenizer", texts: Iterable[str], vocab: dict[str, int], merges: list[list[str]], count: int
) -> None:
    """Add up to `count` entries to `vocab` and as many `merges`, learned from pieces as `learner` cuts and merges them.

    Memory grows with the number of different pieces.
    """
    from tokenizers import Tokenizer, models, trainers

    known = {number: token for token, number in vocab.items()}
    trainer = trainers.BpeTrainer(
        vocab_size=len(vocab) + count + int(_SPARE * count) + 1,
        initial_alphabet=[chr(_FIRST + number) for number in range(len(vocab))],
        show_progress=False,
    )
    continued = Tokenizer(models.BPE())
    continued.train_from_iterator(_pieces(learner, texts).elements(), trainer)
    wanted = len(vocab) + count
    for pair in json.loads(continued.to_str())["model"]["merges"]:
        left, right = ("".join(known[ord(character) - _FIRST] for character in part) for part in pair)
        if len(vocab) < wanted and left + right not in vocab:
            vocab[left + right] = len(vocab)
            merges.append([left, right])


def _pieces(learner: "Tokenizer", texts: Iterable[str]) -> Counter[str]:
    """Count the pieces of two tokens and more, each token written as its character."""
    import numpy as np

    pieces: Counter[str] = Counter()
    # A text that is fed several times follows itself.
    once = ((text, sum(1 for _ in same)) for text, same in groupby(texts))
    while batch := list(islice(once, _BATCH)):
        encodings = learner.encode_batch([text for text, _ in batch], add_special_tokens=False)
        for (_, times), encoding in zip(batch, encodings, strict=True):
            written = (np.array(encoding.ids, "<u4") + _FIRST).tobytes().decode("utf-32-le")
            of_piece = np.array(encoding.word_ids, np.int64)
            starts = [0, *(np.flatnonzero(np.diff(of_piece)) + 1).tolist(), len(written)]
            for start, stop in pairwise(starts):
                if stop - start > 1:
                    pieces[written[start:stop]] += times
    return pieces
