"""Statistics of columns. The oracles are Python's own `statistics` and counting by hand."""

import json
import math
import statistics
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.hub.server.browse.sandboxed.columns import columns
from modeling_axk1.hub.server.browse.sandboxed.spread import spread
from tests.hub.server.browse.test_rows import parquet
from tests.hub.server.browse.test_tensors import words_of

INT64 = st.integers(-(2**63), 2**63 - 1)


def told(folder: Path, contents: list[bytes], format: str = "parquet") -> dict:
    for number, content in enumerate(contents):
        (folder / str(number)).write_bytes(content)
    files = [{"path": str(folder / str(number)), "compressed": False} for number in range(len(contents))]
    found = json.loads(columns(files, format))
    return found | {"columns": {column["name"]: column for column in found["columns"]}}


class TestSpread:
    @given(
        st.lists(INT64, min_size=1)
        | st.lists(st.integers(0, 40), min_size=1)
        | st.lists(st.integers(0, 9**9), min_size=1)
    )
    def test_whole_numbers(self, numbers):
        made = spread(np.array(numbers, np.int64))
        assert (made["min"], made["max"]) == (min(numbers), max(numbers))
        assert made["median"] == pytest.approx(statistics.median(map(float, numbers)), rel=1e-12, abs=1e-9)
        # Every number lies in exactly one bin, between its bounds.
        bins = made["histogram"]
        assert [count for *_, count in bins] == [sum(low <= it <= high for it in numbers) for low, high, _ in bins]
        assert sum(count for *_, count in bins) == len(numbers)
        assert len(bins) <= 65

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
    def test_other_numbers(self, numbers):
        made = spread(np.array(numbers))
        assert (made["min"], made["max"]) == (min(numbers), max(numbers))
        assert sum(count for *_, count in made["histogram"]) == len(numbers)
        assert made["min"] <= made["low"] <= made["median"] <= made["high"] <= made["max"]
        # Where large ones cancel each other, what is left is as exact as they are.
        exact = 2 * statistics.fmean(it / 2 / len(numbers) for it in numbers) * len(numbers)
        assert made["mean"] == pytest.approx(exact, abs=max(1e-300, 1e-9 * max(map(abs, numbers))))
        assert all(math.isfinite(low) and low <= high for low, high, _ in made["histogram"])

    def test_bins_that_hold_as_many_numbers_each(self):
        assert spread(np.arange(41))["histogram"] == [(low, low + 2, min(3, 41 - low)) for low in range(0, 41, 3)]

    def test_lengths_that_are_mostly_short_have_bins_that_double(self):
        made = spread(np.array([1, 2, 2, 3, 500]))
        assert made["doubling"]
        assert [(low, high) for low, high, count in made["histogram"] if count] == [(1, 1), (2, 3), (256, 511)]


