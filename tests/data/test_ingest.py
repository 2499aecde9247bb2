import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from modeling_axk1.data import ingest
from modeling_axk1.data.recipe import read_recipe
from modeling_axk1.data.source import Selection
from modeling_axk1.errors import DataError
from modeling_axk1.files import sha256_file
from modeling_axk1.shipped import shipped
from tests.data.recipes import write_recipe

LONG_ENGLISH = "This paragraph is here in English, because nobody translated it yet."


@pytest.fixture
def source(tmp_path):
    return read_recipe(write_recipe(tmp_path / "recipe", [])).sources[0]


def page(*paragraphs: str) -> bytes:
    return "".join(f"<p>{one}</p>" for one in paragraphs).encode()


def test_documents_carry_their_provenance(source):
    (picked,) = ingest.pick(source, {"doc/a.html": page("한국어 문서")})
    assert (picked.text, picked.language, picked.source, picked.source_version) == (
        "한국어 문서",
        "ko",
        "manual",
        "1.0",
    )
    assert (picked.source_file, picked.license) == ("doc/a.html", "Apache-2.0")


def test_lines_that_nobody_translated_are_left_out_and_listings_stay(source):
    files = {"a.html": page("한국어 문단", LONG_ENGLISH, "OK") + b"<pre>" + LONG_ENGLISH.encode() + b"</pre>"}
    (picked,) = ingest.pick(source, files)
    assert picked.text == f"한국어 문단\n\nOK\n\n{LONG_ENGLISH}"


def test_the_choice_depends_on_names_only_and_keeps_to_its_bytes(source):
    files = {f"{number}.html": page("가" * 20) for number in range(50)}
    small = replace(source, languages={"ko": Selection("*.html", max_bytes=300)})
    picked = ingest.pick(small, files)
    assert picked == ingest.pick(small, dict(reversed(files.items())))
    assert len(picked) == 5
    assert [one.source_file for one in picked] != [f"{number}.html" for number in range(5)]


def test_files_and_texts_are_rejected_by_the_recipe_s_rules(source):
    strict = replace(source, reject_files="index", reject_text=r"\w+@\w+", min_bytes=6)
    files = {
        "index.html": page("목차입니다"),
        "mail.html": page("편지는 someone@somewhere 로"),
        "short.html": page("가"),
        "long.html": page("가" * 1000),
        "good.html": page("좋은 문서"),
    }
    assert [one.source_file for one in ingest.pick(strict, files)] == ["good.html"]


def test_a_selection_that_matches_nothing_is_an_error(source):
    with pytest.raises(DataError, match=r"manual_1\.0_all\.deb: no file matches '\*\.html'"):
        ingest.pick(source, {"a.txt": b""})


def test_a_package_that_is_not_the_pinned_one_is_refused(source, monkeypatch):
    def download(command: list[str], folder: str) -> bytes:
        (Path(folder) / "manual_1.0_all.deb").write_bytes(b"something else")
        return b""

    monkeypatch.setattr(ingest, "_run", download)
    with pytest.raises(DataError, match=r"manual_1\.0_all\.deb: sha256 must be 00, got [0-9a-f]{64}"):
        ingest.read_package(source)


def test_an_unknown_client_or_source_is_refused(source, tmp_path):
    with pytest.raises(DataError, match="client must be 'apt', got 'carrier pigeon'"):
        ingest.read_package(replace(source, client="carrier pigeon"))
    with pytest.raises(DataError, match="the recipe has no source 'book'"):
        ingest.sample(tmp_path / "recipe", tmp_path / "out", only=["book"])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the sample's packages come by apt-get")
def test_the_shipped_sample_can_be_made_again_from_its_package(tmp_path):
    try:
        ingest.sample(shipped("data_cards/sample"), tmp_path / "out", only=["libpython3.11-stdlib"])
    except DataError as error:
        if "apt-get download" not in str(error):
            raise
        pytest.skip(f"no package server within reach: {error}")
    made = tmp_path / "out" / "libpython3.11-stdlib.jsonl"
    assert sha256_file(made) == sha256_file(shipped("data_cards/sample") / made.name)
