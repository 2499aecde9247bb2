"""`axk1 data check --evaluation`: nothing of the texts to evaluate on is in a dataset, whoever built it."""

import json
import shutil

import pytest

from modeling_axk1.checksums import write_sums
from modeling_axk1.data import compare as comparing
from modeling_axk1.data.build import build
from modeling_axk1.data.check import check
from modeling_axk1.data.compare import compare
from modeling_axk1.data.decontaminate import CHARACTERS
from modeling_axk1.data.stats import read_stats
from modeling_axk1.errors import DataError
from modeling_axk1.files import sha256_file
from tests.data.recipes import RECIPE, document, some_documents, write_recipe

QUESTION = "한 사람이 하루에 물 두 병을 마신다면 일주일 동안 마시는 물은 모두 몇 병인지 차례로 계산하시오."
WIDER = RECIPE.replace("max_line_bytes = 200", "max_line_bytes = 2000")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """A recipe of texts to evaluate on, and the dataset that is built of it."""
    root = tmp_path_factory.mktemp("evaluation")
    texts = [document(QUESTION), document("What does this evaluation text ask its reader to do at the very end of it?")]
    recipe = write_recipe(root / "recipe", texts, WIDER.replace('"small"', '"questions"'))
    return recipe, build(recipe, root / "out").out


def dataset(tmp_path, *planted):
    return build(write_recipe(tmp_path / "recipe", [*some_documents(60), *planted], WIDER), tmp_path / "out").out


def test_a_dataset_that_is_apart_is_said_to_be_and_the_card_says_with_what_it_was_compared(
    evaluation, tmp_path, run_axk1_here
):
    out = dataset(tmp_path, document("전혀 다른 글이지만 길이는 스물다섯 글자를 훌쩍 넘어서 비교할 만한 것입니다."))
    result = run_axk1_here("data", "check", out, "--evaluation", evaluation[0], "--write", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "no document shares a run with the 2 documents of questions" in result.stdout
    compared = read_stats(out).compared
    assert (compared.name, compared.documents, compared.found) == ("questions", 2, 0)
    assert compared.recipe == sha256_file(evaluation[0] / "recipe.toml")
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "with the 2 documents of\nquestions" in card
    assert "none of the\n61 documents here shares any of their" in card
    assert check(out) == []


@pytest.mark.parametrize("built", [False, True], ids=["recipe", "built"])
def test_an_evaluation_text_in_a_dataset_is_found_and_named(evaluation, tmp_path, run_axk1_here, built):
    planted = document(
        f"앞에 다른 글이 있고, {QUESTION.replace(' ', '')} 그리고 뒤에도 있습니다.", source_file="p.html"
    )
    out = dataset(tmp_path, planted)
    before = (out / "stats.json").read_bytes()
    arguments = ("data", "check", out, "--evaluation", evaluation[built])
    result = run_axk1_here(*arguments, "--write", cwd=tmp_path)
    assert result.returncode == 1
    (line,) = result.stdout.splitlines()
    assert line.startswith("data/apache-2.0/ko/")
    assert "(manual, p.html) shares" in line
    assert (out / "stats.json").read_bytes() == before
    machine = json.loads(run_axk1_here(*arguments, "--json", cwd=tmp_path).stdout)
    (shared,) = machine["shared"]
    letters = sum(character.isalnum() for character in QUESTION)
    assert shared["runs"] == letters - CHARACTERS + 1
    assert f"document {shared['id']} " in line
    assert machine["compared"]["found"] == 1
    assert machine["problems"] == [line]


def test_processes_find_what_one_finds(evaluation, tmp_path, monkeypatch):
    planted = [document(f"{number} 번째: {QUESTION}", license="CC-BY-SA-3.0") for number in range(5)]
    out = dataset(tmp_path, *planted, document(f"끝: {QUESTION}"))
    alone = compare(out, evaluation[0])
    monkeypatch.setattr(comparing, "_LITTLE", 0)
    assert compare(out, evaluation[1], workers=2) == alone
    assert len(alone[1]) == alone[0].found == 6


def test_files_that_are_not_what_they_were_prove_nothing(evaluation, tmp_path):
    out = dataset(tmp_path)
    shard = next((out / "data").rglob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DataError, match="sha256 must be"):
        compare(out, evaluation[0])
    write_sums(out)
    with pytest.raises(DataError, match="does not hold documents"):
        compare(out, evaluation[0])


def test_what_is_neither_a_recipe_nor_a_dataset_is_refused(tmp_path, run_axk1_here):
    out = dataset(tmp_path)
    result = run_axk1_here("data", "check", out, "--evaluation", tmp_path / "nowhere", cwd=tmp_path)
    assert (result.returncode, "no recipe at" in result.stderr) == (1, True)
    shutil.rmtree(out / "data")
    result = run_axk1_here("data", "check", out, "--write", cwd=tmp_path)
    assert (result.returncode, "--write goes with --evaluation" in result.stderr) == (2, True)
