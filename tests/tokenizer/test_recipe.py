from collections import Counter

import pytest

from modeling_axk1.data.document import Document
from modeling_axk1.errors import TokenizerError
from modeling_axk1.tokenizer.recipe import Recipe, read_recipe, sample, weights
from modeling_axk1.tokenizer.train import measure_sizes

SIZES = {("ko", "manual"): 80, ("ko", "novel"): 20, ("en", "manual"): 300}


def fed(recipe: Recipe) -> dict[tuple[str, str], float]:
    """Bytes by language and source, as the recipe weights SIZES."""
    return {key: round(SIZES[key] * weight, 6) for key, weight in weights(SIZES, recipe).items()}


def test_without_more_all_text_counts_once():
    assert fed(Recipe()) == SIZES


def test_shares_are_of_the_bytes_asked_for():
    recipe = Recipe(text_bytes=100, shares={"ko": 0.5, "en": 0.5})
    assert fed(recipe) == {("ko", "manual"): 40, ("ko", "novel"): 10, ("en", "manual"): 50}


def test_a_language_without_a_share_is_left_out():
    assert fed(Recipe(shares={"ko": 1.0}))["en", "manual"] == 0


def test_no_text_is_repeated_more_often_than_allowed():
    recipe = Recipe(text_bytes=1000, shares={"ko": 0.5, "en": 0.5}, max_repeats=2.0)
    assert fed(recipe) == {("ko", "manual"): 160, ("ko", "novel"): 40, ("en", "manual"): 500}


def test_a_source_is_capped_at_its_part_of_the_language():
    recipe = Recipe(text_bytes=140, shares={"ko": 0.5, "en": 0.5}, max_source_share=0.5)
    assert fed(recipe) == {("ko", "manual"): 50, ("ko", "novel"): 20, ("en", "manual"): 70}


def test_a_share_for_a_language_without_text_is_refused():
    with pytest.raises(TokenizerError, match="gives ja a share, but the text has none"):
        weights(SIZES, Recipe(shares={"ko": 0.5, "ja": 0.5}))


def test_documents_are_fed_as_often_as_their_weight_says_and_always_the_same_ones():
    documents = [Document(f"text {number}", "en", "manual", "1", "file", "MIT") for number in range(2000)]
    assert measure_sizes(documents)["en", "manual"] == sum(document.bytes for document in documents)
    times = Counter(document.text for document in sample(documents, {("en", "manual"): 2.25}))
    assert set(times.values()) == {2, 3}
    assert 2.2 < times.total() / len(documents) < 2.3
    assert times == Counter(document.text for document in sample(reversed(documents), {("en", "manual"): 2.25}))


def test_the_recipe_of_the_release_is_one():
    from modeling_axk1.shipped import shipped

    recipe = read_recipe(shipped("tokenizer/recipe.toml"))
    assert recipe.vocab_size == 163_840
    assert set(recipe.shares) == {"ko", "ja", "zh", "es", "en", "code"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vocab_size = 'x'", "vocab_size must be of type int, got 'x'"),
        ("size = 1", "unknown key 'size'; known are vocab_size, superwords, siblings"),
        ("[shares]\nko = 0.5", "shares must sum to 1, got 0.5"),
        ("vocab_size", "recipe.toml: "),
    ],
)
def test_a_recipe_that_is_none_is_refused_with_the_rule(tmp_path, text, message):
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(TokenizerError) as caught:
        read_recipe(tmp_path / "recipe.toml")
    assert message in str(caught.value)
