import gzip
import hashlib
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from modeling_axk1.data import ingest
from modeling_axk1.data.recipe import read_recipe
from modeling_axk1.data.source import Selection
from modeling_axk1.errors import DataError
from modeling_axk1.files import sha256_file
from modeling_axk1.shipped import shipped
from tests.data.packages import deb, write
from tests.data.recipes import write_recipe

LONG_ENGLISH = "This paragraph is here in English, because nobody translated it yet."


@pytest.fixture
def source(tmp_path):
    return read_recipe(write_recipe(tmp_path / "recipe", [])).sources[0]


@pytest.fixture
def documents(source, tmp_path):
    """Documents of a package with these files, after changes to the recipe; the package lies in the cache already."""

    def make(files, left_out=None, **changes):
        package = deb(files)
        sha256 = hashlib.sha256(package).hexdigest()
        write(tmp_path / "cache", package, sha256)
        return list(ingest.documents(replace(source, sha256=sha256, **changes), tmp_path / "cache", left_out))

    return make


def page(*paragraphs: str) -> bytes:
    return "".join(f"<p>{one}</p>" for one in paragraphs).encode()


def test_documents_carry_their_provenance(documents):
    (got,) = documents({"doc/a.html": page("한국어 문서"), "copyright": b""})
    assert (got.text, got.language, got.source, got.source_version) == ("한국어 문서", "ko", "manual", "1.0")
    assert (got.source_file, got.license) == ("doc/a.html", "Apache-2.0")


def test_documents_come_in_the_package_s_order_and_the_same_every_time(documents):
    files = {f"{name}.html": page(name * 9) for name in "나가다"}
    assert [one.source_file for one in documents(files)] == ["나.html", "가.html", "다.html"]
    assert documents(files) == documents(files)


def test_lines_that_nobody_translated_are_left_out_and_listings_stay(documents):
    files = {"a.html": page("한국어 문단", LONG_ENGLISH, "OK") + b"<pre>" + LONG_ENGLISH.encode() + b"</pre>"}
    assert documents(files)[0].text == f"한국어 문단\n\nOK\n\n{LONG_ENGLISH}"


def test_a_language_is_thinned_out_to_its_bytes_by_names_only(documents):
    files = {f"{number}.html": page("가" * 20) for number in range(50)}
    languages = {"ko": Selection("*.html", max_bytes=300)}
    left_out = Counter()
    got = documents(files, left_out, languages=languages)
    assert len(got) == 5
    assert left_out == {"more text than the source's share": 45}
    chosen = {one.source_file for one in got}
    assert chosen != {f"{number}.html" for number in range(5)}
    backwards = dict(reversed(files.items()))
    assert {one.source_file for one in documents(backwards, languages=languages)} == chosen


def test_files_of_several_patterns_and_languages_are_taken(documents):
    files = {"ko/a.html": page("한국어"), "es/a.html": page("página de ayuda"), "es_ES/b.html": page("otra página")}
    languages = {"ko": Selection("ko/*"), "es": Selection("es/* | es_ES/*")}
    got = documents(files, languages=languages)
    assert [(one.language, one.source_file) for one in got] == [
        ("ko", "ko/a.html"),
        ("es", "es/a.html"),
        ("es", "es_ES/b.html"),
    ]


def test_nothing_is_left_out_without_a_reason(documents):
    files = {
        "index.html": page("목차입니다"),
        "mail.html": page("편지는 someone@somewhere 로"),
        "short.html": page("가"),
        "long.html": page("가" * 1000),
        "broken.html": b"<p>\xff</p>",
        "good.html": page("좋은 문서"),
    }
    left_out = Counter()
    got = documents(files, left_out, reject_files="index", reject_text=r"\w+@\w+", min_bytes=6)
    assert [one.source_file for one in got] == ["good.html"]
    assert left_out == {
        "a path that the recipe rejects": 1,
        "a text that the recipe rejects": 1,
        "shorter than 6 bytes": 1,
        "longer than 1000 bytes": 1,
        "a file that cannot be read as html": 1,
    }


