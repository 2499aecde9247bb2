"""A recipe's folder keeps what was measured of its dataset, and it is found out when they part."""

import json
import shutil

import pytest

from modeling_axk1.data.about import keep, outdated
from modeling_axk1.data.build import Settings, build
from modeling_axk1.data.card import render_card
from modeling_axk1.data.recipe import read_recipe
from modeling_axk1.data.stats import read_stats
from modeling_axk1.errors import DataError
from modeling_axk1.shipped import shipped
from tests.data.recipes import RECIPE, document, some_documents, write_recipe

DECONTAMINATED = RECIPE.replace("validation_share", 'evaluation = "../evaluation"\nvalidation_share').replace(
    '[[steps]]\nname = "duplicates"', '[[steps]]\nname = "decontaminate"\n\n[[steps]]\nname = "duplicates"'
)
QUESTION = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("kept")
    write_recipe(root / "evaluation", [document(QUESTION)])
    recipe = write_recipe(root / "recipe", some_documents(), DECONTAMINATED)
    build(recipe, root / "out")
    return root


@pytest.fixture
def root(made, tmp_path):
    return shutil.copytree(made, tmp_path / "root")


def test_what_ships_is_what_was_measured_of_the_dataset_that_the_recipe_makes():
    """A recipe without stats.json was not released yet. What is released counts its tokens and proves that it is
    apart from the texts to evaluate on."""
    for stats in shipped("data_cards").glob("*/stats.json"):
        recipe, measured = read_recipe(stats.parent), read_stats(stats.parent)
        assert outdated(stats.parent) == [], stats.parent.name
        assert (stats.parent / "README.md").read_text(encoding="utf-8") == render_card(recipe, measured)
        assert list(measured.read_by_source) == [source.name for source in recipe.sources]
        assert measured.tokens
        assert not recipe.decontaminated or measured.compared.found == 0


def test_the_command_keeps_the_card_and_its_check_is_content(root, run_axk1_here):
    result = run_axk1_here("data", "card", "out", "--to", "recipe", cwd=root)
    assert (result.returncode, result.stderr) == (0, "")
    kept = ["README.md", "LICENSE", "stats.json", "figures/composition.svg", "figures/lengths.svg", "SHA256SUMS"]
    assert [line.removeprefix("written: recipe/") for line in result.stdout.splitlines()] == kept
    assert all((root / "recipe" / name).read_bytes() == (root / "out" / name).read_bytes() for name in kept)
    assert run_axk1_here("data", "card", "recipe", "--check", cwd=root).returncode == 0
    assert keep(root / "out", root / "recipe") == []


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("recipe/recipe.toml", "recipe.toml"),
        ("recipe/README.md", "README.md"),
        ("recipe/LICENSE", "LICENSE"),
        ("recipe/figures/lengths.svg", "figures/lengths.svg"),
        ("recipe/LICENSES/manual.copyright", "LICENSES/manual.copyright"),
        ("evaluation/recipe.toml", "evaluation/recipe.toml"),
    ],
)
def test_a_file_that_changed_since_is_named(root, run_axk1_here, path, named):
    keep(root / "out", root / "recipe")
    (root / path).write_bytes((root / path).read_bytes() + b"\n")
    result = run_axk1_here("data", "card", "recipe", "--check", cwd=root)
    assert (result.returncode, result.stdout) == (1, f"outdated: {named}\n")
    (root / path).unlink()
    if named != "recipe.toml" and not named.startswith("evaluation"):
        assert outdated(root / "recipe") == [named]


def test_a_number_that_changed_since_is_found_in_whatever_says_it(root):
    keep(root / "out", root / "recipe")
    path = root / "recipe" / "stats.json"
    stats = json.loads(path.read_text())
    stats["by_source"]["manual"]["documents"] += 1
    path.write_text(json.dumps(stats, indent=2, ensure_ascii=False) + "\n")
    assert outdated(root / "recipe") == ["README.md", "stats.json"]


def test_a_dataset_of_another_recipe_is_refused(root):
    with (root / "recipe" / "recipe.toml").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(DataError, match="was built of another recipe than"):
        keep(root / "out", root / "recipe")
    assert not (root / "recipe" / "README.md").exists()


def test_a_whole_corpus_is_refused(root):
    build(root / "recipe", root / "whole", Settings(whole=True))
    with pytest.raises(DataError, match="is a whole corpus"):
        keep(root / "whole", root / "recipe")


def test_keeping_is_no_check(root, run_axk1_here):
    result = run_axk1_here("data", "card", "out", "--to", "recipe", "--check", cwd=root)
    assert (result.returncode, "--to writes" in result.stderr) == (2, True)
