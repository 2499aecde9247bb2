import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_axk1.data.decontaminate import (
    CHARACTERS,
    WORDS,
    beginnings,
    build_index,
    contaminated,
    open_index,
    runs,
    shared_runs,
)
from modeling_axk1.data.document import Document, Drop
from modeling_axk1.data.steps.decontaminate import decontaminate
from modeling_axk1.errors import DataError

WORD = st.sampled_from([*"abcde", "run", "año", "2024", "é", "한", "글", "字", "か", "ガ"])
TEXT = st.lists(WORD, max_size=70)
MARKS = st.lists(st.sampled_from([" ", "\n", ", ", ". ", " -- ", "\t(", "! "]), min_size=80, max_size=80)


def make(text: str) -> Document:
    return Document(text, "en", "source", "1", "file", "Apache-2.0")


def written(words: list[str], marks: list[str]) -> str:
    return "".join(word + mark for word, mark in zip(words, marks, strict=False))


def slow_runs(text: str) -> set[tuple[str, ...]]:
    """The definition: neighbours among words and single characters, compared as they are."""
    single = "[가-힣一-鿿ぁ-ヿ]"
    units = re.findall(rf"{single}|(?:(?!{single})[^\W_])+", unicodedata.normalize("NFC", text.casefold()))
    found = set()
    for length, wanted in ((WORDS, False), (CHARACTERS, True)):
        for start in range(len(units) - length + 1):
            run = tuple(units[start : start + length])
            if any(re.match(single, unit) for unit in run) == wanted:
                found.add(run)
    return found


@given(TEXT, TEXT)
def test_the_runs_are_those_of_the_definition(words, others):
    one, other = " ".join(words), " ".join(others)
    assert len(set(runs(one).tolist())) == len(slow_runs(one))
    assert bool(set(runs(one).tolist()) & set(runs(other).tolist())) == bool(slow_runs(one) & slow_runs(other))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(TEXT, min_size=1, max_size=3),
    st.data(),
    TEXT,
    TEXT,
    MARKS,
    st.sampled_from([str.upper, str.title, str]),
)
def test_every_shared_run_is_found_however_it_is_written(evaluation, data, before, after, marks, case):
    copied = data.draw(st.sampled_from(evaluation))
    start = data.draw(st.integers(0, max(0, len(copied) - WORDS)))
    part = copied[start : start + data.draw(st.integers(WORDS, 60))]
    known = set().union(*(slow_runs(" ".join(text)) for text in evaluation))
    index = np.unique(np.concatenate([runs(" ".join(text)) for text in evaluation]))
    text = case(written([*before, *part, *after], marks * 3))
    if len(index):
        assert bool(shared_runs(text, index)) == bool(slow_runs(text) & known)
        assert shared_runs(text, index, beginnings(index)) == shared_runs(text, index)
    if slow_runs(" ".join(part)):
        assert shared_runs(text, index)


@pytest.mark.parametrize(
    ("evaluation", "text", "found"),
    [
        ("one two three four five six seven eight nine ten eleven twelve thirteen",) * 2 + (True,),
        (
            "one two three four five six seven eight nine ten eleven twelve thirteen",
            "one two three four five six seven eight nine ten eleven twelve",
            False,
        ),
        (
            "다람쥐 헌 쳇바퀴에 타고파 하는 글을 스물다섯 글자보다 길게 쓴다",
            "다람쥐헌쳇바퀴에타고파하는글을스물다섯글자보다길게쓴다",
            True,
        ),
        (
            "色は匂へど散りぬるを我が世誰ぞ常ならむ有為の奥山今日",
            "色は匂へど散りぬるを我が世誰ぞ常ならむ有為の奥山",
            False,
        ),
        (
            "这里有一段超过二十五个汉字的中文文本用来检查步骤是否有效。",
            "前面。这里有一段超过二十五个汉字的中文文本，用来检查步骤是否有效",
            True,
        ),
        (
            "def has_close_elements(numbers: List[float], threshold: float) -> bool: for idx, elem in numbers:",
            "DEF has_close_elements(numbers:List[float],threshold:float)->bool:\n\tfor idx,elem in numbers:",
            True,
        ),
    ],
)
def test_the_step_drops_what_shares_a_run(tmp_path, evaluation, text, found):
    build_index([make("something else entirely " * 8), make(evaluation)], tmp_path / "index.npy")
    outcome = decontaminate(str(tmp_path / "index.npy")).decide(make(text))
    assert isinstance(outcome, Drop) == found


def test_the_index_is_sorted_and_the_same_for_any_order(tmp_path):
    documents = [make(" ".join(f"w{number}" for number in range(start, start + 400))) for start in (0, 300, 0, 5000)]
    assert build_index(documents, tmp_path / "one") == 700 - WORDS + 1 + 400 - WORDS + 1
    build_index(documents[::-1], tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    index = open_index(tmp_path / "one")
    assert isinstance(index, np.memmap)
    assert (np.diff(index.astype(object)) > 0).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]


def test_a_dataset_is_searched_for_what_it_shares(tmp_path):
    secret = make(" ".join(f"w{number}" for number in range(20)))
    build_index([secret], tmp_path / "index")
    dataset = [make("a b c " * 30), make(f"before {secret.text} after"), make("x y z " * 30)]
    assert list(contaminated(dataset, open_index(tmp_path / "index"))) == [(dataset[1], 20 - WORDS + 1)]


def test_evaluation_texts_without_a_run_are_refused(tmp_path):
    with pytest.raises(DataError, match="no run of 13 words or 25 characters"):
        build_index([make("too short")], tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no array", None])
def test_what_is_no_index_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "index").write_bytes(content)
    with pytest.raises(DataError, match="is no index of evaluation texts"):
        decontaminate(str(tmp_path / "index"))
