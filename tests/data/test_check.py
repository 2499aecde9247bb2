"""`axk1 data check` finds whatever a dataset promises and does not hold; `card` and `stats` keep it to its numbers."""

import json
import shutil

import pyarrow
import pyarrow.parquet
import pytest

from modeling_axk1.checksums import write_sums
from modeling_axk1.data.about import outdated, renew
from modeling_axk1.data.build import build
from modeling_axk1.data.check import check
from modeling_axk1.data.stats import read_stats
from modeling_axk1.errors import DataError
from tests.data.recipes import some_documents, write_recipe

SHARD = "data/apache-2.0/ko/train-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("check")
    return build(write_recipe(root / "recipe", some_documents(100)), root / "out").out


@pytest.fixture
def dataset(built, tmp_path):
    return shutil.copytree(built, tmp_path / "dataset")


def change(dataset, column: str, value: object, row: int = 0) -> None:
    """Change one cell of a shard and make the checksums right again."""
    table = pyarrow.parquet.read_table(dataset / SHARD)
    rows = table.to_pylist()
    rows[row][column] = value
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=table.schema), dataset / SHARD)
    write_sums(dataset)


def test_a_dataset_as_it_was_built_has_no_problem(dataset):
    assert check(dataset) == []


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("text", "another text, more or less", "sha256 must be that of the text"),
        ("sha256", "0" * 64, "sha256 must be that of the text"),
        ("id", "0" * 16, "id must be the first 16 digits of sha256"),
        ("language", "en", "language must be that of the path"),
        ("license", "MIT", "license must be allowed by the recipe"),
        ("license", "CC-BY-SA-3.0", "license must be that of the config"),
        ("source", None, "no column may be null"),
    ],
)
def test_a_row_that_breaks_a_promise_is_named(dataset, column, value, rule):
    change(dataset, column, value)
    problems = check(dataset)
    assert any(problem.startswith(f"{SHARD}: {rule}: document ") for problem in problems), problems


def test_of_many_rows_with_one_problem_some_are_named_and_the_others_counted(dataset):
    for row in range(8):
        change(dataset, "id", "0" * 16, row)
    named = [problem for problem in check(dataset) if "id must be" in problem]
    assert len(named) == 6
    assert named[-1] == f"{SHARD}: id must be the first 16 digits of sha256: 3 more"


def test_a_text_that_is_there_twice_is_found(dataset):
    table = pyarrow.parquet.read_table(dataset / SHARD)
    pyarrow.parquet.write_table(pyarrow.concat_tables([table, table.slice(0, 2)]), dataset / SHARD)
    write_sums(dataset)
    problems = check(dataset)
    assert "2 documents have the text of another" in problems
    assert any(
        problem.startswith("stats.json counts 100 documents, the Parquet files hold 102") for problem in problems
    )


def test_other_columns_are_named(dataset):
    table = pyarrow.parquet.read_table(dataset / SHARD).drop_columns(["steps"])
    pyarrow.parquet.write_table(table, dataset / SHARD)
    write_sums(dataset)
    assert any("columns must be id, text, " in problem for problem in check(dataset))


def test_a_file_that_is_cut_off_missing_or_not_vouched_for_is_named(dataset):
    (dataset / SHARD).write_bytes((dataset / SHARD).read_bytes()[:-20])
    (dataset / "LICENSE").unlink()
    shutil.copy(
        dataset / "data/apache-2.0/en/train-00000-of-00001.parquet", dataset / "data/apache-2.0/en/train-x.parquet"
    )
    problems = "\n".join(check(dataset))
    assert f"{SHARD}: sha256 must be" in problems
    assert f"{SHARD} cannot be read as Parquet" in problems
    assert "LICENSE is missing" in problems
    assert "data/apache-2.0/en/train-x.parquet is not in SHA256SUMS" in problems


def test_the_command_lists_the_problems_and_exits_1(dataset, run_axk1_here, tmp_path):
    assert run_axk1_here("data", "check", dataset, cwd=tmp_path).returncode == 0
    change(dataset, "id", "0" * 16)
    result = run_axk1_here("data", "check", dataset, cwd=tmp_path)
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 1
    machine = run_axk1_here("data", "check", dataset, "--json", cwd=tmp_path)
    assert machine.returncode == 1
    assert len(json.loads(machine.stdout)["problems"]) == 1


def test_a_folder_that_is_no_dataset_is_refused(tmp_path, run_axk1_here):
    for command in ("check", "card", "stats"):
        result = run_axk1_here("data", command, tmp_path, cwd=tmp_path)
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1


def test_a_card_that_says_something_else_than_the_numbers_lags_and_is_written_anew(dataset, run_axk1_here, tmp_path):
    assert outdated(dataset) == []
    card = (dataset / "README.md").read_bytes()
    (dataset / "README.md").write_bytes(card.replace(b"100 documents", b"101 documents"))
    lagging = run_axk1_here("data", "card", dataset, "--check", cwd=tmp_path)
    assert (lagging.returncode, lagging.stdout) == (1, "outdated: README.md\n")
    assert run_axk1_here("data", "card", dataset, "--dry-run", cwd=tmp_path).stdout.encode() == card
    assert run_axk1_here("data", "card", dataset, cwd=tmp_path).stdout == "written: README.md\n"
    assert (dataset / "README.md").read_bytes() == card
    assert check(dataset) == []


def test_a_number_that_is_missing_is_an_error_and_leaves_no_gap(dataset):
    stats = json.loads((dataset / "stats.json").read_text())
    del stats["kept"]["bytes"]
    (dataset / "stats.json").write_text(json.dumps({**stats, "kept": {"documents": 100, "byte": 1}}))
    with pytest.raises(DataError, match=r"stats\.json: not what `axk1 data build` writes"):
        renew(dataset)


def test_tokens_are_counted_with_the_tokenizer_that_is_given(dataset, run_axk1_here, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    (tmp_path / "words").mkdir()
    words.save(str(tmp_path / "words" / "tokenizer.json"))
    result = run_axk1_here("data", "stats", dataset, "--tokenizer", tmp_path / "words", "--write", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    tokens = read_stats(dataset).tokens
    assert tokens.name == "words"
    texts = some_documents(100)
    assert tokens.by_language == {
        language: sum(len(one["text"].split()) for one in texts if one["language"] == language)
        for language in ("en", "ko")
    }
    assert tokens.by_source == {"manual": sum(len(one["text"].split()) for one in texts)}
    assert (
        f"| manual | 100 | {read_stats(dataset).kept.bytes:,} | {tokens.by_source['manual']} |"
        in (dataset / "README.md").read_text()
    )
    assert f"| en | {tokens.by_language['en']} |" in (dataset / "README.md").read_text()
    assert check(dataset) == []
    assert outdated(dataset) == []


def test_writing_tokens_needs_a_tokenizer(dataset, run_axk1_here, tmp_path):
    result = run_axk1_here("data", "stats", dataset, "--write", cwd=tmp_path)
    assert (result.returncode, "--write goes with --tokenizer" in result.stderr) == (2, True)
