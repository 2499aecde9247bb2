"""What a token costs under a memory cap, by arithmetic alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.errors import UsageError
from modeling_axk1.model.configuration_axk1 import AXK1Config
from modeling_axk1.model.presets import preset
from modeling_axk1.stream.estimate import Held, Machine, estimate, held_in, measured, token_bytes, uniform
from modeling_axk1.weights.encodings import encoding_named, stored_bytes
from modeling_axk1.weights.names import parameters

RELEASE = AXK1Config().to_dict()
STORED = {name: token_bytes(RELEASE, name and encoding_named(name)) for name in (None, "fp8", "int8", "int4")}
MACHINE = Machine(read=2e9, compute=20e9, flops=100e9)
GIB = 2**30

memories = st.integers(2 * GIB, 1100 * GIB)
stored = st.sampled_from(list(STORED.values()))


def test_a_token_of_the_release_meets_42_gb_of_experts_and_23_gb_of_the_rest_in_bf16():
    weights = STORED[None]
    assert round(weights.routed / 1e9) == 42
    assert round((weights.rest + weights.embeddings) / 1e9) == 23
    assert (weights.routed + weights.rest + weights.embeddings) == 2 * parameters(RELEASE).active


def test_a_token_of_the_release_meets_11_gb_of_experts_in_int4():
    assert round(STORED["int4"].routed / 1e9) == 11


@pytest.mark.parametrize("name", [None, "fp8", "int8", "int4"])
def test_all_experts_the_rest_and_the_embeddings_are_the_whole_checkpoint(name):
    weights = STORED[name]
    whole = stored_bytes(RELEASE, name and encoding_named(name))
    assert weights.expert * weights.experts + weights.rest + weights.embeddings == whole


def test_a_config_that_says_how_it_is_stored_is_taken_at_its_word():
    from modeling_axk1.weights.encodings import quantised_config

    assert token_bytes(quantised_config(RELEASE, encoding_named("int4"))) == STORED["int4"]


def test_a_prediction_layer_only_drafts():
    drafting = AXK1Config(num_nextn_predict_layers=1).to_dict()
    assert token_bytes(drafting).met == STORED[None].met


def test_a_model_without_experts_meets_all_its_weights():
    config = AXK1Config(**preset("tiny"), vocab_size=128, first_k_dense_replace=3).to_dict()
    weights = token_bytes(config)
    assert weights.met + weights.embeddings == stored_bytes(config)
    assert held_in(weights, weights.rest) == Held(weights.rest, 0)
    assert estimate(weights, Held(weights.rest, 0), MACHINE).bytes_read == 0


@given(stored, memories, st.integers(0, 100 * GIB), st.integers(1, 4096), st.booleans())
def test_more_memory_is_never_slower(weights, memory, more, tokens, overlap):
    less, better = (
        estimate(weights, held_in(weights, size), MACHINE, tokens=tokens, overlap=overlap)
        for size in (memory, memory + more)
    )
    assert better.seconds <= less.seconds * (1 + 1e-12)
    assert better.bytes_read <= less.bytes_read * (1 + 1e-12)


@given(stored, memories)
def test_no_more_is_held_than_memory_has_room_for(weights, memory):
    held = held_in(weights, memory)
    assert held.rest + held.experts * weights.expert <= memory
    assert held.experts >= 1


@given(stored, st.integers(0, 100 * GIB), st.integers(1, 4096))
def test_where_all_fits_nothing_is_read(weights, more, tokens):
    held = held_in(weights, weights.rest + weights.experts * weights.expert + more)
    assert held == Held(weights.rest, weights.experts)
    assert estimate(weights, held, MACHINE, tokens=tokens).reading == 0


@given(stored, memories, st.integers(1, 10_000))
def test_a_pass_reads_no_more_than_a_pass_of_each_token_and_no_more_than_there_is(weights, memory, tokens):
    held = held_in(weights, memory)
    one, many = (estimate(weights, held, MACHINE, tokens=count) for count in (1, tokens))
    assert many.bytes_read <= one.bytes_read * tokens * (1 + 1e-9)
    assert many.bytes_read <= weights.rest + weights.experts * weights.expert
    assert weights.distinct(1) == pytest.approx(weights.visits)


@given(memories)
def test_overlapped_reading_hides_the_shorter_of_both(memory):
    held = held_in(STORED[None], memory)
    hidden, shown = (estimate(STORED[None], held, MACHINE, overlap=overlap) for overlap in (True, False))
    assert hidden.seconds == max(hidden.reading, hidden.computing)
    assert shown.seconds == hidden.reading + hidden.computing


def test_a_long_prompt_is_held_up_by_arithmetic():
    weights = STORED[None]
    prompt = estimate(weights, held_in(weights, 1100 * GIB), MACHINE, tokens=1000)
    assert prompt.seconds == pytest.approx(2 * weights.active * 1000 / MACHINE.flops)


def test_what_is_read_may_have_to_be_made_ready():
    weights = STORED[None]
    held = held_in(weights, 40 * GIB)
    as_it_comes, made_ready = (estimate(weights, held, replace(MACHINE, prepare=speed)) for speed in (None, 4e9))
    missing = as_it_comes.bytes_read - (weights.rest - held.rest)
    assert made_ready.computing - as_it_comes.computing == pytest.approx(missing / 4e9)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_measured_hit_rate_goes_through_its_points_and_never_falls(one, other):
    hit_rate = measured([(0.1, 0.3), (0.5, 0.8)])
    assert [hit_rate(share) for share in (0, 0.1, 0.5, 1)] == pytest.approx([0, 0.3, 0.8, 1])
    assert (hit_rate(one) <= hit_rate(other) + 1e-12) or one > other
    assert hit_rate(one) >= uniform(one) - 1e-12


@pytest.mark.parametrize("points", [[(0.5, 0.8), (0.2, 0.9)], [(0.2, 0.8), (0.5, 0.7)], [(0, 0.5)], [(0.5, 1.1)]])
def test_hit_rates_that_fall_are_refused(points):
    with pytest.raises(UsageError, match="must rise"):
        measured(points)


def test_memory_for_less_than_an_expert_is_refused_with_the_least_that_would_do():
    weights = STORED[None]
    with pytest.raises(UsageError, match=f"at least {2 * weights.piece + weights.expert:,} bytes"):
        held_in(weights, 2**20)
