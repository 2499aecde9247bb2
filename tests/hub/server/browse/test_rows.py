"""The rows of a dataset as pages show them: whatever the format, whatever is in them."""

import csv
import gzip
import io
import json
import re
from datetime import datetime
from decimal import Decimal
from html import unescape
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.hub.server.browse.sandboxed.rows import rows
from modeling_axk1.hub.server.browse.sandboxed.values import cell
from tests.hub.server.browse.test_tensors import words_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
arrow_values = st.one_of(
    st.lists(st.none() | st.text(), min_size=1, max_size=4),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1),
    st.lists(st.none() | st.floats(), min_size=1),
    st.lists(st.none() | st.binary(), min_size=1),
    st.lists(st.none() | st.booleans(), min_size=1),
    st.lists(st.none() | st.lists(st.none() | st.text(max_size=3)), min_size=1),
    st.lists(st.none() | st.fixed_dictionaries({"a": st.none() | st.text(), "b": st.lists(st.integers(0, 9))}),
             min_size=1),
)  # fmt: skip


def parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def read(
    folder: Path, contents: list[bytes], format: str, start: int = 0, count: int = 20, known: bool = False
) -> dict:
    """What the sandbox answers for files of these contents."""
    files = []
    for number, content in enumerate(contents):
        (folder / str(number)).write_bytes(content)
        files.append({"path": str(folder / str(number)), "compressed": content[:2] == b"\x1f\x8b", "rows": None})
    if known:
        for file, number in zip(files, json.loads(rows(files, format, 0, 0, 10, 10))["counts"], strict=True):
            file["rows"] = number
    return json.loads(rows(files, format, start, count, 100, 10**6))


def texts(found: dict, column: str) -> list[str]:
    return [row["cells"][column]["text"] for row in found["rows"]]


class TestCell:
    @given(json_values, st.integers(1, 50))
    def test_any_value_becomes_text_of_bounded_length_that_utf8_can_hold(self, value, longest):
        made = cell(value, longest)
        assert len(made["text"]) <= longest
        made["text"].encode()

    @given(arrow_values, st.integers(1, 50))
    def test_so_does_any_value_of_arrow(self, values, longest):
        for value in pa.array(values):
            made = cell(value, longest)
            assert made["kind"] == "binary" or len(made["text"]) <= longest
            made["text"].encode()

    @given(st.lists(st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))))
    def test_a_nested_value_that_is_not_cut_is_its_json(self, value):
        assert json.loads(cell(value, 1_000_000)["text"]) == value

    @given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 20))
    def test_text_that_is_cut_says_how_long_it_is(self, text, longest):
        for value in (text, pa.scalar(text), pa.scalar(text, pa.large_string())):
            made = cell(value, longest)
            assert made["text"] == text[:longest]
            assert made.get("length") == (len(text) if len(text) > longest else None)

    @pytest.mark.parametrize(
        ("value", "kind", "text"),
        [
            (None, "null", ""),
            (pa.scalar(None, pa.string()), "null", ""),
            (True, "text", "true"),
            (pa.scalar(2**63 - 1), "number", "9223372036854775807"),
            (pa.scalar(float("nan")), "number", "NaN"),
            (float("-inf"), "number", "-Infinity"),
            (pa.scalar(Decimal("1.50")), "number", "1.50"),
            (pa.scalar(datetime(2026, 1, 13, 9, 30)), "text", "2026-01-13 09:30:00"),
            (pa.scalar(b"\0\xff"), "binary", "2 B: 00 ff"),
            (pa.scalar({"a": [1, None]}), "nested", '{"a": [1, null]}'),
            (pa.scalar([("k", 1)], pa.map_(pa.string(), pa.int64())), "nested", '{"k": 1}'),
            ("\ud800", "text", "\ufffd"),
            (pa.array(["x"]).dictionary_encode()[0], "text", "x"),
        ],
    )
    def test_kinds(self, value, kind, text):
        assert (cell(value, 100)["kind"], cell(value, 100)["text"]) == (kind, text)

    def test_text_in_a_file_need_not_be_utf8(self):
        broken = pa.Array.from_buffers(
            pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb")]
        )
        assert cell(broken[0], 10)["text"] == "a\ufffdb"


