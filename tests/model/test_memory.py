"""Where memory goes under a cap: the rest of a model first, then routed experts, and never more than was said."""

import mmap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modeling_axk1.model.memory_axk1 import asked_for, bytes_of, plan_memory, process_bytes

SIZES = st.integers(1, 1_000)


@pytest.mark.parametrize(
    ("said", "meant"),
    [("12GiB", 12 * 2**30), ("500MB", 500 * 10**6), ("1.5 gb", 1_500_000_000), (4096, 4096), ("7", 7), ("2KiB", 2048)],
)
def test_sizes_as_people_write_them(said, meant):
    assert bytes_of(said) == meant


@pytest.mark.parametrize("said", ["", "GiB", "-1GB", "12 parsecs", "1e9", True, "0x10"])
def test_what_is_no_size_is_refused(said):
    with pytest.raises(ValueError, match="memory must be a number of bytes or a size like 12GiB"):
        bytes_of(said)


class TestPlan:
    @given(
        memory=st.integers(0, 40_000),
        rest=st.lists(SIZES, max_size=12),
        expert=SIZES,
        experts=st.integers(1, 60),
        at_once=st.integers(1, 8),
    )
    @example(memory=242, rest=[1, 209], expert=2, experts=2, at_once=2)
    def test_it_keeps_within_the_memory_or_names_what_would_do(self, memory, rest, expert, experts, at_once):
        sizes = dict(enumerate(rest))
        # Nothing of the rest kept, or all of it; slots for it to pass; one expert.
        if memory < 30 + min(sum(rest), min(2, len(rest)) * max(rest, default=0)) + expert:
            with pytest.raises(ValueError, match="memory must be at least"):
                plan_memory(memory, 10, 20, sizes, expert, experts, at_once)
            return
        plan = plan_memory(memory, 10, 20, sizes, expert, experts, at_once)
        assert plan.total <= memory
        assert 1 <= plan.expert_slots <= experts
        passing = [size for key, size in sizes.items() if key not in plan.fixed]
        assert plan.rest_slots == min(2, len(passing))
        assert plan.rest_slot_bytes == max(passing, default=0)
        assert plan.fixed_bytes == sum(sizes[key] for key in plan.fixed)
        if plan.expert_slots > at_once and passing:
            # No piece that passes could have stayed: even the smallest takes more than those experts.
            assert min(passing) > (plan.expert_slots - at_once) * expert - (memory - plan.total)

    @given(memory=st.integers(5_000, 20_000), more=st.integers(1, 20_000))
    def test_more_memory_is_never_used_for_less(self, memory, more):
        sizes = dict.fromkeys(range(10), 700)
        small, large = (plan_memory(m, 10, 20, sizes, 100, 60, 8) for m in (memory, memory + more))
        assert large.fixed_bytes >= small.fixed_bytes
        assert large.total >= small.total

    def test_the_least_that_it_names_is_enough(self):
        with pytest.raises(ValueError, match=r"at least 0\.32GiB for this model, got 0\.10GiB") as error:
            plan_memory(2**30 // 10, 0, 0, {0: 2**27, 1: 2**27}, 2**26, 4, 2)
        least = str(error.value).split("at least ")[1].split()[0]
        assert plan_memory(bytes_of(least), 0, 0, {0: 2**27, 1: 2**27}, 2**26, 4, 2).expert_slots == 1

    def test_it_is_a_table(self):
        plan = plan_memory(20 * 2**30, 2**30, 2**29, dict.fromkeys(range(4), 2**30), 2**27, 100, 8)
        assert str(plan).splitlines() == [
            "the process beside weights            1.00GiB",
            "latents and a prompt's passing        0.50GiB",
            "attention, shared experts, head       4.00GiB  of 4.00GiB, kept",
            "routed experts                       12.50GiB  100 of 100 at a time",
            "together                             18.00GiB",
        ]


class TestArguments:
    def test_without_them_nothing_is_streamed(self):
        kwargs = {"dtype": "auto", "memory": None}
        assert asked_for(kwargs) is None
        assert kwargs == {"dtype": "auto"}

    def test_sizes_and_options(self):
        kwargs = {"expert_memory": "1GiB", "streaming": {"policy": "lru", "threads": 2}, "dtype": "auto"}
        streaming = asked_for(kwargs)
        assert streaming is not None
        assert (streaming.expert_memory, streaming.policy, streaming.threads) == (2**30, "lru", 2)
        assert kwargs == {"dtype": "auto"}

    @pytest.mark.parametrize(
        ("kwargs", "rule"),
        [
            ({"memory": "1GiB", "expert_memory": "1GiB"}, "not both"),
            ({"streaming": {"policy": "lru"}}, "give memory or expert_memory with it"),
            ({"memory": "1GiB", "streaming": {"speed": 9}}, r"streaming must be of context, .*, got speed"),
            ({"memory": "1GiB", "streaming": {"policy": "best"}}, "policy must be one of lru, lfu, segmented"),
        ],
    )
    def test_what_does_not_fit_together_is_refused(self, kwargs, rule):
        with pytest.raises(ValueError, match=rule):
            asked_for(kwargs)


def test_the_process_says_what_it_takes():
    before = process_bytes()
    with mmap.mmap(-1, 50_000_000) as area:  # from the system, not from what the process has taken already
        area.write(b"x" * len(area))
        assert process_bytes() - before > 40_000_000
