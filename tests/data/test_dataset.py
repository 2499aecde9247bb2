import pytest

from modeling_axk1.checksums import write_sums
from modeling_axk1.data.build import build
from modeling_axk1.data.dataset import check_sums, data_sha256, read_documents, read_texts
from modeling_axk1.errors import DataError
from tests.data.recipes import some_documents, write_recipe


@pytest.fixture
def dataset(tmp_path):
    return build(write_recipe(tmp_path / "recipe", some_documents()), tmp_path / "dataset").out


def shard(dataset):
    return dataset / "data/apache-2.0/ko/train-00000-of-00001.parquet"


def test_a_changed_shard_is_refused_with_both_hashes(dataset):
    shard(dataset).write_bytes(shard(dataset).read_bytes() + b"x")
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet: sha256 must be \w{64}, got \w{64}; build"):
        list(read_texts(dataset, "train"))


def test_its_data_is_told_apart_by_the_data_alone(dataset):
    before = data_sha256(dataset)
    (dataset / "README.md").write_text("another card")
    write_sums(dataset)
    assert data_sha256(dataset) == before
    shard(dataset).write_bytes(shard(dataset).read_bytes() + b"x")
    write_sums(dataset)
    assert data_sha256(dataset) != before


def test_a_missing_shard_is_named(dataset):
    shard(dataset).unlink()
    with pytest.raises(DataError, match=r"data/apache-2\.0/ko/train-00000-of-00001\.parquet is missing"):
        list(read_texts(dataset, "train"))


def test_a_file_that_was_not_published_is_neither_read_nor_minded(dataset):
    texts = list(read_texts(dataset, "train"))
    extra = dataset / "data/apache-2.0/ko/train-00001-of-00002.parquet"
    extra.write_bytes(shard(dataset).read_bytes())
    assert list(read_texts(dataset, "train")) == texts


def test_a_folder_that_is_no_dataset_and_a_split_that_is_none_are_refused(dataset, tmp_path):
    with pytest.raises(DataError, match="is not a dataset folder: it has no SHA256SUMS"):
        check_sums(tmp_path)
    with pytest.raises(DataError, match="split must be one of train, validation, got 'test'"):
        list(read_documents(dataset, "test"))


@pytest.mark.parametrize("line", ["nonsense", f"{'0' * 64}  ../outside", f"{'0' * 64}  /etc/passwd"])
def test_sums_that_are_none_or_lead_outside_are_refused(dataset, line):
    (dataset / "SHA256SUMS").write_text(line + "\n")
    with pytest.raises(DataError, match="SHA256SUMS: line 1"):
        check_sums(dataset)


def test_a_parquet_file_that_holds_no_documents_is_refused_though_its_sum_is_right(dataset):
    shard(dataset).write_bytes(b"PAR1 no")
    write_sums(dataset)
    with pytest.raises(DataError, match="does not hold documents"):
        list(read_texts(dataset, "train"))
