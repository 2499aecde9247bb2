"""The benchmarks of the hub: that they run, and that what they would report can fail."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def bench(name, out, *options):
    command = [sys.executable, BENCHMARKS / f"{name}.py", "--quick", "--out", out, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((out / f"{name}.json").read_text())


@pytest.mark.slow
def test_a_short_soak_leaves_the_store_clean(tmp_path):
    result = bench("hub_soak", tmp_path)
    assert result["wrong"] == []
    assert result["killed"]["clients"] > 5
    assert result["checked"]["commits"] > 5
    assert result["memory_mib"]["most"] < 500


@pytest.mark.slow
def test_metadata_calls_are_measured(tmp_path):
    result = bench("hub_load", tmp_path, "--only", "metadata")
    alone, busy = result["metadata"]
    assert alone["requests"] == busy["requests"] == 400
    assert alone["ms"]["p50"] <= alone["ms"]["p99"] <= alone["ms"]["max"]


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import hub_soak

    return hub_soak


def test_a_soak_tells_what_is_lost(soak, tmp_path):
    """A note of a commit that the hub does not have, and a leftover of a broken upload that no start sweeps."""
    (tmp_path / "notes").mkdir()
    note = {"repo": "soak/one", "commit": "1" * 40, "files": {"a.bin": "0" * 64}}
    (tmp_path / "notes" / "client0").write_text(json.dumps(note) + "\n")
    checked, wrong = soak.faults(tmp_path / "hub", tmp_path / "notes")
    assert checked["commits"] == 1
    assert wrong == [f"soak/one {'1' * 40} a.bin: 404, or other bytes"]
