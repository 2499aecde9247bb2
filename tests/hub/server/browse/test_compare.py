"""What changed between two revisions."""

import io
import json
import re
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modeling_axk1.hub.server.browse import tensor_changes
from modeling_axk1.hub.server.commits import AddRegular, CommitRequest, Delete
from modeling_axk1.weights.header import make_header


def safetensors(**tensors: tuple[str, tuple[int, ...]]) -> bytes:
    head = make_header(tensors, {})
    end = max(entry["data_offsets"][1] for entry in json.loads(head[8:]).values())
    return head + bytes(end)


def parquet(**columns: list) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def kinds_in(page: str) -> dict[str, str]:
    """Return {path: what happened to it} of the table of files."""
    found = re.findall(r'<td class="nowrap (\w+)">\w+</td>\s*<th scope="row"><a[^>]*><bdi>(.*?)</bdi>', page)
    return {path: kind for kind, path in found}


@pytest.fixture(scope="module")
def compared(pages):
    """The page of a comparison in which everything happens."""
    pages.add(
        "team/compared",
        {
            "README.md": "\n".join(["# Card", *map(str, range(20)), "old <line>", "end"]) + "\n",
            "config.json": json.dumps({"layers": 61, "rope": {"theta": 1.0}, "gone": 1}),
            "old name.txt": "the same bytes",
            "gone.txt": "x" * 3000,
            "one.safetensors": safetensors(a=("F32", (2, 2)), b=("BF16", (4,)), c=("F32", (1,))),
            "two.safetensors": safetensors(d=("F32", (8,))),
            "rows.parquet": parquet(id=[1, 2, 3], text=["a", "b", "c"]),
        },
        message="before",
    )
    repository = pages.catalog.get("models", "team", "compared")
    repository.add_tag("v1", "main", None)
    gone = [Delete(path, folder=False) for path in ("old name.txt", "gone.txt")]
    moved = AddRegular("new name.txt", b"the same bytes")
    repository.commit("main", CommitRequest("moved", None, [*gone, moved]), lambda _: None)
    pages.add(
        "team/compared",
        {
            "README.md": "\n".join(["# Card", *map(str, range(20)), "new <line>", "end"]) + "\n",
            "config.json": json.dumps({"layers": 62, "rope": {"theta": 1.0}, "new": [True]}),
            "added.txt": "y",
            "one.safetensors": safetensors(a=("F32", (2, 3)), c=("F32", (1,)), d=("F32", (8,))),
            "two.safetensors": safetensors(e=("F32", (8,))),
            "rows.parquet": parquet(id=[1, 2], text=["a", "b"], score=[0.5, 0.25]),
        },
        message="after",
    )
    return pages.page("/team/compared/compare/v1/main")


class TestComparison:
    def test_every_file_that_differs_is_named_with_what_happened_to_it(self, compared):
        assert kinds_in(compared) == {
            "README.md": "changed",
            "added.txt": "added",
            "config.json": "changed",
            "gone.txt": "removed",
            "new name.txt": "moved",
            "one.safetensors": "changed",
            "rows.parquet": "changed",
            "two.safetensors": "changed",
        }
        assert "old name.txt" in compared
        assert "1 added" in compared
        assert "1 moved" in compared

    def test_text_is_compared_by_lines_that_read_without_colour(self, compared):
        rows = re.findall(r'<td class="sign">(.)</td><td><code>(.*?)</code>', compared)
        assert rows == [("−", "old &lt;line&gt;"), ("+", "new &lt;line&gt;")]

    def test_json_is_compared_key_by_key(self, compared):
        rows = re.findall(
            r"<bdi>(/\w+(?:/\w+)?)</bdi></code></th><td.*?>(.*?)</td><td.*?>(.*?)</td>", compared, re.DOTALL
        )
        texts = {key: tuple(re.sub("<.*?>|\n", "", side) for side in sides) for key, *sides in rows}
        assert texts == {"/layers": ("61", "62"), "/gone": ("1", "none"), "/new/0": ("none", "true")}

    def test_tensors_are_compared_by_headers_wherever_they_went(self, compared):
        part = compared.partition("<h3>Tensors")[2].partition("<h3>")[0]
        rows = re.findall(r"<bdi>(\w)</bdi></code></th><td.*?>(.*?)</td><td.*?>(.*?)</td>", part, re.DOTALL)
        texts = {name: tuple(re.sub("<.*?>|\n", "", side) for side in sides) for name, *sides in rows}
        assert texts == {"a": ("F32 [2, 2]", "F32 [2, 3]"), "b": ("BF16 [4]", "none"), "e": ("none", "F32 [8]")}
        assert "2 with the same name" in part  # c stayed, d went to another file

    def test_parquet_is_compared_by_rows_and_columns(self, compared):
        part = compared.partition(">rows.parquet</bdi>\n")[2]
        assert re.search(r"Rows</bdi>.*?<bdi>3</bdi>.*?<bdi>2</bdi>", part, re.DOTALL)
        assert re.search(r"score</bdi>.*?none.*?<bdi>DOUBLE</bdi>", part, re.DOTALL)

    def test_the_other_way_round_is_one_link_away(self, compared, pages):
        assert 'href="/team/compared/compare/main/v1"' in compared
        assert kinds_in(pages.page("/team/compared/compare/main/v1"))["gone.txt"] == "added"

    def test_one_file_can_be_shown_by_itself(self, compared, pages):
        page = pages.page("/team/compared/compare/v1/main?path=config.json")
        assert kinds_in(page) == {"config.json": "changed"}
        pages.page("/team/compared/compare/v1/main?path=no", status=404)


