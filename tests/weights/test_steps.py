"""What the steps of a plan are: neighbours are joined, and nothing else changes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.weights.runs import Run
from modeling_axk1.weights.steps import Copy, Fill, Place, merged


def copy(target: int, source: int, nbytes: int, tensor: str = "t", file: str = "f", number: int = 0) -> Copy:
    return Copy(tensor, Place(file, Run(source, nbytes), number), Run(target, nbytes))


def test_copies_that_follow_each_other_on_both_sides_become_one():
    assert merged([copy(0, 100, 8), copy(8, 108, 4), copy(12, 112, 1)]) == [copy(0, 100, 13)]


def test_copies_that_are_apart_on_one_side_stay_two():
    for second in (
        copy(8, 109, 4),  # a gap in the source
        copy(9, 108, 4),  # a gap in the target
        copy(8, 108, 4, tensor="u"),
        copy(8, 108, 4, file="g"),
        copy(8, 108, 4, number=1),
        Copy("t", Place("f", Run(108, 4)), Run(8, 2, 2, 4)),  # rows of the target
        Fill("t", b"1234"),
    ):
        assert merged([copy(0, 100, 8), second]) == [copy(0, 100, 8), second]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 3))))
def test_the_same_bytes_come_from_the_same_places(moves):
    steps, target, source = [], 0, 0
    for target_gap, source_gap, nbytes in moves:
        target, source = target + target_gap, source + source_gap
        steps.append(copy(target, source, nbytes))
        target, source = target + nbytes, source + nbytes

    def bytewise(copies):
        return [(one.run.start + n, one.place.run.start + n) for one in copies for n in range(one.nbytes)]

    joined = merged(steps)
    assert bytewise(joined) == bytewise(steps)
    assert not any(one.continues_in(other) for one, other in pairwise(joined))