def test_a_file_too_large_to_hold_is_left_out(documents, monkeypatch):
    monkeypatch.setattr(ingest, "MAX_FILE_BYTES", 100)
    left_out = Counter()
    files = {"big.html": page("가" * 90), "bomb.html.gz": gzip.compress(page("가" * 90)), "a.html": page("가나다")}
    got = documents(files, left_out, languages={"ko": Selection("*.html|*.gz")})
    assert [one.source_file for one in got] == ["a.html"]
    assert left_out == {"a file larger than 100 bytes": 1, "a file that cannot be read as html": 1}


def test_compressed_files_are_read_and_broken_ones_left_out(documents):
    whole = gzip.compress(page("압축된 문서"))
    left_out = Counter()
    files = {"a.html.gz": whole, "cut.html.gz": whole[:-9], "no.html.gz": b"plain"}
    (got,) = documents(files, left_out, languages={"ko": Selection("*.gz")})
    assert (got.text, got.source_file) == ("압축된 문서", "a.html.gz")
    assert left_out == {"a file that cannot be read as html": 2}


def test_a_page_s_own_licence_goes_before_the_package_s(documents):
    notice = b'.\\" SPDX-License-Identifier: GPL-2.0-or-later\n'
    files = {"a.1": notice + b".TH A 1\n.SH NAME\na\n", "b.1": b".TH B 1\n.SH NAME\nb\n"}
    got = documents(files, format="man", license="", languages={"en": Selection("*.1")})
    assert [(one.source_file, one.license) for one in got] == [("a.1", "GPL-2.0-or-later"), ("b.1", "")]


def test_texts_of_one_file_are_told_apart_by_their_part(documents):
    files = {"ko.json": b'{"a": "%s", "b": "%s"}' % (("가" * 2000).encode(), ("나" * 2000).encode())}
    got = documents(files, format="json-strings", max_bytes=9000, languages={"ko": Selection("*.json")})
    assert [one.source_file for one in got] == ["ko.json#1", "ko.json#2"]


def test_a_selection_that_matches_nothing_is_an_error(documents):
    with pytest.raises(DataError, match=r"manual_1\.0_all\.deb: no file matches '\*\.html'"):
        documents({"a.txt": b""})


def test_a_broken_package_is_an_error_not_a_smaller_corpus(source, tmp_path):
    package = deb({f"{number}.html": page(str(number) * 500) for number in range(50)})[:-300]
    sha256 = hashlib.sha256(package).hexdigest()
    write(tmp_path / "cache", package, sha256)
    with pytest.raises(DataError, match=r"manual_1\.0_all\.deb: the archive is broken"):
        list(ingest.documents(replace(source, sha256=sha256), tmp_path / "cache"))


def test_an_unknown_source_is_refused(source, tmp_path):
    with pytest.raises(DataError, match="the recipe has no source 'book'"):
        ingest.sample(tmp_path / "recipe", tmp_path / "out", only=["book"])
    assert not (tmp_path / "out").exists()


def test_a_sample_holds_documents_and_the_package_s_licence_text(tmp_path):
    package = deb({"doc/b.html": page("둘째 문서"), "doc/a.html": page("첫째 문서"), "copyright": b"the licence"})
    sha256 = hashlib.sha256(package).hexdigest()
    write(tmp_path / "cache", package, sha256)
    recipe = write_recipe(tmp_path / "recipe", [])
    text = (recipe / "recipe.toml").read_text(encoding="utf-8")
    (recipe / "recipe.toml").write_text(text.replace('sha256 = "00"', f'sha256 = "{sha256}"'), encoding="utf-8")
    assert ingest.sample(recipe, tmp_path / "out", cache=tmp_path / "cache") == {"manual": 2}
    assert (tmp_path / "out" / "LICENSES" / "manual.copyright").read_bytes() == b"the licence"
    lines = (tmp_path / "out" / "manual.jsonl").read_text(encoding="utf-8").splitlines()
    assert ["첫째" in lines[0], "둘째" in lines[1]] == [True, True]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the sample's packages come by apt-get")
def test_the_shipped_sample_can_be_made_again_from_its_package(tmp_path):
    try:
        ingest.sample(shipped("data_cards/sample"), tmp_path / "out", ["libpython3.11-stdlib"], tmp_path / "cache")
    except DataError as error:
        if "apt-get download" not in str(error):
            raise
        pytest.skip(f"no package server within reach: {error}")
    made = tmp_path / "out" / "libpython3.11-stdlib.jsonl"
    assert sha256_file(made) == sha256_file(shipped("data_cards/sample") / made.name)