def test_the_form_leads_to_the_comparison(pages):
    pages.add("team/form", {"a": "1"})
    page = pages.page("/team/form/revisions")
    assert re.search(r'<form[^>]+action="/team/form/compare" method="get"', page)
    answer = pages.browser.get("/team/form/compare?from=feature/x&to=v1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/team/form/compare/feature%2Fx/v1")
    assert pages.browser.get("/team/form/compare").headers["location"] == "/team/form/revisions"
    pages.page("/team/form/compare/main/no", status=404)


def test_equal_revisions_are_said_to_be(pages):
    pages.add("team/equal", {"a": "1"})
    assert "hold the same files" in pages.page("/team/equal/compare/main/main")


class TestCommit:
    def test_a_commit_shows_what_it_changed(self, pages):
        first = pages.add("team/commit", {"a.txt": "1\n", "b.txt": "1\n"})
        second = pages.add("team/commit", {"a.txt": "2\n"}, message="title\n\nthe <body>")
        page = pages.page(f"/team/commit/commit/{second}")
        assert kinds_in(page) == {"a.txt": "changed"}
        assert "the &lt;body&gt;" in page
        assert f'href="/team/commit/commit/{first}"' in page
        assert second in page

    def test_the_first_commit_added_all_it_holds(self, pages):
        pages.add("team/first", {"a.txt": "1"})
        repository = pages.catalog.get("models", "team", "first")
        first = repository.history(repository.resolve("main"))[-1].oid
        page = pages.page(f"/team/first/commit/{first}")
        assert kinds_in(page) == {".gitattributes": "added"}
        assert "this is the first" in page


class TestHostileFiles:
    """What costs too much, or is broken, is told in a word; the rest of the page stands."""

    @pytest.mark.parametrize(
        ("path", "before", "after", "said"),
        [
            ("a.bin", b"\0one", b"\0two", "This is no text"),
            ("a.txt", "x" * 600_000, "y", "Too large"),
            ("b.txt", "a\n" * 3000, "b\n" * 3000, "Too different"),
            ("c.txt", "a\r\nb\r\n", "a\nb\n", "Only the ends of lines"),
            ("d.json", '{"a":1}', '{"a": 1}', "&#34;: 1}</code>"),
            ("e.parquet", b"PAR1", b"PAR1" * 10, "cannot be read"),
            ("f.safetensors", b"12345", struct.pack("<Q", 2**63) + b"{}", "cannot be compared"),
            ("g.json", "[" * 100_000, "[" * 100_001, "−"),
        ],
    )
    def test_it_is_told_why_there_is_no_more(self, pages, path, before, after, said):
        pages.add("team/hostile", {path: before})
        commit = pages.add("team/hostile", {path: after})
        assert said in pages.page(f"/team/hostile/commit/{commit}")

    def test_a_page_tells_so_much_and_no_more(self, pages):
        texts = [{f"{number:02}.txt": f"{side}\n" * 300 for number in range(40)} for side in "ab"]
        pages.add("team/much", texts[0])
        commit = pages.add("team/much", texts[1])
        page = pages.page(f"/team/much/commit/{commit}")
        assert len(kinds_in(page)) == 40
        assert page.count('class="sign">+') == 300  # one file of 600 edits, and no second one
        alone = re.search(r'href="(/team/much/commit/\w+\?path=07.txt)"', page)[1]
        assert pages.page(alone).count('class="sign">+') == 300


def test_of_many_tensors_the_first_are_named_and_all_are_counted(pages):
    pages.add("team/tensors", {"x.safetensors": safetensors(**{f"a{n}": ("U8", (1,)) for n in range(150)})})
    new = {f"b{n}": ("U8", (1,)) for n in range(2500)} | {"a0": ("U8", (1,))}
    commit = pages.add("team/tensors", {"x.safetensors": safetensors(**new)})
    page = pages.page(f"/team/tensors/commit/{commit}")
    for said in ("2,500 added", "149 removed", "1 with the same", "and 2,449 more"):
        assert said in page
    assert len(page) < 200_000


def test_headers_that_are_too_large_together_are_not_read(pages, monkeypatch):
    pages.add("team/headers", {"x.safetensors": safetensors(a=("U8", (1,)))})
    commit = pages.add("team/headers", {"x.safetensors": safetensors(b=("U8", (1,)))})
    monkeypatch.setattr(tensor_changes, "_MOST_HEADER_BYTES", 100)
    assert "headers of at most 100 bytes" in pages.page(f"/team/headers/commit/{commit}")
