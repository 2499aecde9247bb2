"""A dataset on the hub, streamed by stock `datasets`, and described for machines that know no hub."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from modeling_axk1.data.build import build
from tests.data.recipes import some_documents, write_recipe

# A process of its own: the hub's address is read when the libraries are imported.
STREAM = """
import json, sys
from datasets import get_dataset_config_names, load_dataset

name = sys.argv[1]
rows = {}
for config in get_dataset_config_names(name):
    splits = load_dataset(name, config, streaming=True)
    rows[config] = {split: [row["id"] for row in stream] for split, stream in splits.items()}
print(json.dumps(rows))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("dataset")
    return build(write_recipe(root / "recipe", some_documents(40)), root / "out")


def test_every_config_streams_from_the_hub_and_holds_what_the_card_says(hub, report, tmp_path):
    hub.api.create_repo("team/small", repo_type="dataset")
    hub.api.upload_folder(repo_id="team/small", repo_type="dataset", folder_path=report.out)
    streamed = subprocess.run(
        [sys.executable, "-c", STREAM, "team/small"],
        env={**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert streamed.returncode == 0, streamed.stderr
    rows = json.loads(streamed.stdout.splitlines()[-1])
    stats = report.stats
    counts = {config: {split: len(ids) for split, ids in splits.items()} for config, splits in rows.items()}
    assert counts.pop("default") == {split: one.documents for split, one in stats.by_split.items()}
    expected = stats.by_config | stats.by_language
    assert counts == {
        config: {split: one.documents for split, one in splits.items()} for config, splits in expected.items()
    }
    for split in ("train", "validation"):
        by_language = [one for language in stats.by_language for one in rows[language][split]]
        assert sorted(by_language) == sorted(rows["default"][split])


def test_croissant_is_valid_and_its_record_sets_give_the_documents(report):
    import mlcroissant

    dataset = mlcroissant.Dataset(str(report.out / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    for record_set, splits in {
        "ko": report.stats.by_language["ko"],
        "apache-2.0": report.stats.by_config["apache-2.0"],
    }.items():
        records = list(dataset.records(record_set))
        assert len(records) == sum(one.documents for one in splits.values())
        assert {key.removeprefix(f"{record_set}/") for key in records[0]} >= {"id", "text", "license", "steps"}
        by_split = Counter(record[f"{record_set}/split"].decode() for record in records)
        assert by_split == {split: one.documents for split, one in splits.items()}
    assert [record["splits/name"] for record in dataset.records("splits")] == ["train", "validation"]


def test_croissant_names_every_parquet_file_with_its_hash_and_size(report):
    from modeling_axk1.data.dataset import read_sums

    described = json.loads((report.out / "croissant.json").read_text(encoding="utf-8"))
    files = {one["contentUrl"]: one for one in described["distribution"] if one["@type"] == "cr:FileObject"}
    sums = {name: digest for name, digest in read_sums(report.out).items() if name.startswith("data/")}
    assert {name: one["sha256"] for name, one in files.items()} == sums
    assert all(one["contentSize"] == f"{(report.out / name).stat().st_size} B" for name, one in files.items())