class TestParquet:
    @pytest.mark.parametrize("known", [False, True], ids=["first", "with counts"])
    @pytest.mark.parametrize("start", [0, 1, 6, 7, 13, 19, 20, 45, 49, 50, 99])
    def test_rows_go_on_over_row_groups_and_files(self, tmp_path, start, known):
        files = [
            parquet(pa.table({"a": range(first, last)}), row_group_size=7)
            for first, last in ((0, 20), (20, 20), (20, 50))
        ]
        found = read(tmp_path, files, "parquet", start, 10, known)
        expected = list(range(start, min(start + 10, 50)))
        assert [row["number"] for row in found["rows"]] == expected
        assert texts(found, "a") == [str(number) for number in expected]
        assert [row["file"] for row in found["rows"]] == [0 if number < 20 else 2 for number in expected]
        assert found["counts"] == [20, 0, 30]

    def test_types_are_told(self, tmp_path):
        table = pa.table({"a": [1], "b": pa.array([["x"]])})
        assert read(tmp_path, [parquet(table)], "parquet")["types"] == {"a": "int64", "b": "list<element: string>"}

    def test_a_row_of_many_long_values_is_cut(self, tmp_path):
        table = pa.table({f"c{number}": ["x" * 5000] for number in range(90)})
        (tmp_path / "0").write_bytes(parquet(table))
        file = {"path": str(tmp_path / "0"), "compressed": False, "rows": None}
        cells = json.loads(rows([file], "parquet", 0, 1, 3000, 10_000))["rows"][0]["cells"]
        assert [len(made["text"]) for made in cells.values()] == [3000, 3000, 3000, 1000] + [100] * 86
        assert {made["length"] for made in cells.values()} == {5000}

    def test_columns_of_one_name_and_names_with_dots_are_told_apart(self, tmp_path):
        table = pa.table([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "a", "a.b"])
        cells = read(tmp_path, [parquet(table)], "parquet")["rows"][0]["cells"]
        assert {name: made["text"] for name, made in cells.items()} == {"a": "1", "a (2)": "2", "a.b": "3"}

    def test_a_wide_table_shows_its_first_columns(self, tmp_path):
        table = pa.table({f"c{number}": [number] for number in range(130)})
        found = read(tmp_path, [parquet(table)], "parquet")
        assert list(found["rows"][0]["cells"]) == [f"c{number}" for number in range(100)]
        assert found["more"] == 30

    def test_a_damaged_file_costs_its_own_rows(self, tmp_path):
        good = parquet(pa.table({"a": [1, 2]}))
        found = read(tmp_path, [good, b"PAR1 no", good], "parquet")
        assert texts(found, "a") == ["1", "2", "1", "2"]
        assert [place for place, _ in found["problems"]] == [1]


