"""A plan covers every tensor once, in order, within the limit."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights.plan import parse_size, plan_shards

sizes = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 100), max_size=40)


@given(sizes, st.integers(1, 120))
def test_every_tensor_once_in_order_and_no_shard_over_the_limit_but_a_single_tensor(sizes, limit):
    shards = plan_shards(sizes, limit)
    assert [name for shard in shards for name in shard.tensors] == list(sizes)
    for shard in shards:
        assert shard.nbytes == sum(sizes[name] for name in shard.tensors)
        assert shard.nbytes <= limit or len(shard.tensors) == 1


@given(sizes, st.integers(1, 120))
def test_no_shard_could_have_taken_the_next_tensor(sizes, limit):
    shards = plan_shards(sizes, limit)
    for shard, following in pairwise(shards):
        assert shard.nbytes + sizes[following.tensors[0]] > limit


def test_one_shard_is_one_file_and_several_are_numbered():
    assert [shard.file_name for shard in plan_shards({"a": 6, "b": 5, "c": 4}, 15)] == ["model.safetensors"]
    assert [(shard.file_name, shard.tensors) for shard in plan_shards({"a": 6, "b": 5, "c": 4}, 9)] == [
        ("model-00001-of-00002.safetensors", ("a",)),
        ("model-00002-of-00002.safetensors", ("b", "c")),
    ]


def test_a_tensor_larger_than_the_limit_gets_a_shard_of_its_own():
    assert [shard.tensors for shard in plan_shards({"a": 1, "b": 99, "c": 1}, 10)] == [("a",), ("b",), ("c",)]


def test_nothing_needs_no_shard():
    assert plan_shards({}, 10) == []


def test_a_limit_below_one_byte_is_refused():
    with pytest.raises(WeightsError, match="at least 1, got 0"):
        plan_shards({"a": 1}, 0)


@pytest.mark.parametrize(
    ("text", "nbytes"), [("5GB", 5 * 10**9), ("1 GiB", 2**30), ("500mb", 5 * 10**8), ("123", 123), ("2TB", 2 * 10**12)]
)
def test_sizes_are_read_as_people_write_them(text, nbytes):
    assert parse_size(text) == nbytes


@pytest.mark.parametrize("text", ["", "0", "-5GB", "5 gigs", "1.5GB", "GB", "9" * 400])
def test_other_sizes_are_wrong_use(text):
    with pytest.raises(UsageError, match="a size must look like"):
        parse_size(text)
