"""The tokenizer that is released in tokenizer/: sound, what its recipe asks for, and its siblings cut from it."""

import json

import pytest

from modeling_axk1.shipped import shipped
from modeling_axk1.tokenizer.bpe import cut
from modeling_axk1.tokenizer.check import check
from modeling_axk1.tokenizer.encoder import Encoder, read_tokenizer
from modeling_axk1.tokenizer.recipe import read_recipe

FOLDER = shipped("tokenizer")
RECIPE = read_recipe(FOLDER / "recipe.toml")
SIBLINGS = [FOLDER / "siblings" / str(size) for size in RECIPE.siblings]


@pytest.mark.parametrize("sibling", SIBLINGS, ids=lambda folder: folder.name)
def test_it_is_sound_and_so_is_each_sibling(sibling):
    assert not any(wrong for folder in (FOLDER, sibling) for wrong in check(folder, sibling).values())


def test_its_sizes_are_those_of_its_recipe():
    report = json.loads((FOLDER / "report.json").read_text("utf-8"))
    assert (report["vocab_size"], report["superwords"]) == (RECIPE.vocab_size, RECIPE.superwords) == (163_840, 16_384)
    assert read_tokenizer(FOLDER).get_vocab_size() == 163_840


@pytest.mark.parametrize("sibling", SIBLINGS, ids=lambda folder: folder.name)
def test_a_sibling_is_cut_from_it_and_has_no_superwords(sibling):
    size = int(sibling.name)
    assert cut(read_tokenizer(FOLDER), size).to_str() == read_tokenizer(sibling).to_str()
    assert json.loads((sibling / "report.json").read_text("utf-8"))["superwords"] == 0


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("할 수 있습니다", ["할 수 있습니다"]),
        ("one of the", ["one", " of the"]),
        ("12345", ["123", "45"]),
        ("    return self", ["   ", " return self"]),
    ],
)
def test_frequent_phrases_are_one_token_and_numbers_are_groups_of_digits(text, tokens):
    encoder = Encoder.load(FOLDER)
    assert [encoder.decode([number]) for number in encoder.encode_text(text)] == tokens
