import json
import re
from dataclasses import replace

import pytest
from tokenizers import Regex, Tokenizer, pre_tokenizers

from modeling_axk1.data.dataset import read_texts
from modeling_axk1.errors import TokenizerError
from modeling_axk1.tokenizer.bpe import cut, learn
from modeling_axk1.tokenizer.check import check
from modeling_axk1.tokenizer.recipe import Recipe
from modeling_axk1.tokenizer.train import train
from modeling_axk1.tokenizer.vocabulary import BYTES, SPECIAL_BLOCK, WORDS

RECIPE = Recipe(vocab_size=2560, superwords=512, siblings=(2048,))


@pytest.fixture(scope="module")
def with_superwords(sample_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("superwords") / "tokenizer"
    return folder, train([sample_dataset], folder, RECIPE)


def merges_of(tokenizer: Tokenizer) -> list[list[str]]:
    return json.loads(tokenizer.to_str())["model"]["merges"]


def test_the_last_merges_join_words_and_the_ones_before_are_those_of_words_alone(with_superwords, sample_dataset):
    folder, report = with_superwords
    merges = merges_of(Tokenizer.from_file(str(folder / "tokenizer.json")))
    words = merges_of(learn(read_texts(sample_dataset, "train"), 2048))
    assert merges[: len(words)] == words
    assert len(merges) == len(words) + 512 == 2560 - SPECIAL_BLOCK - BYTES
    assert report.superwords == 512

    def over_words(pairs):
        return {token for token in map("".join, pairs) if re.search("[a-z],?Ġ[a-z]", token)}

    assert not over_words(words)
    assert "ĠofĠthe" in over_words(merges)


def test_superwords_say_the_same_text_with_fewer_tokens_and_it_comes_back(with_superwords, sample_dataset):
    tokenizer = Tokenizer.from_file(str(with_superwords[0] / "tokenizer.json"))
    plain = learn(read_texts(sample_dataset, "train"), 2560)
    fewer = 0
    for text in read_texts(sample_dataset, "validation"):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(ids) == text
        fewer += len(plain.encode(text, add_special_tokens=False).ids) - len(ids)
    assert fewer > 0


def test_a_sibling_without_superwords_cuts_words_as_if_each_stood_alone(with_superwords, sample_dataset):
    sibling = Tokenizer.from_file(str(with_superwords[0] / "siblings" / "2048" / "tokenizer.json"))
    apart = Tokenizer.from_str(sibling.to_str())
    apart.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    for text in read_texts(sample_dataset, "train"):
        assert sibling.encode(text).ids == apart.encode(text).ids


def test_a_tokenizer_with_superwords_is_sound_and_its_sibling_is_cut_from_it(with_superwords):
    folder = with_superwords[0]
    assert not any(check(folder, folder / "siblings" / "2048").values())
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    sibling = Tokenizer.from_file(str(folder / "siblings" / "2048" / "tokenizer.json"))
    assert cut(whole, 2048).to_str() == sibling.to_str()


def test_text_that_is_fed_several_times_counts_as_often(sample_dataset):
    texts = list(read_texts(sample_dataset, "train"))
    twice = [text for text in texts for _ in range(2)]
    assert learn(twice, 1024, 128).to_str() == learn(texts, 1024, 128).to_str()


@pytest.mark.parametrize("superwords", [-1, 2560 - 512 + 1])
def test_a_count_that_leaves_no_words_is_refused(sample_dataset, tmp_path, superwords):
    with pytest.raises(TokenizerError) as caught:
        train([sample_dataset], tmp_path / "out", replace(RECIPE, superwords=superwords))
    assert str(caught.value) == f"superwords must be from 0 to 2048 of 2560 entries, got {superwords}"


def test_too_little_text_for_the_superwords_says_how_far_it_reached():
    with pytest.raises(TokenizerError, match=r"too small for a vocabulary of 512: it gives \d+ entries"):
        learn(["one two three four five six seven eight nine ten eleven twelve"], 512, 60)
