"""`axk1 data` as a person uses it: real processes, one line on stderr when something is wrong."""

import json

import pytest

from tests.data.recipes import RECIPE, document, some_documents, write_recipe


def assert_refused(result, tmp_path, message, code=1):
    assert result.returncode == code
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert message in result.stderr
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_build_prints_what_it_wrote_for_people_and_for_machines(tmp_path, run_axk1):
    recipe = write_recipe(tmp_path / "recipe", [*some_documents(), document("가")])
    person = run_axk1("data", "build", recipe, "--out", tmp_path / "a")
    assert person.returncode == 0, person.stderr
    assert "dropped 1 (length): shorter than 10 bytes" in person.stdout
    assert person.stderr == ""
    machine = run_axk1("data", "build", recipe, "--out", tmp_path / "b", "--json")
    assert json.loads(machine.stdout)["stats"] == json.loads((tmp_path / "b" / "stats.json").read_text())


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path, run_axk1):
    recipe = write_recipe(tmp_path / "recipe", some_documents())
    result = run_axk1("data", "build", recipe, "--out", tmp_path / "out", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "20 documents" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["recipe"]


def test_a_missing_recipe(tmp_path, run_axk1):
    result = run_axk1("data", "build", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert_refused(result, tmp_path, "no recipe at")


def test_a_text_file_that_is_not_utf8(tmp_path, run_axk1):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_bytes("좋은 글".encode())
    (texts / "b.txt").write_bytes("나쁜 글".encode("euc-kr"))
    result = run_axk1("data", "build", texts, "--language", "ko", "--license", "MIT", "--out", tmp_path / "out")
    assert_refused(result, tmp_path, "b.txt: not UTF-8 at byte 0")


@pytest.mark.parametrize(
    ("recipe", "line", "message"),
    [
        (RECIPE + "\n[extra]\n", "", "unknown key 'extra'"),
        (RECIPE, '{"text": "cut', "manual.jsonl, line 21: not JSON"),
        (RECIPE, '{"text": "x"}', "manual.jsonl, line 21: missing field 'language'"),
    ],
)
def test_a_wrong_recipe_or_document(tmp_path, run_axk1, recipe, line, message):
    folder = write_recipe(tmp_path / "recipe", some_documents(), recipe)
    with (folder / "manual.jsonl").open("a") as file:
        file.write(line + "\n")
    result = run_axk1("data", "build", folder, "--out", tmp_path / "out")
    assert_refused(result, tmp_path, message)


def test_half_of_what_a_text_folder_needs_is_wrong_use(tmp_path, run_axk1):
    result = run_axk1("data", "build", tmp_path, "--language", "ko", "--out", tmp_path / "out")
    assert_refused(result, tmp_path, "needs both --language and --license", code=2)
