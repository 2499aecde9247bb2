import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.data.units import units, windows

WORDS = st.lists(st.text("abcß é한글字かﾅ9", min_size=1, max_size=9), max_size=30)


@pytest.mark.parametrize(
    ("text", "single"),
    [
        ("", []),
        ("...", []),
        ("two words", [False, False]),
        ("año_2024", [False, False]),
        ("한글 字", [True, True, True]),
        ("ひらガナ", [True, True, True, True]),
        ("Python으로", [False, True, True]),
        ("𠮷野家", [True, True, True]),
        ("x\U000e0100", [False]),
    ],
)
def test_a_unit_is_a_word_or_a_character_of_a_script_without_words(text, single):
    assert units(text).single.tolist() == single


@pytest.mark.parametrize(
    ("one", "other"), [("Two, words!", "two\n\nwords"), ("한 글", "한글"), ("STRASSE", "straße"), ("a-b", "a b")]
)
def test_case_spaces_and_punctuation_do_not_count(one, other):
    assert units(one).hashes.tolist() == units(other).hashes.tolist()


@pytest.mark.parametrize(("one", "other"), [("ab", "ba"), ("ab", "a b"), ("ab", "abb"), ("한", "글"), ("a1", "a2")])
def test_other_words_have_other_hashes(one, other):
    assert units(one).hashes.tolist() != units(other).hashes.tolist()


def mix(value: int) -> int:
    """SplitMix64's finaliser, from its definition."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
    return value ^ value >> 31


@pytest.mark.parametrize("word", ["a", "word", "한", "字", "é", "𠮷", "x" * 1500])
def test_a_hash_is_the_polynomial_of_the_characters_as_integers_give_it(word):
    base = 0x9E3779B97F4A7C15
    powers = [pow(base, place % 1024 + 1, 2**64) for place in range(len(word))]
    expected = sum(mix(ord(character) + 1) * power for character, power in zip(word, powers, strict=True)) % 2**64
    assert units(word).hashes.tolist() == [mix(expected)]


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30))
def test_the_hash_of_a_run_is_the_polynomial_of_its_units(numbers):
    base = 0x9E3779B97F4A7C15
    expected = 0
    for number in numbers:
        expected = (expected * base + number) % 2**64
    assert windows(np.array(numbers, np.uint64), len(numbers)).tolist() == [mix(expected)]


@given(WORDS, st.integers(1, 20))
def test_a_run_has_one_hash_wherever_it_stands(words, length):
    text = " ".join(words)
    alone = windows(units(text).hashes, length)
    among_others = windows(units(f"before {text} after").hashes, length)
    assert len(alone) == max(0, len(units(text).hashes) - length + 1)
    assert np.isin(alone, among_others).all()


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 15))
def test_runs_are_equal_exactly_when_their_hashes_are(numbers, length):
    hashes = windows(np.array(numbers, np.uint64), length).tolist()
    runs = [tuple(numbers[start : start + length]) for start in range(len(hashes))]
    assert len(set(zip(runs, hashes, strict=True))) == len(set(runs)) == len(set(hashes))


@pytest.mark.parametrize("filler", ["word ", "字", "한글 "])
def test_a_long_text_is_cut_nowhere_that_shows(filler):
    text = filler * 40_000
    assert np.array_equal(units(text).hashes, np.tile(units(filler).hashes, 40_000))
