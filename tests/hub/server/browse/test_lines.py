"""The difference of two texts."""

from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.hub.server.browse.lines import MOST_EDITS, difference

TEXTS = st.lists(st.sampled_from("abcd"), max_size=12)


def longest_common(old, new):
    """Length of the longest common subsequence, by the table of the textbook."""
    table = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i, one in enumerate(old, 1):
        for j, other in enumerate(new, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if one == other else max(table[i - 1][j], table[i][j - 1])
    return table[-1][-1]


@given(TEXTS, TEXTS)
def test_it_makes_the_new_text_of_the_old_one_with_the_fewest_lines(old, new):
    found = difference(old, new)
    made = list(old)
    for row in reversed([row for hunk in found.hunks for row in hunk]):
        if row.sign == "-":
            assert made.pop(row.old - 1) == row.text
    for row in [row for hunk in found.hunks for row in hunk]:
        if row.sign == "+":
            made.insert(row.new - 1, row.text)
        elif row.sign == " ":
            assert old[row.old - 1] == new[row.new - 1] == row.text
    assert made == new
    common = longest_common(old, new)
    assert (found.added, found.removed) == (len(new) - common, len(old) - common)


def test_only_lines_near_a_change_are_told():
    old = [str(number) for number in range(100)]
    new = [*old[:20], "new", *old[20:60], *old[61:]]
    found = difference(old, new)
    assert [[(row.sign, row.old, row.new) for row in hunk] for hunk in found.hunks] == [
        [(" ", 18, 18), (" ", 19, 19), (" ", 20, 20), ("+", None, 21), (" ", 21, 22), (" ", 22, 23), (" ", 23, 24)],
        [(" ", 58, 59), (" ", 59, 60), (" ", 60, 61), ("-", 61, None), (" ", 62, 62), (" ", 63, 63), (" ", 64, 64)],
    ]


def test_texts_that_share_little_are_given_up():
    half = MOST_EDITS // 2
    assert difference(["a"] * half, ["b"] * half) is not None
    assert difference(["a"] * (half + 1), ["b"] * half) is None
    assert difference(["a", "b"] * 100_000, ["b", "c"] * 100_000) is None


def test_equal_texts_have_none():
    assert difference(["a"], ["a"]).hunks == []
