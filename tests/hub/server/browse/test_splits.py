"""Which files are a dataset's rows. The library `datasets` itself is the oracle."""

from pathlib import Path

import pytest
from datasets.data_files import DataFilesDict, EmptyDatasetError, get_data_patterns, sanitize_patterns
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_axk1.hub.server.browse.splits import configurations, format_of

PARTS = ["train", "test", "val", "data", "my-train", "train_2", "eval", "__x", ".hidden", "a b"]
NAMES = [
    "train.csv", "test-1.csv", "dev.csv", "x.csv", "README.md", "train-00000-of-00002.csv", "train-00001-of-00002.csv",
    "mine-00000-of-00001.csv", ".train.csv", "config.json", "validation", "0.csv", "training.csv", "my_eval_2.csv",
]  # fmt: skip
paths = st.lists(
    st.builds(lambda folders, name: "/".join([*folders, name]), st.lists(st.sampled_from(PARTS), max_size=3),
              st.sampled_from(NAMES)), min_size=1, max_size=8, unique=True)  # fmt: skip
PATTERN_PARTS = [
    "**", "*", "train", "data", "*.csv", "t*", "[dt]*", "[!t]*", "[]t]*", "[t", "tr??n*", "?.csv", ".*", "__*",
]  # fmt: skip
patterns = st.lists(st.lists(st.sampled_from(PATTERN_PARTS), max_size=3).map("/".join), min_size=1, max_size=3)


def lay_out(folder: Path, files: list[str]) -> list[str]:
    """Make the files, but for those in whose place there is a folder; returns what is there."""
    for path in files:
        place = folder / path
        if not any((folder / parent).is_file() for parent in Path(path).parents) and not place.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("a\n1\n")
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def found_by_datasets(folder: Path, data_files: object) -> dict[str, list[str]]:
    given = get_data_patterns(str(folder)) if data_files is None else sanitize_patterns(data_files)
    found = DataFilesDict.from_patterns(given, base_path=str(folder))
    return {str(split): [Path(file).relative_to(folder).as_posix() for file in files] for split, files in found.items()}


def found_here(card: dict, there: list[str]) -> dict[str, list[str]]:
    return {split.name: list(split.files) for one in configurations(card, there) for split in one.splits}


def of_csv(found: dict[str, list[str]]) -> dict[str, list[str]]:
    only = {split: [path for path in files if path.endswith(".csv")] for split, files in found.items()}
    return {split: files for split, files in only.items() if files}


class TestAsDatasetsDoes:
    @settings(max_examples=60, deadline=None)
    @given(paths)
    def test_by_the_files_names(self, tmp_path_factory, files):
        folder = tmp_path_factory.mktemp("named")
        there = lay_out(folder, files)
        try:
            expected = of_csv(found_by_datasets(folder, None))
        except EmptyDatasetError:
            expected = {}
        except ValueError:
            with pytest.raises(ValueError, match="split's name"):
                configurations({}, there)
            return
        assert of_csv(found_here({}, there)) == expected

    @settings(max_examples=60, deadline=None)
    @given(paths, patterns)
    def test_by_the_card(self, tmp_path_factory, files, globs):
        folder = tmp_path_factory.mktemp("stated")
        there = lay_out(folder, files)
        card = {"configs": [{"config_name": "it", "data_files": globs}]}
        try:
            expected = of_csv(found_by_datasets(folder, globs))
        except (FileNotFoundError, ValueError):
            return  # one of the patterns finds nothing: `datasets` reads none then, we read the others
        assert of_csv(found_here(card, there)) == expected


class TestCard:
    PATHS = ("README.md", "a/train.jsonl", "a/test.jsonl", "b/x.parquet", "b/y.parquet", "b/notes.txt")

    def test_configurations_come_in_the_cards_order_and_one_is_the_default(self):
        configs = [
            {"config_name": "a", "data_dir": "a"},
            {"config_name": "b", "data_files": [{"split": "train", "path": "b/*"}], "default": True},
        ]
        found = configurations({"configs": configs}, self.PATHS)
        assert [(one.name, one.is_default) for one in found] == [("a", False), ("b", True)]
        assert {split.name: split.files for split in found[0].splits} == {
            "train": ("a/train.jsonl",),
            "test": ("a/test.jsonl",),
        }

    def test_of_several_formats_the_most_common_is_read(self):
        found = configurations({"configs": [{"config_name": "b", "data_files": "b/*"}]}, self.PATHS)
        assert found[0].splits[0].format == "parquet"
        assert found[0].splits[0].files == ("b/x.parquet", "b/y.parquet")

    def test_a_file_that_a_card_names_is_found_even_where_names_mean_nothing(self):
        card = {"configs": [{"config_name": "default", "data_files": {"test": ["a/train.jsonl"]}}]}
        assert found_here(card, list(self.PATHS)) == {"test": ["a/train.jsonl"]}

    @pytest.mark.parametrize(
        "configs",
        [
            "a",
            [1],
            [{"data_files": "*"}],
            [{"config_name": "a", "data_files": [{"split": "x"}]}],
            [{"config_name": "a", "data_files": 3}],
            [{"config_name": "a", "data_files": [{"split": "x", "path": "a"}, {"split": "x", "path": "b"}]}],
        ],
    )
    def test_what_the_card_has_wrong_is_told(self, configs):
        with pytest.raises(ValueError, match="must"):
            configurations({"configs": configs}, self.PATHS)

    def test_nothing_outside_the_repository_is_found(self):
        for stated in ("/etc/passwd", "../x.csv", "hf://datasets/a/b/x.csv", "https://a.example/x.csv"):
            card = {"configs": [{"config_name": "a", "data_files": stated}]}
            assert configurations(card, ["x.csv"])[0].splits == ()

    def test_a_card_cannot_have_the_hub_compare_names_for_long(self):
        card = {"configs": [{"config_name": "a", "data_files": ["**/*a*a*a*b"] * 1000}]}
        with pytest.raises(ValueError, match="as many patterns"):
            configurations(card, [f"{number}/{'a' * 50}.csv" for number in range(3000)])

    def test_a_pattern_of_many_stars_is_compared_in_few_steps(self):
        card = {"configs": [{"config_name": "a", "data_files": "/".join(["**"] * 60 + ["b"])}]}
        assert configurations(card, ["/".join(["a"] * 60) + ".csv"])[0].splits == ()


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["a.jsonl.gz"], "json"),
        (["a.CSV"], "csv"),
        (["a.csv", "b.parquet"], "parquet"),
        (["a.csv", "b.csv", "c.parquet"], "csv"),
        (["a.zip"], None),
        (["a"], None),
    ],
)
def test_endings_decide_the_format(files, chosen):
    assert format_of(files) == chosen
