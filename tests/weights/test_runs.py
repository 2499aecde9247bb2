"""A run of bytes is what slicing along one axis takes, and its pieces are that run and nothing else."""

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.dtypes import DTYPE_BITS
from modeling_axk1.weights.runs import Run, cut_axis, split

WHOLE_BYTES = sorted(dtype for dtype, bits in DTYPE_BITS.items() if bits % 8 == 0)

runs = st.builds(
    lambda start, length, count, gap: Run(start, length, count, length + gap if count > 1 else 0),
    st.integers(0, 50),
    st.integers(0, 40),
    st.integers(1, 12),
    st.integers(1, 30),
)


def positions(run: Run) -> list[int]:
    """Every byte of a run, in order."""
    return [byte for start, length in run.pieces() for byte in range(start, start + length)]


@st.composite
def cuts(draw):
    shape = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    axis = draw(st.integers(0, len(shape) - 1))
    low = draw(st.integers(0, shape[axis]))
    return shape, axis, low, draw(st.integers(low, shape[axis]))


@given(cuts(), st.sampled_from(WHOLE_BYTES))
def test_a_cut_is_what_numpy_slices(cut, dtype):
    shape, axis, low, high = cut
    width = DTYPE_BITS[dtype] // 8
    bytes_of = np.arange(prod(shape) * width).reshape(*shape, width)  # every byte says where it lies
    taken = bytes_of[(slice(None),) * axis + (slice(low, high),)]
    assert positions(cut_axis(shape, dtype, axis, low, high)) == taken.flatten().tolist()


@given(cuts())
def test_a_cut_of_elements_of_4_bits_falls_between_bytes_or_is_refused(cut):
    shape, axis, low, high = cut
    shape = [*shape[:-1], shape[-1] * 2]
    halves = np.arange(prod(shape)).reshape(shape)
    if axis == len(shape) - 1 and (low % 2 or (high - low) % 2):
        with pytest.raises(WeightsError, match=r"must fall between bytes, got \[\d+, \d+\) of F4"):
            cut_axis(shape, "F4", axis, low, high)
        return
    taken = halves[(slice(None),) * axis + (slice(low, high),)].flatten()
    assert positions(cut_axis(shape, "F4", axis, low, high)) == (taken[::2] // 2).tolist()


def test_four_elements_of_6_bits_are_three_bytes():
    assert cut_axis([2, 8], "F6_E2M3", 1, 4, 8) == Run(3, 3, count=2, stride=6)
    with pytest.raises(WeightsError, match="between bytes"):
        cut_axis([2, 8], "F6_E2M3", 1, 2, 8)


def test_pieces_that_follow_each_other_are_one():
    assert cut_axis([3, 4], "F32", 1, 2, 4) == Run(8, 8, count=3, stride=16)
    assert cut_axis([3, 4], "F32", 1, 0, 4) == cut_axis([3, 4], "F32", 0, 0, 3) == Run(0, 48)
    assert cut_axis([1, 4], "F32", 1, 2, 4) == Run(8, 8)
    assert cut_axis([3, 4], "F32", 1, 2, 2) == Run(8, 0)


@pytest.mark.parametrize(("axis", "low", "high"), [(0, 0, 4), (0, 2, 1), (0, -1, 1), (1, 0, 1)])
def test_a_cut_outside_the_tensor_is_refused(axis, low, high):
    with pytest.raises(WeightsError, match="a cut"):
        cut_axis([3], "F32", axis, low, high)


@given(runs, st.integers(1, 200))
def test_split_gives_every_byte_once_and_in_order(run, limit):
    parts = list(split(run, limit))
    assert [byte for part in parts for byte in positions(part)] == positions(run)
    assert sum(part.nbytes for part in parts) == run.nbytes


@given(runs, st.integers(1, 200))
def test_no_part_takes_more_than_the_limit_and_one_of_several_pieces_spans_no_more(run, limit):
    for part in split(run, limit):
        assert part.nbytes <= limit
        assert part.end - part.start <= limit


@given(runs, st.integers(0, 100))
def test_a_run_ends_where_its_last_byte_does_and_moves_as_a_whole(run, by):
    if run.nbytes:
        assert run.end == positions(run)[-1] + 1
    assert positions(run.shifted(by)) == [byte + by for byte in positions(run)]
