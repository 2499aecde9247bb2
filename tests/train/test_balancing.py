"""Balancing in the loop: load and violation in the record and the checkpoint, the bias in the state to resume from."""

import json
from pathlib import Path

import pytest
import torch

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.model.presets import PRESETS
from modeling_axk1.train.balancing import rebalance, violation
from modeling_axk1.train.checkpoint import cast, write_model
from modeling_axk1.train.loop import Settings, train
from modeling_axk1.train.losses import next_token_loss
from modeling_axk1.train.pretrain import plan, pretrain
from modeling_axk1.train.state import load_state, save_state
from modeling_axk1.weights.verify import verify
from tests.conftest import tiny_config

EVERYTHING = {"use_router_bias": True, "router_bias_update_rate": 0.01, "num_nextn_predict_layers": 1}


def model(seed: int = 0) -> AXK1ForCausalLM:
    torch.manual_seed(seed)
    return AXK1ForCausalLM(tiny_config(**EVERYTHING))


def batch(step: int) -> torch.Tensor:
    return torch.randint(0, 125, (2, 16), generator=torch.Generator().manual_seed(step))


def test_violation_is_how_much_the_busiest_expert_gets_over_the_mean_averaged_over_layers():
    assert violation([[30, 10, 10, 10]]) == 1.0
    assert violation([[30, 10, 10, 10], [5, 5, 5, 5]]) == 0.5


def test_the_loop_records_load_and_violation_and_moves_the_bias_once_a_step(tmp_path):
    trained = model()
    history = train(trained, batch, next_token_loss, Settings(steps=3), tmp_path / "state", {})
    assert len(history.violations) == len(history.losses) == 3
    assert [sum(load) for load in history.expert_load] == [2 * 16 * 2, 2 * 16 * 2, 2 * 15 * 2]
    biases = [tensor for name, tensor in trained.state_dict().items() if "e_score" in name]
    assert len(biases) == 3
    for bias in biases:
        assert bias.any()
        assert set((bias / 0.01).round().abs().tolist()) <= {0, 1, 2, 3}


def test_a_model_without_experts_has_no_load():
    assert rebalance(torch.nn.Linear(2, 2)) == []


def test_an_interrupted_run_goes_on_with_its_bias(tmp_path):
    before, after = model(), model(seed=1)
    optimizers = [torch.optim.AdamW(module.parameters(), lr=1e-3) for module in (before, after)]
    next_token_loss(before.train(), batch(0)).backward()
    for parameter in before.parameters():  # the unused norm of the dense layer has no gradient
        parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    optimizers[0].step()
    rebalance(before)
    save_state(tmp_path / "state", before, optimizers[0], {}, {"step": 1})
    assert load_state(tmp_path / "state", after, optimizers[1], {}) == {"step": 1}
    assert all(torch.equal(tensor, after.state_dict()[name]) for name, tensor in before.state_dict().items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_checkpoint_holds_the_module_and_the_exact_bias(tmp_path, dtype):
    trained = model()
    with torch.no_grad():
        for name, tensor in trained.state_dict().items():
            if "e_score" in name:
                tensor.normal_()
    expected = {name: tensor.clone() for name, tensor in trained.state_dict().items() if "e_score" in name}
    write_model(cast(trained, dtype), tmp_path, dtype, max_shard_bytes=300_000)
    assert verify(tmp_path).problems == []
    loaded = AXK1ForCausalLM.from_pretrained(tmp_path, dtype="auto").state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())
    assert torch.equal(loaded["model.layers.3.eh_proj.weight"], trained.state_dict()["model.layers.3.eh_proj.weight"])


def test_a_missing_tensor_of_the_module_is_named(tmp_path):
    write_model(model(), tmp_path, "float32", max_shard_bytes=300_000)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["num_nextn_predict_layers"] == 1
    without = AXK1ForCausalLM(tiny_config(use_router_bias=True))
    write_model(without, tmp_path / "without", "float32", max_shard_bytes=300_000)
    (tmp_path / "without" / "config.json").write_text(json.dumps(config))
    problems = verify(tmp_path / "without").problems
    assert "model.layers.3.eh_proj.weight is missing" in problems
    assert "model.layers.3.self_attn.o_proj.weight is missing" in problems


def test_train_json_tells_load_and_violation(dataset: Path, tokenizer: Path, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", {**PRESETS["tiny"], **EVERYTHING})
    pretrain(plan(dataset, tokenizer, Settings(steps=4), "tiny", 4, 32), tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "train.json").read_text())
    assert len(facts["violations"]) == 4
    assert [len(load) for load in facts["expert_load"]] == [8, 8, 8]
