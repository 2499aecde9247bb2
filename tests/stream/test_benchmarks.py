"""The benchmarks of streaming, tiny: that they run, and that what they would report can fail."""

import json
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.model.policies_axk1 import POLICIES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))  # they are scripts, which import each other from their own folder

import streaming_curve  # noqa: E402
import streaming_disk  # noqa: E402
import streaming_full_scale  # noqa: E402
import streaming_policies  # noqa: E402
import streaming_process  # noqa: E402
import streaming_reading  # noqa: E402
from streaming_replay import belady, fixed, replay  # noqa: E402

groups = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True), min_size=1, max_size=40)


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """Run a benchmark's command with its processes within this one, on one thread, and return what it writes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for module in (streaming_full_scale, streaming_disk, streaming_curve):
        monkeypatch.setattr(module, "run", lambda settings, limit=None: streaming_process.report(settings))

    def of(module, *options):
        monkeypatch.setattr(sys, "argv", [module.__name__, "--out", str(tmp_path), *options])
        module.main()
        return json.loads((tmp_path / f"{module.__name__}.json").read_text())

    yield of
    torch.set_num_threads(threads)


def test_the_full_scale_network_is_made_of_holes_and_routes_as_its_routers_say(bench):
    result = bench(streaming_full_scale, "--tiny", "--memory", "64GiB", "--tokens", "2")
    assert [run["stored"] for run in result["runs"]] == ["bf16", "int4"]
    for run in result["runs"]:
        assert run["checkpoint"]["bytes_on_disk"] < run["checkpoint"]["bytes"]
        assert len(run["said"]) == len(run["passes"]) == 3
        assert run["prompt"]["bytes_read"] > 0
        assert run["prompt"]["guessed_right"] == run["prompt"]["guessed"] > 0
        assert 0 < run["plan_bytes"] <= run["memory_bytes"]


def test_every_way_to_run_the_layers_says_the_same(bench, monkeypatch):
    monkeypatch.setattr(streaming_reading, "THREADS", (2,))
    small = ("--tokens", "2", "--rounds", "1", "--reading-rounds", "1", "--reading-bytes", "1MB")
    result = bench(streaming_disk, "--tiny", "--memory", "64GiB", *small)
    second_copies = []
    for run in result["layouts"]:
        (cap,) = run["caps"]
        assert cap["reports"]["ours"]["said"] == cap["reports"]["mapped"]["said"]
        assert cap["times_as_fast_as"]["offloaded"] > 0
        second_copies.append(cap["second_copy_bytes"])
    assert second_copies == [0, 0]  # all fits into 64 GiB
    assert result["goals"]["reading_over_sequential"] > 0
    assert result["reading"]["over_sequential"].keys() == {"direct", "direct, expected", "buffered"}


def test_the_curve_is_measured_and_computed(bench):
    result = bench(streaming_curve, "--tiny", "--memory", "64GiB", "--tokens", "4", "--reading-bytes", "1MB")
    (point,) = result["measured"]
    assert point["share_held"] == 1
    assert point["tokens_per_second"] > 0
    assert {row["machine"] for row in result["computed"]} == {"this machine", "laptop", "workstation"}
    assert all(row["computed"] for row in result["computed"])
    laptop = [
        row["even routing"] for row in result["computed"] if (row["machine"], row["stored"]) == ("laptop", "int4")
    ]
    seconds = [one["seconds_per_token"] for one in laptop]
    assert seconds == sorted(seconds, reverse=True)


def test_policies_are_replayed_on_the_routing_of_a_trained_model(bench):
    result = bench(streaming_policies, "--minutes", "0.001", "--tokens", "96", "--models", "quickstart")
    (model,) = result["models"]
    assert [run["text"] for run in model["texts"]] == ["en", "ko", "code", "in turns"]
    for run in model["texts"]:
        assert set(run["guessed_right"]) == {"1", "2"}
        assert run["concentration"]["top 10%"] < run["concentration"]["top 50%"]
        optimum = [rates["optimum"] for rates in run["hit_rates"]]
        assert optimum == sorted(optimum)
        assert all({*POLICIES, "fixed from a profile"} < rates.keys() for rates in run["hit_rates"])


@given(groups, st.integers(3, 12), st.sampled_from(sorted(POLICIES)))
def test_no_policy_beats_the_optimum(visits, slots, name):
    assert replay(POLICIES[name](slots), slots, visits, 0) <= belady(slots, visits, 0)


@given(groups, st.sampled_from(sorted(POLICIES)))
def test_where_all_fit_each_is_missed_once(visits, name):
    keys = [key for group in visits for key in group]
    assert replay(POLICIES[name](10), 10, visits, 0) == pytest.approx(1 - len(set(keys)) / len(keys))


def test_the_optimum_forgets_what_is_needed_last():
    assert belady(2, [[1], [2], [3], [1], [2]], 0) == pytest.approx(1 / 5)
    assert belady(2, [[1], [2], [3], [1], [3], [1]], 0) == pytest.approx(3 / 6)


def test_a_fixed_set_is_what_the_profile_visits_most():
    profile = streaming_policies.Counter({1: 5, 2: 3, 3: 1})
    assert fixed(2, profile, [[9], [9], [1, 3], [2, 4]]) == 0.5


def test_text_of_several_languages_goes_by_turns():
    texts = {"en": streaming_policies.np.zeros(500), "ko": streaming_policies.np.ones(500)}
    assert streaming_policies.turns(texts, 400).tolist() == [0] * 128 + [1] * 128 + [0] * 128 + [1] * 16


def test_a_process_that_fails_stops_the_benchmark_with_its_words(tmp_path):
    with pytest.raises(SystemExit, match="a process failed"):
        streaming_process.run({"who": "ours", "folder": str(tmp_path / "nowhere"), "prompt": [1], "tokens": 1})


def test_a_process_killed_for_memory_is_a_result():
    done = streaming_process.subprocess.CompletedProcess([], -9, "", "")
    assert streaming_process._result(done, killed=True) == {"stopped": "out of memory"}
    with pytest.raises(SystemExit):
        streaming_process._result(done, killed=False)
    assert streaming_disk._ratio(3.0, 1.5) == 2
    assert streaming_disk._ratio(3.0, None) is None
