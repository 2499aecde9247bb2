"""The recipes of the corpus and of the evaluation texts, as they ship."""

import pytest

from modeling_axk1.data.extract import EXTRACTORS
from modeling_axk1.data.packages import CLIENTS
from modeling_axk1.data.recipe import read_recipe
from modeling_axk1.shipped import shipped

RECIPES = ("corpus", "evaluation")
# Pages of these state their own licences; one that does not is left out by the licence gate.
LICENCE_PER_PAGE = {"manpages", "manpages-dev", "manpages-ja", "manpages-ja-dev"}


@pytest.fixture(scope="module", params=RECIPES)
def recipe(request):
    return read_recipe(shipped(f"data_cards/{request.param}"))


def test_every_source_is_pinned_and_can_be_read(recipe):
    for source in recipe.sources:
        assert len(source.sha256) == 64, source.name
        assert source.client in CLIENTS, source.name
        assert source.format in EXTRACTORS, source.name
        assert source.languages, source.name


def test_every_source_has_an_allowed_licence_and_the_text_that_states_it(recipe):
    for source in recipe.sources:
        assert source.license in recipe.licenses or source.name in LICENCE_PER_PAGE, source.name
        assert (recipe.folder / "LICENSES" / f"{source.name}.copyright").stat().st_size > 0, source.name


def test_names_are_unique(recipe):
    names = [source.name for source in recipe.sources]
    assert len(names) == len(set(names))


def test_nothing_that_measures_is_a_source_of_the_corpus():
    corpus, evaluation = (read_recipe(shipped(f"data_cards/{name}")) for name in RECIPES)
    measured = {source.sha256 for source in evaluation.sources}
    assert not measured & {source.sha256 for source in corpus.sources}
    assert not [one.name for one in corpus.sources if one.name.startswith(("libreoffice", "installation-guide"))]
