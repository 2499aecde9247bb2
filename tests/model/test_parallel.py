"""A model divided between two processes is the model of one: logits, tokens, gradients, files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers.distributed import DistributedConfig

from modeling_axk1 import AXK1ForCausalLM
from tests.conftest import tiny_config
from tests.model.parallel_process import TOKENS, observe
from tests.model.test_loading import LAYOUTS, write

TOLERANCE = {"rtol": 0, "atol": 1e-5}
DIVISIONS = {
    "heads and expert widths": {"tp_size": 2},
    "heads and experts": {"tp_size": 2, "ep_size": 2},
    "data": {"fsdp_size": 2},
    "data and experts": {"fsdp_size": 2, "ep_size": 2},
}


def config():
    """With everything that a model may have, and that could be divided wrongly."""
    return tiny_config(
        initializer_range=0.2,
        num_nextn_predict_layers=1,
        attention_bias=True,
        use_router_bias=True,
        router_bias_update_rate=0.01,
        sequence_balance_weight=0.01,
    )


@pytest.fixture(scope="module")
def model() -> AXK1ForCausalLM:
    torch.manual_seed(0)
    model = AXK1ForCausalLM(config()).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if "norm" in name or "bias" in name:
                tensor.add_(0.3 * torch.randn_like(tensor))
    return model


@pytest.fixture(scope="module")
def checkpoints(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for layout in LAYOUTS:
        write(folder / layout, model, layout)
    return folder


@pytest.fixture(scope="module")
def alone(checkpoints) -> dict:
    """What one process sees."""
    return observe(AXK1ForCausalLM.from_pretrained(checkpoints / "fused"))


@pytest.fixture(scope="module")
def two_processes(checkpoints) -> Path:
    """The folder where two processes have left, for each division, what they saw and what they saved."""
    command = [sys.executable, "-m", "tests.model.parallel_process"]
    logs = [checkpoints / f"{rank}.log" for rank in (0, 1)]
    both = [
        subprocess.Popen(
            [*command, str(rank), str(checkpoints), json.dumps(DIVISIONS)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=log.open("w"),
        )
        for rank, log in enumerate(logs)
    ]
    try:
        ends = [process.wait(timeout=300) for process in both]
    finally:
        for process in both:
            process.kill()
    assert ends == [0, 0], "\n".join(log.read_text(errors="replace") for log in logs)
    return checkpoints


@pytest.fixture(params=DIVISIONS)
def divided(request, two_processes) -> tuple[str, Path, list[dict]]:
    """The division's name, its folder, and what each of two processes saw."""
    folder = two_processes / request.param
    return request.param, folder, [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def test_a_prompt_has_the_logits_of_one_process_in_every_way_of_attention(divided, alone):
    for seen in divided[2]:
        torch.testing.assert_close(seen["prompt"], alone["prompt"], **TOLERANCE)


def test_tokens_onto_a_cache_have_the_logits_of_one_process(divided, alone):
    for seen in divided[2]:
        torch.testing.assert_close(seen["continued"], alone["continued"], **TOLERANCE)


def test_generation_gives_the_tokens_of_one_process_with_drafts_too(divided, alone):
    for seen in divided[2]:
        assert torch.equal(seen["greedy"], alone["greedy"])
        assert torch.equal(seen["drafted"], alone["greedy"])


def test_gradients_and_balancing_are_those_of_one_process(divided, alone):
    for seen in divided[2]:
        torch.testing.assert_close(seen["gradients"], alone["gradients"], **TOLERANCE)
        assert all(torch.equal(*pair) for pair in zip(seen["biases"], alone["biases"], strict=True))


def test_what_two_processes_save_is_the_checkpoint_they_loaded(divided, model):
    saved = AXK1ForCausalLM.from_pretrained(divided[1] / "saved")
    assert saved.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, saved.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(saved(TOKENS).logits, model(TOKENS).logits)


def test_every_layout_of_experts_loads_divided(divided):
    assert all(seen["layouts agree"] for seen in divided[2])


def test_decoding_goes_over_the_latents_of_all_tokens_and_the_heads_of_one_process(divided):
    division, _, both = divided
    heads = 2 if division.startswith("heads") else 4
    for seen in both:
        assert seen["decoding"] == {"heads over latents": [heads] * 3, "cached": (2, 1, 14, 16)}


def test_a_process_holds_its_share(divided, model):
    """Under tensor parallelism everything of a head but what comes before heads; of experts their width or number."""
    division, _, both = divided
    shares = [set(seen["shapes"].items()) for seen in both]
    if division.startswith("data"):
        total = sum(torch.Size(shape).numel() for share in shares for _, shape in share)
        assert total == sum(p.numel() for p in model.parameters())
        return
    experts = {"gate_up_proj": (8, 24, 64), "down_proj": (8, 64, 12)}
    if division == "heads and experts":
        experts = {"gate_up_proj": (4, 48, 64), "down_proj": (4, 64, 24)}
    attention = {"q_a": (32, 64), "q_b": (48, 32), "kv_b": (64, 16), "o": (64, 32)}
    for layer in (1, 3):  # a sparse layer, and that for multi-token prediction
        expected = {(f"model.layers.{layer}.mlp.experts.{name}", shape) for name, shape in experts.items()}
        expected |= {(f"model.layers.{layer}.self_attn.{n}_proj.weight", shape) for n, shape in attention.items()}
        assert all(expected <= share for share in shares)


@pytest.mark.parametrize(
    ("division", "rule"),
    [
        ({"tp_size": 3}, "num_attention_heads 4 is not divisible by tp_size 3"),
        ({"pp_size": 2}, "pp_size must be 1, got 2: there is no pipeline of layers"),
    ],
)
def test_a_division_that_would_not_be_the_same_model_is_refused(division, rule):
    divided_config = config()
    divided_config.distributed_config = DistributedConfig(**division)
    with pytest.raises(ValueError, match=rule):
        AXK1ForCausalLM(divided_config)