class TestColumn:
    def test_numbers(self, tmp_path):
        table = pa.table({"a": pa.array([3, None, 1, 2**62], pa.int64()), "b": [1.5, math.nan, math.inf, 1.5]})
        found = told(tmp_path, [parquet(table, row_group_size=2)])["columns"]
        assert found["a"]["nulls"] == 1
        assert (found["a"]["numbers"]["min"], found["a"]["numbers"]["max"], found["a"]["distinct"]) == (1, 2**62, 3)
        assert found["b"]["not_finite"] == 2
        assert found["b"]["frequent"] == [["1.5", 2]]

    def test_text(self, tmp_path):
        table = pa.table({"a": ["가나", "다", "다", None, "x" * 300], "b": ["u", "v", "w", "x", "y"]})
        found = told(tmp_path, [parquet(table)])["columns"]
        assert found["a"]["distinct"] == 3
        assert (found["a"]["numbers"]["min"], found["a"]["numbers"]["max"]) == (1, 300)
        assert "frequent" not in found["a"]  # of values that long none is shown
        assert "frequent" not in found["b"]  # and none where each comes once

    def test_categories(self, tmp_path):
        values = ["ko"] * 3 + ["en"] * 5 + [""]
        for column in (pa.array(values), pa.array(values).dictionary_encode(), pa.array(values, pa.large_string())):
            found = told(tmp_path, [parquet(pa.table({"a": column}))])["columns"]["a"]
            assert (found["kind"], found["distinct"]) == ("text", 3)
            assert found["frequent"] == [["en", 5], ["ko", 3], ["", 1]]

    def test_the_other_kinds(self, tmp_path):
        table = pa.table(
            {
                "truth": [True, False, True],
                "day": [date(2026, 1, 13), None, date(1999, 12, 31)],
                "moment": [datetime(2026, 1, 13, 9), datetime(2025, 1, 1), None],
                "items": [[1, 2], [], None],
                "bytes": [b"", b"abc", None],
                "price": [Decimal("1.25"), Decimal("-3.5"), None],
                "nested": [{"a": 1}, None, {"a": 2}],
                "nothing": pa.nulls(3),
                "when": pa.array([0, 1, None], pa.time32("s")),
            }
        )
        found = told(tmp_path, [parquet(table)])["columns"]
        assert found["truth"]["frequent"] == [["true", 2], ["false", 1]]
        assert found["day"]["bounds"] == ["1999-12-31", "2026-01-13"]
        assert found["moment"]["bounds"] == ["2025-01-01 00:00:00", "2026-01-13 09:00:00"]
        assert (found["items"]["kind"], found["items"]["numbers"]["max"]) == ("list", 2)
        assert (found["bytes"]["kind"], found["bytes"]["numbers"]["max"]) == ("binary", 3)
        assert (found["price"]["numbers"]["min"], found["price"]["numbers"]["max"]) == (-3.5, 1.25)
        assert (found["nested"]["kind"], found["nested"]["nulls"]) == ("other", 1)
        assert (found["nothing"]["kind"], found["nothing"]["nulls"]) == ("empty", 3)
        assert found["when"]["bounds"] == ["00:00:00", "00:00:01"]

    def test_csv_has_numbers_where_all_of_a_column_is(self, tmp_path):
        content = b"a,b,c\n1,1.5,x\n 2,,7\n1,1e3,\n"
        found = told(tmp_path, [content], "csv")["columns"]
        assert (found["a"]["kind"], found["a"]["numbers"]["max"]) == ("number", 2)
        assert (found["b"]["kind"], found["b"]["nulls"], found["b"]["numbers"]["max"]) == ("number", 1, 1000.0)
        assert found["c"]["kind"] == "text"

    def test_json_may_have_several_types_in_a_column(self, tmp_path):
        lines = [{"a": 1}, {"a": "x", "b": 1}, {"b": 2.5}, {"c": {"d": None}}]
        content = "\n".join(map(json.dumps, lines)).encode()
        found = told(tmp_path, [content], "json")
        assert found["rows"] == 4
        assert found["columns"]["b"]["numbers"]["max"] == 2.5
        assert found["columns"]["b"]["nulls"] == 2
        assert found["columns"]["a"]["nulls"] == 2
        # One file of whole numbers, one of text: no type is right for both.
        files = [b'{"a":1}\n', b'{"a":"x"}\n']
        assert told(tmp_path, files, "json")["columns"]["a"]["kind"] == "mixed"
        assert told(tmp_path, [b'{"a":1}\n', b'{"a":2.5}\n'], "json")["columns"]["a"]["numbers"]["mean"] == 1.75

    def test_a_column_that_files_lack_counts_as_null(self, tmp_path):
        found = told(tmp_path, [parquet(pa.table({"a": [1, 2]})), parquet(pa.table({"b": ["x"]}))])
        assert (found["columns"]["a"]["nulls"], found["columns"]["b"]["nulls"]) == (1, 2)


class TestBound:
    def test_the_first_rows_are_taken_and_it_is_said(self, tmp_path, monkeypatch):
        monkeypatch.setattr("modeling_axk1.hub.server.browse.sandboxed.columns.MOST_ROWS", 5000)
        found = told(tmp_path, [parquet(pa.table({"a": range(4000)}))] * 2)
        assert not found["whole"]
        assert 4000 <= found["rows"] <= 5000
        assert found["columns"]["a"]["nulls"] == 0

    def test_a_damaged_file_is_told(self, tmp_path):
        found = told(tmp_path, [parquet(pa.table({"a": [1]})), b"PAR1"])
        assert not found["whole"]
        assert found["rows"] == 1
        assert found["problems"][0][0] == 1


class TestPage:
    @pytest.fixture
    def statistics(self, pages) -> str:
        table = pa.table({"language": ["ko", "en", "ko"] * 10, "<b>": range(30), "text": ["글" * n for n in range(30)]})
        pages.add("team/statistics", {"data/train-00000-of-00001.parquet": parquet(table)}, kind="datasets")
        return "/datasets/team/statistics/viewer/main/columns"

    def test_it_says_of_how_many_rows_it_is(self, pages, statistics):
        text = words_of(pages.page(statistics))
        assert "Of all 30 rows." in text
        assert "ko 20 66.7 % en 10 33.3 %" in text
        assert "전체 30행을 집계했습니다." in pages.page(statistics, **{"Accept-Language": "ko"})

    def test_a_histogram_says_in_words_what_it_shows(self, pages, statistics):
        html = pages.page(statistics)
        assert 'role="img" aria-label="Histogram from 0 to 29, half of them up to 14.5"' in html
        assert "<b>" not in html

    def test_it_is_found_out_once(self, pages, statistics, monkeypatch):
        pages.page(statistics)
        monkeypatch.setattr(
            "modeling_axk1.hub.server.browse.columns.the_sandbox.run", lambda *_, **__: pytest.fail("read again")
        )
        assert "Of all 30 rows." in pages.page(statistics)