class TestLines:
    def test_json_lines_and_arrays_are_rows(self, tmp_path):
        objects = [{"a": number, "b": {"c": "é"}} for number in range(30)]
        lines = "\n".join(map(json.dumps, objects)).encode() + b"\n\n"
        for content in (lines, gzip.compress(lines), json.dumps(objects).encode()):
            found = read(tmp_path, [content, content], "json", 25, 10)
            assert texts(found, "a") == [*map(str, range(25, 30)), *map(str, range(5))]
            assert found["rows"][0]["cells"]["b"]["text"] == '{"c": "é"}'
            assert found["counts"] == [30, 30]

    def test_a_line_that_is_no_object_is_told_in_its_place(self, tmp_path):
        found = read(tmp_path, [b'{"a":1}\nnot json\n[1]\n' + b"[" * 100_000 + b'\n{"a":2}\n'], "json")
        assert ["problem" in row for row in found["rows"]] == [False, True, True, True, False]
        assert found["rows"][2]["problem"] == "a row must be a JSON object, got list"

    @given(
        rows=st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])).filter(bool), min_size=2, max_size=2))
    )
    def test_csv_is_read_as_it_was_written(self, tmp_path_factory, rows):
        text = io.StringIO()
        csv.writer(text).writerows([["x", "y"], *rows])
        found = read(tmp_path_factory.mktemp("csv"), [text.getvalue().encode()], "csv", count=1000)
        shown = [[cell(value, 100)["text"] for value in row] for row in rows]
        assert [[row["cells"][name]["text"] for name in "xy"] for row in found["rows"]] == shown

    def test_csv_that_is_uneven_keeps_what_it_has(self, tmp_path):
        found = read(tmp_path, [b"\xef\xbb\xbfa,a\n1\n1,2,3\n\xff,,\n"], "csv")
        cells = [{name: made["text"] for name, made in row["cells"].items()} for row in found["rows"]]
        assert cells == [{"a": "1"}, {"a": "1", "a (2)": "2", "(3)": "3"}, {"a": "\ufffd", "a (2)": "", "(3)": ""}]

    def test_text_is_a_row_a_line(self, tmp_path):
        assert texts(read(tmp_path, ["하나\r\n둘\n\n넷".encode()], "text"), "text") == ["하나", "둘", "", "넷"]

    def test_what_cannot_be_unpacked_is_told(self, tmp_path):
        found = read(tmp_path, [gzip.compress(b'{"a":1}\n' * 1000)[:-20]], "json", count=1)
        assert "unpacked" in found["problems"][0][1]

    def test_many_keys_are_no_endless_table(self, tmp_path):
        lines = b"\n".join(json.dumps({f"k{number}": 1}).encode() for number in range(300))
        found = read(tmp_path, [lines], "json", count=300)
        assert len({name for row in found["rows"] for name in row["cells"]}) == 100
        assert found["more"] == 200


NASTY = "<script>alert(1)</script>\u202eשלום\u0000 & \"quoted\" 'single' ‏مرحبا 𝟙 한국어"
CARD = """---
configs:
- config_name: default
  data_files: [{split: train, path: "data/train-*.parquet"}, {split: 시험, path: "data/test.jsonl"}]
- config_name: more & <more>
  data_files: "extra/*.csv"
---
# A dataset
"""


@pytest.fixture(scope="module")
def dataset(pages) -> str:
    train = pa.table({"id": range(50), "text": [NASTY] + ["긴 글 " * 100] * 49, "list": [[1, None]] * 50})
    halves = {f"data/train-{number}.parquet": parquet(train.slice(25 * number, 25)) for number in range(2)}
    extra = "name,n\n" + "".join(f"row {number},{number}\n" for number in range(3))
    files = {"README.md": CARD, "data/test.jsonl": '{"a": null}\n', "extra/a.csv": extra}
    pages.add("team/rows", files | halves, kind="datasets")
    return "/datasets/team/rows/viewer/main"


