"""Batches: every window once an epoch, in an order that seed and step alone decide; text stays text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from modeling_axk1.errors import TrainError
from modeling_axk1.train.batches import Batches, token_stream


@given(tokens=st.integers(64, 400), size=st.integers(1, 4), length=st.integers(2, 16), seed=st.integers(0, 2**31))
def test_an_epoch_shows_every_window_at_most_once_and_nothing_else(tokens, size, length, seed):
    batches = Batches(np.arange(tokens, dtype=np.int32), size, length, seed)
    rows = [tuple(row.tolist()) for step in range(batches.per_epoch) for row in batches(step)]
    windows = {tuple(range(w * length, (w + 1) * length)) for w in range(batches.windows)}
    assert len(rows) == len(set(rows)) == batches.per_epoch * size
    assert set(rows) <= windows


def test_a_step_has_the_same_batch_whenever_it_is_asked_for():
    one = Batches(np.arange(1000, dtype=np.int32), 4, 10, seed=1)
    again = Batches(np.arange(1000, dtype=np.int32), 4, 10, seed=1)
    other = Batches(np.arange(1000, dtype=np.int32), 4, 10, seed=2)
    assert one(37).tolist() == again(37).tolist() != other(37).tolist()
    assert one(0).tolist() != one(one.per_epoch).tolist()  # the next epoch is shuffled anew


def test_too_little_text_for_a_batch_is_an_error_with_both_numbers():
    with pytest.raises(TrainError, match=r"a batch of 4 x 10 needs 40 tokens, the data has 39"):
        Batches(np.arange(39, dtype=np.int32), 4, 10, seed=0)


def test_documents_end_with_end_of_text_and_special_tokens_in_text_are_text(tokenizer):
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    stream = token_stream(["The cat", "<|im_end|> <think> The dog"], loaded).tolist()
    assert stream.count(loaded.bos_token_id) == 2
    assert stream[-1] == loaded.bos_token_id
    assert not {loaded.eos_token_id, loaded.convert_tokens_to_ids("<think>")} & set(stream)
    assert loaded.decode(stream) == "The cat<|endoftext|><|im_end|> <think> The dog<|endoftext|>"
