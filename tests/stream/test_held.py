"""Ranges of a file: against a set of its bytes."""

from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.stream.held import Held

RANGES = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda drawn: (drawn[0], drawn[0] + drawn[1]))


def bytes_of(ranges) -> list[int]:
    return [byte for start, end in ranges for byte in range(start, end)]


@given(st.lists(st.tuples(st.booleans(), RANGES)), RANGES)
def test_held_and_missing_bytes_are_those_of_a_set(steps, asked):
    held, model = Held(), set()
    for is_added, (start, end) in steps:
        if is_added:
            assert set(bytes_of(held.add(start, end))) == set(range(start, end)) - model
            model |= set(range(start, end))
        else:
            assert set(bytes_of(held.remove(start, end))) >= set(range(start, end)) & model
            model -= set(range(start, end))
        everything = bytes_of(held.overlapping(0, 100))
        assert everything == sorted(model)
    assert bytes_of(held.missing(*asked)) == sorted(set(range(*asked)) - model)
    overlapping = held.overlapping(*asked)
    assert all(start < asked[1] and asked[0] < end for start, end in overlapping)
    assert set(bytes_of(overlapping)) >= model & set(range(*asked))
