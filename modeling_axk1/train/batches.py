"""Text to batches: documents tokenized, joined by the end-of-text token, cut into windows, shuffled by a seed.

Which windows make a batch depends on nothing but the seed and the step's number, so a resumed run goes on with
exactly the batches that the interrupted one would have had.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modeling_axk1.errors import TrainError
from modeling_axk1.tokenizer.encoder import Encoder


def token_stream(texts: Iterable[str], tokenizer: Any) -> np.ndarray:
    """Return all texts as one int32 array of token ids, each text followed by the tokenizer's bos (`<|endoftext|>`)."""
    # What looks like a special token in a text is text; `split_special_tokens` would not hold for `<think>` and its
    # like, which are marks and not special to transformers.
    encoder = Encoder(tokenizer.backend_tokenizer)
    ids: list[int] = []
    for text in texts:
        ids += encoder.encode_text(text)
        ids.append(tokenizer.bos_token_id)
    return np.asarray(ids, dtype=np.int32)


@dataclass(frozen=True)
class Batches:
    """Windows of `length` tokens of a stream, `size` a batch; every epoch is a new permutation of all windows."""

    stream: np.ndarray
    size: int
    length: int
    seed: int

    def __post_init__(self) -> None:
        if self.windows < self.size:
            needed = self.size * self.length
            raise TrainError(
                f"a batch of {self.size} x {self.length} needs {needed:,} tokens, the data has {len(self.stream):,}; "
                "make --batch-size or --length smaller, or give more text"
            )

    @property
    def windows(self) -> int:
        """Number of whole windows in the stream."""
        return len(self.stream) // self.length

    @property
    def per_epoch(self) -> int:
        """Number of whole batches in an epoch."""
        return self.windows // self.size

    def __call__(self, step: int) -> Tensor:
        """Return the batch of a step, [B, T] int64."""
        epoch, index = divmod(step, self.per_epoch)
        order = np.random.default_rng((self.seed, epoch)).permutation(self.windows)
        chosen = order[index * self.size : (index + 1) * self.size]
        rows = [self.stream[w * self.length : (w + 1) * self.length] for w in chosen]
        return torch.from_numpy(np.stack(rows).astype(np.int64))
