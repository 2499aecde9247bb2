"""Memory that does not grow with the corpus, and documents in numbers: many, equal, alike, huge."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from modeling_axk1.data import duplicates
from modeling_axk1.data.build import Settings, build
from modeling_axk1.data.dataset import read_texts
from modeling_axk1.data.duplicates import Buckets, repeated
from modeling_axk1.data.sizes import Sizes
from modeling_axk1.files import file_digests
from tests.data.recipes import RECIPE, document, some_documents, write_recipe

# Prints the most memory that the process ever had, in KiB. Not getrusage: that counts what its parent had.
PROGRAM = """
import re, sys
from pathlib import Path
from modeling_axk1.data.build import Settings, build
from modeling_axk1.data.sizes import Sizes

build(Path(sys.argv[1]), Path(sys.argv[2]), Settings(sizes=Sizes(500_000, 2_000_000, 500_000)))
print(re.search("VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1])
"""


def peak_mib(folder: Path, megabytes: int) -> float:
    """Build a corpus of so many MB of random words in a process of its own; return its peak memory."""
    chance = random.Random(0)
    words = [f"{chance.randrange(16**6):x}" for _ in range(5_000)]
    line = lambda: " ".join(chance.choices(words, k=20))  # noqa: E731
    documents = [document("\n".join(line() for _ in range(36)), language="en") for _ in range(megabytes * 200)]
    recipe = write_recipe(folder / f"recipe-{megabytes}", documents)
    command = [sys.executable, "-c", PROGRAM, str(recipe), str(folder / f"out-{megabytes}")]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024


def test_peak_memory_does_not_grow_with_the_corpus(tmp_path):
    small = peak_mib(tmp_path / "small", 3)
    # The smaller of two: on a busy machine threads wait with more in their hands, now and then.
    large = min(peak_mib(tmp_path / name, 15) for name in ("once", "twice"))
    assert large - small < 8


@pytest.mark.parametrize("bucket_bytes", [1_000, 32_000_000])
def test_buckets_give_all_records_back_sorted_and_equal_ones_in_the_order_they_came(
    tmp_path, monkeypatch, bucket_bytes
):
    monkeypatch.setattr(duplicates, "BUCKET_BYTES", bucket_bytes)
    dtype = np.dtype([("digest", "<u8", (4,)), ("row", "<u8")])
    records = np.zeros(3_000, dtype)
    # Few different values, over the whole range: equal ones, and ones that differ in the last number only.
    records["digest"] = np.random.default_rng(0).integers(0, 6, (3_000, 4), np.uint64) * np.uint64(2**61)
    records["row"] = np.arange(3_000)
    buckets = Buckets(tmp_path / "buckets", dtype, 3_000)
    for start in range(0, 3_000, 700):
        buckets.add(records[start : start + 700])
    back = np.concatenate(list(buckets))
    expected = sorted(records.tolist(), key=lambda one: (one[0].tolist(), one[1]))
    assert back["row"].tolist() == [row for _, row in expected]
    same = np.concatenate([repeated(one) for one in buckets])
    assert len(back) - same.sum() == len({tuple(one) for one in records["digest"].tolist()})


def test_of_equal_texts_the_one_of_the_first_source_stays_wherever_its_part_is(tmp_path):
    sources = RECIPE[RECIPE.index("[[sources]]") :]
    recipe = RECIPE.replace(sources, sources.replace('"manual"', '"first"') + sources)
    folder = write_recipe(tmp_path / "recipe", some_documents(50), recipe)
    lines = (folder / "manual.jsonl").read_text(encoding="utf-8").splitlines()
    first = [line.replace('"manual"', '"first"') for line in reversed(lines[20:])]
    (folder / "first.jsonl").write_text("\n".join(first) + "\n", encoding="utf-8")
    report = build(folder, tmp_path / "out", Settings(sizes=Sizes(200, 300, 100)))
    assert report.stats.dropped["duplicates"]["exact duplicate"].documents == 30
    assert {name: one.documents for name, one in report.stats.by_source.items()} == {"first": 30, "manual": 20}


def test_near_duplicates_go_wherever_they_are_and_the_first_stays(tmp_path):
    recipe = RECIPE.replace("[[sources]]", '[[steps]]\nname = "near_duplicates"\n[[sources]]', 1)
    recipe = recipe.replace("max_line_bytes = 200", "max_line_bytes = 20000")
    chance = random.Random(0)
    pages = [" ".join(f"word{chance.randrange(900)}" for _ in range(200)) for _ in range(30)]
    copies = [page.replace(page.split()[50], "changed", 1) for page in pages]
    documents = [document(text, language="en") for text in pages + copies]
    folder = write_recipe(tmp_path / "recipe", documents, recipe)
    report = build(folder, tmp_path / "out", Settings(sizes=Sizes(5_000, 9_000, 5_000)))
    assert report.stats.dropped["near_duplicates"]["near-duplicate"].documents == 30
    assert {text for split in ("train", "validation") for text in read_texts(report.out, split)} == set(pages)
    again = build(folder, tmp_path / "again", Settings(sizes=Sizes(5_000, 9_000, 5_000), workers=2))
    assert file_digests(again.out) == file_digests(report.out)


def test_shards_keep_to_their_size_and_row_groups_to_theirs(tmp_path):
    import pyarrow.parquet

    folder = write_recipe(tmp_path / "recipe", some_documents(400))
    report = build(folder, tmp_path / "out", Settings(sizes=Sizes(2_000, 3_000, 1_000)))
    shards = sorted((report.out / "data/apache-2.0/ko").glob("train-*.parquet"))
    assert [path.name for path in shards] == [
        f"train-{number:05}-of-{len(shards):05}.parquet" for number in range(len(shards))
    ]
    assert len(shards) > 1
    for path in shards:
        file = pyarrow.parquet.ParquetFile(path)
        texts = file.read()["text"].to_pylist()
        assert sum(len(text.encode()) for text in texts) < 3_000 + 100
        assert file.num_row_groups > 1 or path == shards[-1]
        column = file.metadata.row_group(0).column(1)
        assert (column.compression, column.has_offset_index) == ("ZSTD", True)


def test_a_document_as_large_as_none_may_be_is_dropped_and_counted(tmp_path, monkeypatch):
    from modeling_axk1.data import parts

    monkeypatch.setattr(parts, "MAX_DOCUMENT_BYTES", 1_000)
    documents = [*some_documents(5), document("글 " * 600)]
    report = build(write_recipe(tmp_path / "recipe", documents), tmp_path / "out")
    assert report.stats.dropped["read"]["longer than 1,000 bytes"].documents == 1


def test_a_line_of_a_gigabyte_is_named_and_not_read(tmp_path, run_axk1_here):
    folder = write_recipe(tmp_path / "recipe", some_documents(3))
    with (folder / "manual.jsonl").open("r+b") as file:
        file.seek(0, 2)
        file.truncate(1_000_000_000)  # a hole: it takes no room, and is one line of zeros
    result = run_axk1_here("data", "build", folder, "--out", "out", "--workers", "1", cwd=tmp_path)
    assert result.returncode == 1
    assert "manual.jsonl, line 4: longer than 128,000,000 bytes" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_text_file_of_a_gigabyte_is_named_and_not_read(tmp_path, run_axk1_here):
    (tmp_path / "texts").mkdir()
    with (tmp_path / "texts" / "a.txt").open("wb") as file:
        file.truncate(1_000_000_000)
    arguments = ["--language", "ko", "--license", "MIT", "--out", "out", "--workers", "1"]
    result = run_axk1_here("data", "build", "texts", *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert "a.txt: a text must not be longer than 64,000,000 bytes, got 1,000,000,000" in result.stderr


def test_texts_to_evaluate_on_are_kept_out_and_the_dataset_carries_their_recipe(tmp_path):
    sentence = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    write_recipe(tmp_path / "evaluation", [document(f"Question. {sentence.upper()}!", language="en")])
    recipe = RECIPE.replace('name = "small"', 'name = "small"\nevaluation = "../evaluation"')
    recipe = recipe.replace(
        '[[steps]]\nname = "duplicates"', '[[steps]]\nname = "decontaminate"\n\n[[steps]]\nname = "duplicates"'
    )
    documents = [*some_documents(20), document(f"A page that says: {sentence}.", language="en")]
    settings = Settings(work=tmp_path / "work")
    report = build(write_recipe(tmp_path / "recipe", documents, recipe), tmp_path / "out", settings)
    assert [one.documents for one in report.stats.dropped["decontaminate"].values()] == [1]
    assert report.stats.kept.documents == 20
    carried = (report.out / "evaluation" / "recipe.toml").read_bytes()
    assert carried == (tmp_path / "evaluation" / "recipe.toml").read_bytes()
    # Other evaluation texts: another index, and the steps run again.
    with (tmp_path / "evaluation" / "manual.jsonl").open("w", encoding="utf-8") as file:
        file.write(json.dumps(document(" ".join(reversed(sentence.split())), language="en")) + "\n")
    assert build(tmp_path / "recipe", tmp_path / "out", settings).stats.kept.documents == 21
