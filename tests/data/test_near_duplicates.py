import json
import random
from pathlib import Path

import numpy as np
import pytest

from modeling_axk1.data import near_duplicates
from modeling_axk1.data.near_duplicates import NUMBERS, THRESHOLD, first_of_each_group, likeness, signature
from modeling_axk1.errors import DataError
from tests.data.planted_duplicates import edited

SAMPLE = Path(__file__).parents[2] / "data_cards" / "sample"
PAGE = " ".join(f"sentence {number} of a page that somebody wrote once," for number in range(60))


def groups(texts: list[str], folder, **options) -> list[int]:
    return first_of_each_group(np.stack([signature(text) for text in texts]), folder, **options).tolist()


def test_the_first_text_stays_and_its_likes_point_to_it(tmp_path):
    other = PAGE.replace("page", "book").replace("somebody", "nobody").replace("once", "again")
    assert groups([PAGE, other, PAGE + " The end.", "한글", other.upper()], tmp_path) == [0, 1, 0, 3, 1]


def test_a_group_may_be_a_chain(tmp_path):
    words = PAGE.split()
    chain = [" ".join(words[start : start + 400]) for start in range(0, 160, 40)]
    signatures = np.stack([signature(text) for text in chain])
    assert likeness(signatures[0], signatures[3]) < THRESHOLD
    assert first_of_each_group(signatures, tmp_path).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("text", ["", "...", "one", "한", "four words are few"])
def test_short_texts_are_like_themselves_alone(text, tmp_path):
    assert groups(["another text", text, text, PAGE], tmp_path) == [0, 1, 1, 3]


def test_likeness_estimates_the_jaccard_index():
    first, second = (signature(" ".join(map(str, range(start, start + 3000)))) for start in (0, 1000))
    assert likeness(first, second) == pytest.approx(0.5, abs=0.1)


def test_a_signature_is_the_same_on_every_machine():
    assert signature("자동으로 만든 글 한 줄과 some English words").tolist()[:3] == [3347473483, 1967281527, 3325862396]


def test_little_memory_and_files_give_the_same_groups(tmp_path):
    numbers = np.random.default_rng(5)
    signatures = numbers.integers(0, 2**32, (3000, NUMBERS), np.uint32)
    copies = numbers.integers(0, 3000, 1500)
    signatures = np.concatenate([signatures, signatures[copies]])
    signatures[3000:, :20] += 1
    stored = np.memmap(tmp_path / "signatures", np.uint32, "w+", shape=signatures.shape)
    stored[:] = signatures
    expected = np.concatenate([np.arange(3000), copies])
    assert np.array_equal(first_of_each_group(signatures, tmp_path), expected)
    assert np.array_equal(first_of_each_group(stored, tmp_path, memory=1 << 14), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["signatures"]


def test_the_order_of_comparing_does_not_matter(tmp_path, monkeypatch):
    signatures = np.stack([signature(PAGE[start:]) for start in (0, 9, 300, 20, 1500, 5)])
    forward = first_of_each_group(signatures, tmp_path)
    partition = near_duplicates._partition
    monkeypatch.setattr(near_duplicates, "_partition", lambda *given: partition(*given)[::-1])
    assert np.array_equal(first_of_each_group(signatures, tmp_path), forward)


def test_signatures_of_another_shape_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"must be \[documents, 128\], got \[2, 64\]"):
        first_of_each_group(np.zeros((2, 64), np.uint32), tmp_path)


@pytest.mark.parametrize("language", ["ko", "ja", "zh", "es", "en", "code"])
def test_texts_with_a_twentieth_edited_are_found_and_nothing_else(language, tmp_path):
    documents = [json.loads(line) for file in SAMPLE.glob("*.jsonl") for line in file.read_text("utf-8").splitlines()]
    texts = [one["text"] for one in documents if one["language"] == language and len(one["text"]) > 500][:25]
    rng = random.Random(7)
    for share, recall in ((0.01, 1.0), (0.05, 0.95)):
        copies = [edited(text, share, texts, rng) for text in texts]
        first = np.array(groups([*texts, *copies], tmp_path))
        assert (first[: len(texts)] == np.arange(len(texts))).all()
        assert (first[len(texts) :] == np.arange(len(texts))).mean() >= recall
    # With three tenths edited it is another text.
    copies = [edited(text, 0.3, texts, rng) for text in texts]
    assert (np.array(groups([*texts, *copies], tmp_path))[len(texts) :] < len(texts)).mean() <= 0.1
