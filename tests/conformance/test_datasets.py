"""datasets loads data from the hub by its name, whole, in configurations, and as a stream."""

import gzip
import json

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

pytestmark = pytest.mark.client("datasets")
api = HfApi()

CARD = """---
configs:
- config_name: small
  data_files:
  - split: train
    path: small/train-*.jsonl
  - split: test
    path: small/test.jsonl
- config_name: compressed
  data_files: compressed/*.jsonl.gz
---
# Data
"""


def rows(*texts: str) -> bytes:
    return "".join(json.dumps({"text": text, "n": len(text)}, ensure_ascii=False) + "\n" for text in texts).encode()


def fill(dataset: str) -> None:
    files = {
        "README.md": CARD.encode(),
        "small/train-0.jsonl": rows("one", "둘"),
        "small/train-1.jsonl": rows("three"),
        "small/test.jsonl": rows("four"),
        "compressed/a.jsonl.gz": gzip.compress(rows("five", "six")),
    }
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    api.create_commit(dataset, operations, commit_message="data", repo_type="dataset")


def test_configurations_and_splits_of_the_card(dataset, tmp_path):
    """load_dataset(name, config): the splits and files that the card names."""
    from datasets import get_dataset_config_names, load_dataset

    fill(dataset)
    assert set(get_dataset_config_names(dataset)) == {"small", "compressed"}
    small = load_dataset(dataset, "small", cache_dir=str(tmp_path))
    assert {split: list(part["text"]) for split, part in small.items()} == {
        "train": ["one", "둘", "three"], "test": ["four"]
    }  # fmt: skip
    assert load_dataset(dataset, "compressed", split="train", cache_dir=str(tmp_path))["n"][:] == [4, 3]


def test_a_stream_reads_what_it_needs(dataset):
    """load_dataset(streaming=True), plain and compressed files."""
    from datasets import load_dataset

    fill(dataset)
    for name, expected in (("small", ["one", "둘", "three"]), ("compressed", ["five", "six"])):
        stream = load_dataset(dataset, name, split="train", streaming=True)
        assert [row["text"] for row in stream] == expected
        assert next(iter(stream))["text"] == expected[0]


def test_parquet_goes_up_and_comes_back(dataset, tmp_path):
    """Dataset.push_to_hub and load_dataset, also as a stream with few columns."""
    from datasets import Dataset, load_dataset

    data = Dataset.from_dict({"text": [f"row {number}" for number in range(1000)], "n": list(range(1000))})
    data.push_to_hub(dataset)
    loaded = load_dataset(dataset, split="train", cache_dir=str(tmp_path))
    assert loaded.to_dict() == data.to_dict()
    stream = load_dataset(dataset, split="train", streaming=True, columns=["n"])
    assert sum(row["n"] for row in stream) == sum(range(1000))


def test_a_revision_is_kept(dataset, tmp_path):
    """load_dataset(revision=TAG) gives what the tag named."""
    from datasets import load_dataset

    for version in ("1", "2"):
        api.upload_file(path_or_fileobj=rows(version), path_in_repo="data.jsonl", repo_id=dataset, repo_type="dataset")
        api.create_tag(dataset, tag=f"v{version}", repo_type="dataset")
    for version in ("1", "2"):
        loaded = load_dataset(dataset, revision=f"v{version}", split="train", cache_dir=str(tmp_path))
        assert loaded["text"][:] == [version]


def test_data_files_by_name(dataset, tmp_path):
    """load_dataset(data_files=...), and a file by its hf:// address."""
    from datasets import load_dataset

    fill(dataset)
    loaded = load_dataset(dataset, data_files="small/test.jsonl", split="train", cache_dir=str(tmp_path))
    assert loaded["text"][:] == ["four"]
    address = f"hf://datasets/{dataset}/small/train-1.jsonl"
    assert load_dataset("json", data_files=address, split="train", cache_dir=str(tmp_path))["text"][:] == ["three"]
