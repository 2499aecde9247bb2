import contextlib
import errno
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from modeling_axk1.data.build import Settings, build, dry_run, plan_folder, plan_recipe, write
from modeling_axk1.data.card import render_card
from modeling_axk1.data.check import check
from modeling_axk1.data.dataset import check_sums, read_documents, read_texts
from modeling_axk1.data.document import Document
from modeling_axk1.data.metadata import hub_license, hub_metadata
from modeling_axk1.data.recipe import read_recipe
from modeling_axk1.errors import DataError
from modeling_axk1.files import file_digests
from modeling_axk1.shipped import shipped
from tests.data.recipes import RECIPE, document, some_documents, write_recipe
from tests.goldens import assert_golden


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The shipped sample, built once."""
    out = tmp_path_factory.mktemp("sample") / "dataset"
    return build(shipped("data_cards/sample"), out, Settings(keep_dropped=True))


def test_the_sample_covers_six_languages_evenly_with_validation_text_in_each(sample):
    assert set(sample.stats.by_language) == {"ko", "ja", "zh", "es", "en", "code"}
    for splits in sample.stats.by_language.values():
        assert 100_000 <= sum(amount.bytes for amount in splits.values()) <= 160_000
        assert splits["validation"].documents >= 1


def test_two_builds_give_the_same_bytes_whatever_the_number_of_processes(sample, tmp_path):
    again = build(shipped("data_cards/sample"), tmp_path / "again", Settings(workers=2, keep_dropped=True))
    assert file_digests(again.out) == file_digests(sample.out)
    assert again.dropped_file.read_bytes() == sample.dropped_file.read_bytes()


def test_every_file_but_the_sums_themselves_is_in_sha256sums_as_sha256sum_reads_it(sample):
    lines = (sample.out / "SHA256SUMS").read_text().splitlines()
    digests = file_digests(sample.out)
    del digests["SHA256SUMS"]
    assert lines == [f"{digest}  {name}" for name, digest in digests.items()]


def test_datasets_loads_the_folder_with_splits_and_a_config_per_licence_and_language(sample, tmp_path):
    from datasets import load_dataset

    everything = load_dataset(str(sample.out), cache_dir=str(tmp_path))
    assert {name: part.num_rows for name, part in everything.items()} == {
        name: amount.documents for name, amount in sample.stats.by_split.items()
    }
    assert everything["train"].column_names == [
        "id", "text", "language", "source", "source_version", "source_file", "license", "sha256", "steps",
    ]  # fmt: skip
    apache = load_dataset(str(sample.out), "apache-2.0", cache_dir=str(tmp_path))
    assert set(apache) == {"train", "validation"}
    assert set(apache["train"]["license"]) == {"Apache-2.0"}
    korean = load_dataset(str(sample.out), "ko", cache_dir=str(tmp_path))
    assert set(korean["train"]["language"]) == {"ko"}
    assert set(korean["train"]["license"]) == {"Apache-2.0", "CC-BY-SA-3.0"}


def test_what_is_read_back_is_what_lay_beside_the_recipe_in_its_order(tmp_path):
    documents = some_documents(30)
    report = build(write_recipe(tmp_path / "recipe", documents), tmp_path / "out")
    for part in ("train", "validation"):
        back = list(read_documents(report.out, part))
        assert list(read_texts(report.out, part)) == [one.text for one in back]
        for license in ("Apache-2.0", "CC-BY-SA-3.0"):
            for language in ("en", "ko"):
                group = [one for one in back if (one.license, one.language) == (license, language)]
                texts = {one.text for one in group}
                assert group == [Document(**one) for one in documents if one["text"] in texts]
    assert report.stats.kept.documents == 30


def test_no_document_is_in_both_splits(sample):
    train = {one.sha256 for one in read_documents(sample.out, "train")}
    validation = {one.sha256 for one in read_documents(sample.out, "validation")}
    assert not train & validation


def test_dropped_documents_are_counted_by_reason_and_kept_outside_the_dataset(tmp_path):
    documents = [
        *some_documents(8),
        document("가"),
        document("긴 줄 " * 100),
        document("Document 0, a text in English.  "),
        document("상업적으로 쓸 수 없는 글", license="CC-BY-NC-4.0"),
        document("아무도 모르는 라이선스", license="Homemade"),
    ]
    report = build(write_recipe(tmp_path / "recipe", documents), tmp_path / "out", Settings(keep_dropped=True))
    dropped = report.stats.dropped
    assert {step: {reason: one.documents for reason, one in of.items()} for step, of in dropped.items()} == {
        "licence": {
            "licence forbidden: CC-BY-NC-4.0 (not for commercial use)": 1,
            "licence unknown: Homemade": 1,
        },
        "length": {"a line longer than 200 bytes": 1, "shorter than 10 bytes": 1},
        "duplicates": {"exact duplicate": 1},
    }
    assert list(dropped) == ["licence", "length", "duplicates"]
    assert report.stats.share_dropped("duplicates") == 1 / 9
    assert report.stats.read.documents == 13
    assert report.stats.kept.documents == 8
    kept_aside = [json.loads(line) for line in report.dropped_file.read_text(encoding="utf-8").splitlines()]
    assert [one["step"] for one in kept_aside] == ["length", "length", "duplicates", "licence", "licence"]
    assert report.dropped_file.parent == tmp_path
    assert "상업적으로" not in "".join(read_texts(report.out, "train")) + "".join(read_texts(report.out, "validation"))


def test_a_text_that_may_not_be_used_does_not_make_its_allowed_copy_a_duplicate(tmp_path):
    text = "같은 글이 두 번 있습니다"
    documents = [document(text, license="CC-BY-NC-4.0"), document(text)]
    report = build(write_recipe(tmp_path / "recipe", documents), tmp_path / "out")
    assert list(read_texts(report.out, "train")) == [text]


def test_a_dataset_can_be_made_again_from_the_recipe_it_carries(sample):
    carried = read_recipe(sample.out)
    assert carried.sources == read_recipe(shipped("data_cards/sample")).sources


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_each_licence_and_language_has_validation_text_and_keeps_training_text(tmp_path, share):
    recipe = RECIPE.replace("validation_share = 0.2", f"validation_share = {share}")
    report = build(write_recipe(tmp_path / "recipe", some_documents(8), recipe), tmp_path / "out")
    for part in ("train", "validation"):
        groups = {(one.license, one.language) for one in read_documents(report.out, part)}
        assert groups == {(one["license"], one["language"]) for one in some_documents(8)}


def test_a_group_of_one_is_trained_on(tmp_path):
    recipe = RECIPE.replace("validation_share = 0.2", "validation_share = 0.999")
    report = build(write_recipe(tmp_path / "recipe", some_documents(1), recipe), tmp_path / "out")
    assert set(report.stats.by_split) == {"train"}


def test_the_split_of_a_document_does_not_depend_on_its_neighbours(tmp_path):
    chosen = {}
    for count in (200, 400):
        report = build(write_recipe(tmp_path / f"recipe-{count}", some_documents(count)), tmp_path / f"out-{count}")
        chosen[count] = set(read_texts(report.out, "validation"))
    assert chosen[200] == chosen[400] & {one["text"] for one in some_documents(200)}
    assert 50 <= len(chosen[400]) <= 110


def test_the_card_says_what_was_measured(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path / "recipe", [*some_documents(), document("가")]))
    stats = replace(dry_run(plan_recipe(recipe)), parquet_bytes=12345)  # the library's version decides about it
    assert_golden("data/card.md", render_card(recipe, stats))


def test_a_number_that_nobody_measured_is_an_error(tmp_path, monkeypatch):
    import jinja2

    from modeling_axk1.data import card

    (tmp_path / "template").write_text("{{ stats.guessed }}", encoding="utf-8")
    monkeypatch.setattr(card, "shipped", lambda name: tmp_path / "template")
    recipe = read_recipe(write_recipe(tmp_path / "recipe", some_documents()))
    with pytest.raises(jinja2.UndefinedError, match="guessed"):
        render_card(recipe, dry_run(plan_recipe(recipe)))


def test_the_hub_understands_the_card_s_header(sample):
    from huggingface_hub import DatasetCard

    header = DatasetCard.load(sample.out / "README.md").data
    assert header.license == ["apache-2.0", "cc-by-sa-3.0", "other"]
    assert header.license_name == "psf-2.0"
    assert (sample.out / header.license_link).is_file()
    assert header.language == ["code", "en", "es", "ja", "ko", "zh"]
    assert header.size_categories == ["n<1K"]
    assert [config["config_name"] for config in header.configs] == [
        "default", "apache-2.0", "cc-by-sa-3.0", "psf-2.0", "code", "en", "es", "ja", "ko", "zh",
    ]  # fmt: skip


def test_licences_that_the_hub_knows_are_named_by_its_identifiers(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path / "recipe", some_documents()))
    header = hub_metadata(recipe, dry_run(plan_recipe(recipe)))
    assert header["license"] == ["apache-2.0", "cc-by-sa-3.0"]
    assert "license_name" not in header


@pytest.mark.parametrize("name", ["corpus", "evaluation", "sample"])
def test_of_our_licences_the_hub_has_an_identifier_for_all_but_these(name):
    unknown = {one for one in read_recipe(shipped(f"data_cards/{name}")).licenses if hub_license(one) == "other"}
    assert {one for one in unknown if not one.startswith("Linux-man-pages-")} <= {"PSF-2.0"}


def test_the_card_has_the_headings_of_a_datasheet(sample):
    headings = [line[3:] for line in (sample.out / "README.md").read_text().splitlines() if line.startswith("## ")]
    assert headings == [
        "Motivation", "Composition", "Collection process", "Preprocessing, cleaning, labelling", "Uses",
        "Distribution", "Maintenance",
    ]  # fmt: skip


def test_of_a_corpus_with_many_licences_and_sources_the_largest_are_shown_first(tmp_path):
    licenses = [f"L-{number}" for number in range(12)]
    known = "".join(f'"{one}" = "{one.lower()}"\n' for one in licenses)
    entry = RECIPE[RECIPE.index("[[sources]]") :]
    sources = "".join(entry.replace('"manual"', f'"manual-{one}"') for one in licenses)
    recipe = RECIPE[: RECIPE.index("[[sources]]")].replace("[licenses]", f"[licenses]\n{known}") + sources
    folder = write_recipe(tmp_path / "recipe", [], recipe)
    for number, one in enumerate(licenses):
        text = json.dumps(document("글" * (10 + number), license=one, source=f"manual-{one}"))
        (folder / f"manual-{one}.jsonl").write_text(text + "\n")
    report = build(folder, tmp_path / "out")
    card = (report.out / "README.md").read_text(encoding="utf-8")
    visible, folded = card.split("<summary>All 12 sources</summary>")
    assert visible.index("| manual-L-11 | 1 | 63 |") < visible.index("| manual-L-2 | 1 | 36 |")
    assert "| manual-L-1 | 1 | 33 |" not in visible
    assert "| manual-L-1 | 1 | 33 |" in folded
    plot = (report.out / "figures" / "composition.svg").read_text(encoding="utf-8")
    assert "<title>ko, L-11: 63 bytes</title>" in plot
    assert f"<title>ko, other licences: {33 + 30 + 36 + 39 + 42} bytes</title>" in plot


def test_a_folder_of_text_files_becomes_a_dataset_too(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"내 글 {number}\n", encoding="utf-8")
    report = write(plan_folder(folder, "ko", "Apache-2.0"), tmp_path / "out")
    assert report.stats.kept.documents == 5
    assert set(report.stats.by_config) == {"apache-2.0"}
    check_sums(report.out)
    assert check(report.out) == []


@pytest.mark.parametrize(
    ("language", "license", "message"),
    [
        ("korean", "Apache-2.0", "language must be an ISO 639 code such as 'ko', or 'code', got 'korean'"),
        ("ko", "my licence", "licence must be an SPDX identifier such as 'Apache-2.0', got 'my licence'"),
    ],
)
def test_a_language_or_licence_that_is_none_is_refused(tmp_path, language, license, message):
    with pytest.raises(DataError) as caught:
        plan_folder(tmp_path, language, license)
    assert str(caught.value) == message


def test_a_build_that_keeps_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match="no document of small is left: shorter than 10 bytes"):
        build(write_recipe(tmp_path / "recipe", [document("가")]), tmp_path / "out")


def test_a_disk_that_is_full_at_any_time_leaves_the_old_dataset_and_the_next_build_goes_on(tmp_path, monkeypatch):
    old = file_digests(build(write_recipe(tmp_path / "recipe", some_documents()), tmp_path / "out").out)
    new = write_recipe(tmp_path / "new", [*some_documents(), document("새 문서입니다. 아주 새로운.")])
    fresh = file_digests(build(new, tmp_path / "fresh").out)
    fsync, left = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    for failures in itertools.count():
        left = failures // 4 * 4
        with contextlib.suppress(OSError):
            build(new, tmp_path / "out")
            break
        assert file_digests(tmp_path / "out") == old
    assert failures > 4
    assert file_digests(tmp_path / "out") == fresh
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "new", "out", "recipe"]


def test_a_real_write_that_fails_half_way_leaves_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    failed = subprocess.run(
        [sys.executable, "-m", "modeling_axk1", "data", "build", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1
    assert "File too large" in failed.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_plots_are_svg_that_names_every_language_and_every_licence(sample):
    from xml.etree import ElementTree

    for name, words in {"composition": sample.stats.by_license, "lengths": sample.stats.by_language}.items():
        root = ElementTree.fromstring((sample.out / "figures" / f"{name}.svg").read_text(encoding="utf-8"))
        texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {*words} <= texts
    bars = ElementTree.fromstring((sample.out / "figures" / "composition.svg").read_text(encoding="utf-8"))
    titles = [one.text for one in bars.iter("{http://www.w3.org/2000/svg}title")]
    amount = sample.stats.by_license_and_language["PSF-2.0"]["code"]
    assert f"code, PSF-2.0: {amount.bytes:,} bytes" in titles
