"""What is held back from release, by which rule, and what the card says of it."""

import json

import pytest

from modeling_axk1.data.build import Settings, build
from modeling_axk1.data.dataset import read_documents, read_texts
from modeling_axk1.data.document import Document
from tests.data.recipes import RECIPE, some_documents, write_recipe

RULES = """
[[held_back]]
language = "en"
license = "CC-BY-SA-3.0"
reason = "nobody read it yet"

[[held_back]]
language = "ko"
max_bytes = 300
reason = "one register is enough"

[[sources]]
"""


def built(tmp_path, name="out", count=40, **settings):
    recipe = RECIPE.replace("[[sources]]\n", RULES)
    return build(
        write_recipe(tmp_path / f"recipe-{name}", some_documents(count), recipe), tmp_path / name, Settings(**settings)
    )


def everything(report) -> list[Document]:
    return [one for split in report.stats.by_split for one in read_documents(report.out, split)]


def test_a_rule_holds_back_what_matches_all_that_it_names_and_no_more(tmp_path):
    released = everything(built(tmp_path))
    documents = [Document(**one) for one in some_documents(40)]
    held = [one for one in documents if (one.language, one.license) == ("en", "CC-BY-SA-3.0")]
    assert not {one.text for one in released} & {one.text for one in held}
    english = [one for one in documents if one.language == "en" and one not in held]
    assert {one.text for one in released if one.language == "en"} == {one.text for one in english}


def test_of_a_rule_with_room_the_documents_whose_hashes_come_first_are_released(tmp_path):
    released = {one.sha256 for one in everything(built(tmp_path)) if one.language == "ko"}
    korean = sorted(
        (Document(**one) for one in some_documents(40) if one["language"] == "ko"),
        key=lambda one: one.sha256[16:],
    )
    expected, size = set(), 0
    for one in korean:
        size += one.bytes
        if size > 300:
            break
        expected.add(one.sha256)
    assert released == expected
    assert 0 < len(released) < len(korean)


def test_what_a_rule_lets_through_is_split_as_everything_is(tmp_path):
    rule = '[[held_back]]\nlicense = "Apache-2.0"\nmax_bytes = 4000\nreason = "a test"\n\n[[sources]]\n'
    recipe = RECIPE.replace("[[sources]]\n", rule)
    report = build(write_recipe(tmp_path / "recipe", some_documents(600), recipe), tmp_path / "out")
    released = report.stats.by_config["apache-2.0"]
    documents = sum(one.documents for one in released.values())
    assert documents < 300 / 2
    assert 0.1 < released["validation"].documents / documents < 0.3  # validation_share is 0.2


def test_numbers_of_what_is_held_back_and_of_what_is_released_make_all_that_was_read(tmp_path):
    stats = built(tmp_path).stats
    assert set(stats.held_back) == {"nobody read it yet", "one register is enough"}
    assert stats.held_back["nobody read it yet"].documents == 10
    assert stats.kept.documents + sum(one.documents for one in stats.held_back.values()) == 40
    assert stats.kept.bytes + sum(one.bytes for one in stats.held_back.values()) == stats.read.bytes


def test_the_card_says_what_was_held_back_and_why(tmp_path):
    card = (built(tmp_path).out / "README.md").read_text(encoding="utf-8")
    assert "| nobody read it yet | 10 |" in card
    assert "- license CC-BY-SA-3.0, language en: all, because nobody read it yet" in card
    assert "- language ko: what goes beyond 300 bytes, because one register is enough" in card


def test_the_whole_corpus_has_all_and_its_card_says_that_it_is_not_for_publishing(tmp_path):
    report = built(tmp_path, whole=True)
    assert report.stats.kept.documents == 40
    assert report.stats.held_back == {}
    card = (report.out / "README.md").read_text(encoding="utf-8")
    assert "it is for training, not for\npublishing" in card
    assert "axk1 data build documents --out small --whole" in card


def test_release_and_whole_corpus_come_from_the_same_parts(tmp_path):
    work = tmp_path / "work"
    whole = built(tmp_path, "whole", work=work, whole=True)
    parts = sorted(path.name for path in (work / "steps").iterdir())
    released = built(tmp_path, "released", work=work)
    assert sorted(path.name for path in (work / "steps").iterdir()) == parts
    for split in ("train", "validation"):
        assert set(read_texts(released.out, split)) <= set(read_texts(whole.out, "train")) | set(
            read_texts(whole.out, "validation")
        )


def test_a_rule_that_leaves_nothing_is_an_error(tmp_path, run_axk1_here):
    rules = "[[held_back]]\nsource = 'manual'\nreason = 'a test'\n[[sources]]\n"
    recipe = write_recipe(tmp_path / "recipe", some_documents(4), RECIPE.replace("[[sources]]\n", rules))
    result = run_axk1_here("data", "build", recipe, "--out", "out", cwd=tmp_path)
    assert result.returncode == 1
    assert "no document of small is left: a test" in result.stderr


def test_the_command_prints_what_was_held_back(tmp_path, run_axk1_here):
    recipe = write_recipe(tmp_path / "recipe", some_documents(40), RECIPE.replace("[[sources]]\n", RULES))
    assert (
        "held back 10: nobody read it yet" in run_axk1_here("data", "build", recipe, "--out", "a", cwd=tmp_path).stdout
    )
    whole = run_axk1_here("data", "build", recipe, "--out", "b", "--whole", "--json", cwd=tmp_path)
    assert json.loads(whole.stdout)["stats"]["kept"]["documents"] == 40


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_corpus_of_few_documents_can_be_released_too(tmp_path, count):
    assert built(tmp_path, count=count).stats.kept.documents >= 1
