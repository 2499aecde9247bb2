"""The plan of the 519B release: every file and size from recorded facts, nothing made up, nothing to publish."""

import json
from math import prod
from pathlib import Path

import pytest

from modeling_axk1 import AXK1Config
from modeling_axk1.errors import HubError, UsageError
from modeling_axk1.hub.card import read_facts
from modeling_axk1.hub.check import check
from modeling_axk1.hub.export import export_release
from modeling_axk1.hub.release.manifest import read_manifest
from modeling_axk1.hub.release.plan import lay_out_shards, plan_release
from modeling_axk1.hub.release_set import read_release
from modeling_axk1.weights.names import expected_tensors
from modeling_axk1.weights.plan import parse_size
from tests.goldens import assert_golden
from tests.hub.release.conftest import NANO

PLAN = NANO.with_name("a.x-k1.toml")


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("plan") / "out"
    plan_release(read_manifest(PLAN), out)
    return out


def test_it_counts_what_the_facts_count(planned):
    facts = read_facts()
    bf16, fp8, int4 = json.loads((planned / "plan.json").read_text())
    assert bf16["counted"] == {
        "tensors": facts["tensors"],
        "parameters": facts["parameters"],
        "active_parameters": facts["active_parameters"],
        "bytes": facts["bf16_bytes"],
        "files": len([name for name in bf16["files"] if name.endswith(".safetensors")]),
    }
    assert (bf16["counted"]["parameters"], bf16["counted"]["tensors"]) == (518_983_059_456, 976)
    assert 0.50 < fp8["counted"]["bytes"] / bf16["counted"]["bytes"] < 0.51
    assert 0.25 < int4["counted"]["bytes"] / bf16["counted"]["bytes"] < 0.27


def test_the_facts_config_is_the_one_that_the_code_has_by_default():
    default, facts = AXK1Config().to_dict(), read_facts()["config"]
    assert {key: default[key] for key in facts if key in default and key not in ("dtype", "architectures")} == {
        key: value for key, value in facts.items() if key in default and key not in ("dtype", "architectures")
    }
    assert facts.keys() - default.keys() <= {"norm_topk_prob", "scoring_func"}


def test_shards_are_within_the_limit_but_for_single_larger_tensors(planned):
    index = json.loads((planned / "models/skt/A.X-K1/model.safetensors.index.json").read_text())
    config = json.loads((planned / "models/skt/A.X-K1/config.json").read_text())
    sizes = {name: 2 * prod(spec.shape) for name, spec in expected_tensors(config).items()}
    assert index["weight_map"].keys() == sizes.keys()
    assert index["metadata"]["total_size"] == 1_037_966_118_912
    held: dict[str, list[int]] = {}
    for name, shard in index["weight_map"].items():
        held.setdefault(shard, []).append(sizes[name])
    assert all(sum(tensors) <= 5_000_000_000 or len(tensors) == 1 for tensors in held.values())


def test_sizes_of_shards_are_those_of_files_that_are_really_written(made):
    """The plan's own code lays out the nano's shards, and the files are as large as it says."""
    folder = made.set / "models/local/A.X-K1-nano-FP8"
    config = json.loads((folder / "config.json").read_text())
    shards, _ = lay_out_shards(config, "per-expert", parse_size("5GB"))
    assert {shard.file_name: shard.file_size for shard in shards} == {
        path.name: path.stat().st_size for path in folder.glob("*.safetensors")
    }


def test_a_plan_passes_the_check_and_cannot_be_published(planned):
    assert check(planned, run=False).findings == []
    with pytest.raises(HubError, match=r"no release\.json"):
        read_release(planned)
    with pytest.raises(UsageError, match="it is a plan"):
        export_release(read_manifest(PLAN), planned.parent / "no")


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("name", ["A.X-K1", "A.X-K1-INT4"])
def test_the_cards_are_exactly_these(planned, language, name):
    page = {"en": "README.md", "ko": "README.ko.md"}[language]
    assert_golden(f"hub/plan_card_{name}.{language}.md", (planned / "models/skt" / name / page).read_text())


def test_what_is_reported_stands_apart_and_is_no_result_of_ours(planned):
    card = (planned / "models/skt/A.X-K1/README.md").read_text()
    assert "model-index" not in card
    assert not list(planned.rglob(".eval_results"))
    reported = card.split("## Reported by SK Telecom")[1].split("## Not published")[0]
    assert "results/plan.json" not in reported
    assert "results/reported.json" not in card.split("## Reported")[0].replace(
        '[260](results/reported.json "/published_shards")', ""
    )


def test_the_command_prints_it_and_writes_nothing_without_out(tmp_path, run_axk1_here):
    manifest = tmp_path / "one.toml"
    manifest.write_text(PLAN.read_text().split('[[variants]]\nname = "A.X-K1-FP8"')[0])
    (tmp_path / "facts.toml").write_text(PLAN.with_name("facts.toml").read_text())
    result = run_axk1_here("hub", "export", manifest, "--plan", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "skt/A.X-K1 (BF16): 976 tensors, 518,983,059,456 parameters" in result.stdout
    assert "missing  tokenizer.json" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"one.toml", "facts.toml"}
    result = run_axk1_here("hub", "export", PLAN, "--out", "out", cwd=tmp_path)
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)
    assert "--plan" in result.stderr
