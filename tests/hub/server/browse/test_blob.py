"""The page of one file."""

import re
from html import unescape

import pytest

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def lines_of(page: str) -> dict[str, str]:
    found = re.findall(r'<tr id="(L\d+)">.*?<code>(.*?)</code>', page, re.DOTALL)
    return {anchor: unescape(text) for anchor, text in found}


def shown(pages, path: str, content: str | bytes, query: str = "") -> str:
    pages.add("team/blob", {path: content})
    return pages.page(f"/team/blob/blob/main/{path}{query}")


def test_text_has_lines_that_one_can_link_to(pages):
    page = shown(pages, "a.txt", "one <b>\n\n  둘\n")
    assert lines_of(page) == {"L1": "one <b>", "L2": "", "L3": "  둘"}
    assert '<a href="#L3">3</a>' in page
    assert "UTF-8, 3 lines" in page


def test_its_address_by_commit_stays_what_it_shows(pages):
    old = re.search(r'href="(/team/blob/blob/[0-9a-f]{40}/p\.txt)"', shown(pages, "p.txt", "before\n"))[1]
    assert "after" in shown(pages, "p.txt", "after\n")
    assert "before" in pages.page(old)


def test_a_guess_at_the_encoding_is_called_one(pages):
    page = shown(pages, "guess.txt", "모델 카드\n".encode("cp949"))
    assert lines_of(page)["L1"] == "모델 카드"
    assert "CP949 is a guess" in page


def test_hidden_characters_are_left_out_and_said_to_be(pages):
    page = shown(pages, "trojan.py", "if user != 'admin\u202e \u2066# ok\u2069\u2066':\n")
    assert not re.search("[\u202e\u2066\u2069]", page)
    assert "change the direction" in page
    assert "change the direction" not in shown(pages, "plain.py", "print('א ب')\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x" * 600_000, "Only the first 524 kB"),
        ("x\n" * 6000, "Only the first 5,000 of 6,000 lines"),
        ("y" * 9000, "7,000 more characters"),
        ("", "This file is empty"),
    ],
)
def test_what_is_cut_is_said_to_be(pages, content, said):
    page = shown(pages, "cut.txt", content)
    assert said in page
    assert len(page) < 1_500_000


class TestJson:
    def test_json_on_one_line_is_shown_on_many(self, pages):
        page = shown(pages, "one.json", '{"a": [1, 2.50], ' + '"b": "' + "x" * 300 + '"}')
        assert lines_of(page)["L3"] == "    1,"
        assert "line breaks added" in page
        assert len(lines_of(pages.page("/team/blob/blob/main/one.json?json=raw"))) == 1

    def test_json_on_many_lines_is_shown_as_it_stands(self, pages):
        page = shown(pages, "many.json", '{\n "a":1,\n "b":2,\n "c":3\n}\n')
        assert lines_of(page)["L2"] == ' "a":1,'
        assert lines_of(pages.page("/team/blob/blob/main/many.json?json=pretty"))["L2"] == '  "a": 1,'


class TestPictures:
    def test_a_picture_is_shown_from_an_address_with_its_own_type(self, pages):
        page = shown(pages, "p.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
        answer = pages.browser.get(re.search(r'<img src="(/team/blob/image/[^"]+)"', page)[1])
        assert answer.headers["content-type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")
        again = pages.browser.get("/team/blob/image/main/p.png", headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304

    def test_a_picture_that_holds_a_script_runs_none(self, pages):
        page = shown(pages, "s.svg", SVG)
        assert "<script>alert" not in page
        answer = pages.browser.get("/team/blob/image/main/s.svg")
        assert answer.headers["content-type"] == "image/svg+xml"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "sandbox" in policy
        assert "script" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize("path", ["page.html", "p.js", "no.png"])
    def test_nothing_else_gets_a_type(self, pages, path):
        pages.add("team/blob", {"page.html": SVG, "p.js": "alert(1)"})
        assert pages.browser.get(f"/team/blob/image/main/{path}").status_code == 404


def test_what_is_no_text_leads_to_what_shows_it(pages):
    page = shown(pages, "model.safetensors", b"\x08\0\0\0\0\0\0\0{}      ")
    assert 'href="/team/blob/tensors/main"' in page
    assert "This is no text" in page
    pages.add("team/blob", {"a.parquet": b"PAR1"}, kind="datasets")
    assert 'href="/datasets/team/blob/viewer/main"' in pages.page("/datasets/team/blob/blob/main/a.parquet")


def test_a_blob_that_is_missing_is_said_to_be(pages):
    pages.add("team/lost", {"lost.bin": b"lost bytes"})
    repository = pages.catalog.get("models", "team", "lost")
    oid = repository.entry(repository.resolve("main"), "lost.bin").pointer.oid
    pages.catalog.blobs.path(oid).unlink()
    assert oid in pages.page("/team/lost/blob/main/lost.bin", status=500)
