"""Which experts a text visits: counted exactly, kept in a file that others can trust, and held in memory."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.errors import UsageError
from modeling_axk1.stream.profile import Profile, count_visits, model_digest, read_profile, read_texts
from tests.conftest import tiny_config
from tests.speaking import speaking_model

counts = st.dictionaries(st.integers(0, 60), st.dictionaries(st.integers(0, 191), st.integers(1, 10**9)))
profiles = st.builds(Profile, st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 10**9), counts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return speaking_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def written(tmp_path) -> Path:
    Profile.of(tiny_config(), {1: {0: 3}}, 3).write(tmp_path / "profile.json")
    return tmp_path / "profile.json"


def changed(path: Path, **values: object) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return path


def test_every_visit_is_counted_once(folder):
    ids = torch.randint(0, 16_000, (100,), generator=torch.Generator().manual_seed(1)).tolist()
    streamed = AXK1ForCausalLM.from_pretrained(folder, expert_memory="100KB", streaming={"guess": False})
    config = streamed.config
    visits = count_visits(streamed, ids, length=64)
    assert visits.keys() == {1, 2}
    assert {sum(of_layer.values()) for of_layer in visits.values()} == {100 * config.num_experts_per_tok}

    loaded = AXK1ForCausalLM.from_pretrained(folder)
    expected: dict[int, dict[int, int]] = {1: {}, 2: {}}
    for part in (ids[:64], ids[64:]):
        with torch.no_grad():
            chosen = loaded.model(torch.tensor([part]), output_router_experts=True).router_experts
        for of_layer, experts in zip(expected.values(), chosen, strict=True):
            for expert in experts.flatten().tolist():
                of_layer[expert] = of_layer.get(expert, 0) + 1
    assert visits == expected


@given(profiles)
def test_what_is_written_is_read_again(tmp_path_factory, profile):
    path = tmp_path_factory.getbasetemp() / "again.json"
    profile.write(path)
    assert read_profile(path) == profile


@given(profiles)
def test_the_most_visited_come_first_and_all_of_them(profile):
    hot = profile.hot()
    visits = [profile.visits[layer][expert] for layer, expert in hot]
    assert visits == sorted(visits, reverse=True)
    assert len(set(hot)) == len(hot) == sum(map(len, profile.visits.values()))


@given(profiles)
def test_the_hottest_take_at_least_their_share_and_all_take_all(profile):
    experts = max(1, sum(map(len, profile.visits.values())))
    shares = profile.concentration(experts, (0.1, 0.5, 1.0))
    assert list(shares.values()) == sorted(shares.values())
    if profile.hot():
        assert shares[1.0] == 1
        assert shares[0.5] >= round(0.5 * experts) / experts - 1e-9


def test_one_profile_serves_every_form_of_a_model_and_no_other_model():
    config = tiny_config()
    profile = Profile.of(config, {1: {0: 3}}, 3)
    stored_otherwise = tiny_config(dtype="bfloat16", quantization_config={"quant_method": "fp8"})
    assert profile.for_model(stored_otherwise) is profile
    with pytest.raises(UsageError, match="a profile must belong to the model"):
        profile.for_model(tiny_config(num_hidden_layers=4))
    assert len(model_digest(config)) == 64


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"kind": "something else"}, "is no profile"),
        ({"version": 2}, "version must be 1, got 2"),
        ({"extra": 1}, "must hold kind, layers, model, tokens, version"),
        ({"model": 7}, "model must be a digest"),
        ({"layers": [1]}, "layers must be objects"),
        ({"layers": {"1": [2]}}, "whole numbers"),
        ({"layers": {"1": {"0": -1}}}, "whole numbers from 0 on: got -1"),
        ({"layers": {"1": {"0": 1.5}}}, "got 1.5"),
        ({"layers": {"01": {"0": 1}}}, "got '01'"),
        ({"layers": {"1": {"²": 1}}}, "got '²'"),
        ({"tokens": True}, "got True"),
    ],
)
def test_a_file_that_is_no_profile_says_why(written, values, rule):
    with pytest.raises(UsageError, match=rule):
        read_profile(changed(written, **values))


@pytest.mark.parametrize("content", ["", "[]", "null", "[" * 100_000])
def test_what_is_no_object_is_no_profile(tmp_path, content):
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(UsageError, match="is no profile"):
        read_profile(tmp_path / "p.json")


def test_texts_are_files_and_lines_of_jsonl(tmp_path):
    (tmp_path / "one.txt").write_text("하나\n둘\n")
    (tmp_path / "two.jsonl").write_text('{"text": "a"}\n{"text": "b", "id": 1}\n')
    assert read_texts([tmp_path / "one.txt", tmp_path / "two.jsonl"]) == ["하나\n둘\n", "a", "b"]
    for line in ('{"text": 1}', "[]", "{", '"text"'):
        (tmp_path / "two.jsonl").write_text(f'{{"text": "a"}}\n{line}\n')
        with pytest.raises(UsageError, match="line 2"):
            read_texts([tmp_path / "two.jsonl"])
    (tmp_path / "one.txt").write_bytes(b"ab\xff")
    with pytest.raises(UsageError, match="UTF-8, got other bytes at 2"):
        read_texts([tmp_path / "one.txt"])


def test_the_command_writes_what_generate_reads_and_the_hottest_stay(run_axk1_here, folder, tmp_path):
    (tmp_path / "text.txt").write_text("The hottest experts of this text are held in memory.")
    asked = ["weights", "profile", folder, "text.txt", "--to", "profile.json", "--memory", "3GiB"]
    dry = run_axk1_here(*asked, "--dry-run", cwd=tmp_path)
    assert (dry.returncode, dry.stderr) == (0, "")
    assert "of 16 experts" in dry.stdout
    assert "nothing written" in dry.stdout
    assert not (tmp_path / "profile.json").exists()
    assert "-> profile.json" in run_axk1_here(*asked, cwd=tmp_path).stdout

    profile = read_profile(tmp_path / "profile.json")
    shown = json.loads(run_axk1_here(*asked, "--json", cwd=tmp_path).stdout)
    assert (shown["tokens"], shown["experts"]) == (profile.tokens, 16)
    assert 0.5 <= shown["concentration"]["0.5"] <= 1
    assert str(tmp_path) not in (tmp_path / "profile.json").read_text()

    answer = ["generate", folder, "The hottest", "--expert-memory", "200KB", "--max-new-tokens", "3", "--greedy"]
    plain = run_axk1_here(*answer, cwd=tmp_path)
    held = run_axk1_here(*answer, "--profile", "profile.json", cwd=tmp_path)
    assert (held.returncode, held.stdout) == (0, plain.stdout)


def test_a_profile_of_another_model_is_refused_in_one_line(run_axk1_here, folder, written):
    result = run_axk1_here("generate", folder, "x", "--memory", "3GiB", "--profile", written.name, cwd=written.parent)
    assert result.returncode == 2
    assert result.stderr.startswith("axk1: error: a profile must belong to the model")
    assert len(result.stderr.splitlines()) == 1
