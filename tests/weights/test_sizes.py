"""Sizes as people say them."""

import pytest

from modeling_axk1.weights.sizes import counted, human_bytes, human_count


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 KB"),
        (99_949, "99.9 KB"),
        (99_960, "100 KB"),
        (999_499, "999 KB"),
        (999_500, "1.00 MB"),
        (11_274_289_152, "11.3 GB"),
        (1_037_966_118_912, "1.04 TB"),
        (10**19, "10000 PB"),
    ],
)
def test_bytes(count, words):
    assert human_bytes(count) == words


@pytest.mark.parametrize(
    ("count", "words"), [(518_983_059_456, "519 B"), (32_779_339_776, "32.8 B"), (7_240_000, "7.24 M"), (48, "48")]
)
def test_counts(count, words):
    assert human_count(count) == words


def test_one_thing_and_many():
    assert [counted(number, "shard") for number in (0, 1, 2, 1000)] == [
        "0 shards",
        "1 shard",
        "2 shards",
        "1,000 shards",
    ]
