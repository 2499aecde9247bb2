import sys
from pathlib import Path

import pytest

from modeling_axk1.data.document import Document
from modeling_axk1.data.inputs import recipe_inputs
from modeling_axk1.data.recipe import read_recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for module in ("data_build", "data_build_sample", "measure"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    import data_build

    return data_build


def documents(language: str, count: int) -> list[Document]:
    return [Document(f"{language} {number} " * 20, language, "s", "1", "f", "MIT") for number in range(count)]


def test_every_step_of_the_corpus_is_measured(benchmark):
    recipe = read_recipe(ROOT / "data_cards" / "corpus")
    steps = [step["name"] for step in recipe.steps] + list(recipe.corpus_steps)
    assert {*benchmark.AGAINST} == {*steps, "parquet"}


def test_our_chain_has_the_steps_of_the_corpus_and_all_documents(benchmark, tmp_path):
    chosen = {language: documents(language, 5) for language in ("ko", "code")}
    recipe = read_recipe(benchmark.write_recipes(tmp_path, chosen, {"en": documents("en", 2)}))
    corpus = read_recipe(ROOT / "data_cards" / "corpus")
    assert (recipe.steps, recipe.corpus_steps) == (corpus.steps, corpus.corpus_steps)
    read = [one for source in recipe_inputs(recipe, None) for one in source.documents({})]
    assert sorted(one.text for one in read) == sorted(one.text for some in chosen.values() for one in some)
    assert [one.name for one in read_recipe(recipe.evaluation_recipe()).sources] == ["en"]


def test_ratios_are_of_medians_and_of_the_whole_time(benchmark):
    seconds = {"ko": {"ours": [1.0, 9.0, 2.0], "datatrove": [8.0, 8.0, 8.0]}, "en": {"ours": [2.0], "datatrove": [4.0]}}
    shown = benchmark.shown({"ko": 2_000_000, "en": 4_000_000, "es": 1}, seconds)
    assert shown["mb_per_s"] == {"ours": 1.5, "datatrove": 0.5}
    assert shown["times_as_fast"] == 3
    assert shown["by_language"]["ko"] == {"ours": 1.0, "datatrove": 0.25, "times_as_fast": 4}


def test_a_corpus_that_is_too_small_is_said_to_be(benchmark):
    with pytest.raises(SystemExit, match="1 MB more in each of ko"):
        benchmark.take(iter(documents("ko", 3)), 1)
