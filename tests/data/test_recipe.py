from pathlib import Path

import pytest

from modeling_axk1.data.recipe import read_recipe
from modeling_axk1.errors import DataError
from modeling_axk1.shipped import shipped
from tests.data.recipes import RECIPE


def read(folder: Path, text: str):
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    return read_recipe(folder)


def test_a_recipe_is_read_from_its_folder_or_its_file(tmp_path):
    recipe = read(tmp_path, RECIPE)
    assert recipe == read_recipe(tmp_path / "recipe.toml")
    assert [step.name for step in recipe.make_steps()] == ["licence", "normalise", "length"]
    assert recipe.corpus_steps == {"duplicates": {}}
    assert recipe.sources[0].documents == "manual.jsonl"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "small"', 'name = "small"\ncolour = "red"', "unknown key 'colour'"),
        ('pretty_name = "Small"', "", "missing key 'pretty_name'"),
        ('pretty_name = "Small"', "pretty_name = 3", "pretty_name must be of type str, got 3"),
        ("validation_share = 0.2", "validation_share = 1.5", "validation_share must be between 0 and 1, got 1.5"),
        ('name = "duplicates"', 'name = "magic"', "step 3: unknown step 'magic'; known are normalise, "),
        ("min_bytes = 10\n", "", "step 2: missing key 'min_bytes'"),
        ('name = "normalise"', 'name = "duplicates"', "step 2: steps over all documents come last, in the order dup"),
        ('[[sources]]\nname = "manual"', '[[sources]]\nname = "a/b"', "a source's name is letters, digits, '.', '_'"),
        (
            'name = "small"',
            'name = "small"\nevaluation = "../evaluation"',
            "the step decontaminate and the key evaluation",
        ),
        ("[[sources]]", "[[held_back]]\nreason = 'x'\n[[sources]]", "held_back 1: must name a license, a language or"),
        (
            "[[sources]]",
            "[[held_back]]\nreason = 'x'\nlanguage = 'ko'\nmax_bytes = -1\n[[sources]]",
            "held_back 1: max_bytes must not be negative, got -1",
        ),
        ('version = "1.0"', 'versions = "1.0"', "source 1: unknown key 'versions'"),
        ('files = "*.html", ', "", "source 1, language ko: missing key 'files'"),
        ('= "apache-2.0"', '= "Apache 2"', "a config name is lower-case letters, digits, '.' and '-', got 'Apache 2'"),
        ('= "apache-2.0"', '= "default"', "got 'default'"),
        ('name = "small"', 'name = "small', "recipe.toml: "),
    ],
)
def test_a_wrong_recipe_is_refused_by_name_and_value(tmp_path, old, new, message):
    assert old in RECIPE
    with pytest.raises(DataError) as caught:
        read(tmp_path, RECIPE.replace(old, new, 1))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(DataError, match="no recipe at"):
        read_recipe(tmp_path)


def test_the_shipped_recipe_pins_every_source():
    recipe = read_recipe(shipped("data_cards/sample"))
    for source in recipe.sources:
        assert len(source.sha256) == 64
        assert source.license in recipe.licenses
        assert (recipe.folder / "LICENSES" / f"{source.name}.copyright").is_file()
        assert (recipe.folder / source.documents).is_file()
