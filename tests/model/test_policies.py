"""Which piece makes room for another."""

from modeling_axk1.model.policies_axk1 import LeastFrequentlyUsed, LeastRecentlyUsed, SegmentedLru


def test_least_recently_used():
    policy = LeastRecentlyUsed()
    for key in (1, 2, 3, 1):
        policy.used(key)
    assert policy.victim([1, 2, 3]) == 2
    assert policy.victim([3, 1]) == 3


def test_least_frequently_used():
    policy = LeastFrequentlyUsed()
    for key in (1, 1, 2, 3, 3):
        policy.used(key)
    assert policy.victim([1, 2, 3]) == 2


def test_old_times_count_less():
    policy = LeastFrequentlyUsed(half_life=4)
    for key in [1] * 5 + [2] * 16 + [3] * 4:
        policy.used(key)
    assert policy.victim([1, 2, 3]) == 1


def test_counting_goes_on_for_ever():
    policy = LeastFrequentlyUsed(half_life=1)
    for key in [1] * 2000 + [2, 2, 2]:
        policy.used(key)
    assert policy.victim([1, 2]) == 1


def test_what_was_used_once_goes_before_what_was_used_again():
    policy = SegmentedLru(2)
    for key in (1, 1, 2, 3):
        policy.used(key)
    assert policy.victim([1, 2, 3]) == 2
    assert policy.victim([1, 3]) == 3


def test_the_second_segment_is_bounded():
    policy = SegmentedLru(1)
    for key in (1, 1, 2, 2):
        policy.used(key)
    assert policy.victim([1, 2]) == 1