class TestPage:
    def test_the_first_rows_of_the_default_split(self, pages, dataset):
        html = pages.page(dataset)
        assert "Rows 1 to 20 of 50." in html
        assert re.search(r'<a href="/datasets/team/rows/blob/main/data/train-0\.parquet">', html)
        assert "… all 400 characters" in html

    def test_what_is_in_a_row_stays_text(self, pages, dataset):
        for address in (dataset, f"{dataset}?row=1"):
            html = pages.page(address)
            assert "<script>alert" not in html
            assert "\u202e" not in html
            assert "\0" not in html
            assert "<script>alert(1)</script>שלום" in unescape(html)
            assert 'dir="auto"' in html

    def test_pages_lead_to_all_rows_and_no_further(self, pages, dataset):
        seen, address = [], dataset
        while address:
            html = pages.page(address)
            seen += [int(number) for number in re.findall(r'aria-label="Row (\d+)"', html)]
            onward = re.search(r'rel="next" href="([^"]+)"', html)
            address = unescape(onward[1]) if onward else ""
        assert seen == list(range(1, 51))
        assert "The rows end before this page." in pages.page(f"{dataset}?page=4")

    def test_a_split_and_a_configuration_are_chosen_by_address(self, pages, dataset):
        html = pages.page(f"{dataset}?split=%EC%8B%9C%ED%97%98")
        assert "Rows 1 to 1 of 1." in html
        assert '<option value="시험" selected>' in html
        html = pages.page(f"{dataset}?config=more+%26+%3Cmore%3E&split=%EC%8B%9C%ED%97%98")
        assert "Rows 1 to 3 of 3." in html
        assert pages.browser.get(f"{dataset}?config=none").status_code == 404

    def test_a_row_is_shown_whole_with_its_neighbours(self, pages, dataset):
        html = pages.page(f"{dataset}?row=26")
        assert "긴 글 " * 100 in html
        assert "?row=25" in html
        assert "?row=27" in html
        assert "data/train-1.parquet" in html
        assert "The rows end before this one." in pages.page(f"{dataset}?row=51")

    def test_a_dataset_without_data_says_so(self, pages):
        pages.add("team/bare", {"README.md": "# Nothing\n"}, kind="datasets")
        assert "No rows to show" in pages.page("/datasets/team/bare/viewer/main")

    def test_a_card_that_is_wrong_is_told_and_names_decide(self, pages):
        card = "---\nconfigs: [{config_name: a, data_files: [{split: x}]}]\n---\n"
        pages.add("team/wrong", {"README.md": card, "test.csv": "a\n1\n"}, kind="datasets")
        text = words_of(pages.page("/datasets/team/wrong/viewer/main"))
        assert "What the card says of its configurations cannot be used" in text
        assert "Rows 1 to 1 of 1." in text

    def test_a_file_that_cannot_be_read_is_named(self, pages):
        pages.add(
            "team/damaged",
            {"a.parquet": b"PAR1 is not all", "b.parquet": parquet(pa.table({"a": [7]}))},
            kind="datasets",
        )
        text = words_of(pages.page("/datasets/team/damaged/viewer/main"))
        assert "Files that could not be read (1): a.parquet : it is not a Parquet file" in text
        assert "Rows 1 to 1 of 1." in text

    def test_small_files_are_taken_out_of_git_as_far_as_they_are_needed(self, pages, monkeypatch):
        lines = {f"{number}.jsonl": f'{{"a": {number}}}\n' * 20 for number in range(5)}
        pages.add("team/small", lines, kind="datasets")
        address = "/datasets/team/small/viewer/main"
        # Room for two of them: the others wait until these are counted.
        monkeypatch.setattr("modeling_axk1.hub.server.browse.on_disk._MOST_BYTES", 2 * 9 * 20)
        assert "how many there are was not counted" in pages.page(address)
        assert "is not counted yet" in pages.page(f"{address}?page=5")
        assert "Rows 41 to 60" in pages.page(f"{address}?page=3")
        assert "Of the first 40 rows, not of all." in pages.page(f"{address}/columns")
        pages.page(f"{address}?page=5")
        assert "Rows 81 to 100 of 100." in pages.page(f"{address}?page=5")
        monkeypatch.setattr("modeling_axk1.hub.server.browse.on_disk._MOST_BYTES", 9 * 20)
        assert "Rows 21 to 40 of 100." in pages.page(f"{address}?page=2")

    def test_a_model_has_no_viewer(self, pages):
        pages.add("team/model", {"a.csv": "a\n1\n"})
        assert pages.browser.get("/team/model/viewer/main").status_code == 404

    def test_a_sample_of_this_project_reads(self, pages):
        sample = Path(__file__).parents[4] / "data_cards" / "sample"
        pages.add("team/sample", {path.name: path.read_bytes() for path in sample.glob("*.jsonl")}, kind="datasets")
        lines = sum(path.read_bytes().count(b"\n") for path in sample.glob("*.jsonl"))
        assert f"of {lines:,}." in pages.page("/datasets/team/sample/viewer/main")
