"""The routed experts: one plain loop as the oracle, through every product, for values and gradients."""

import pytest
import torch
from torch import Tensor, nn

from modeling_axk1 import AXK1Config, AXK1ForCausalLM
from modeling_axk1.model import modeling_axk1
from modeling_axk1.model.modeling_axk1 import AXK1Experts, Collect, GroupedLinear, Spread
from tests.conftest import tiny_config

# From 1 MiB a matrix the products are chosen for reading it once (in truth from 16 MiB).
LARGE = {"D": 512, "F": 512}
PARAMETERS = ("gate_up_proj", "down_proj")


@pytest.fixture(autouse=True)
def matrices_of_one_mib_count_as_large(monkeypatch):
    monkeypatch.setattr(modeling_axk1, "_STREAMED_BYTES", 2**20)


def experts_of(E: int = 6, D: int = 32, F: int = 16, K: int = 2, dtype: torch.dtype = torch.float32) -> AXK1Experts:
    config = AXK1Config(
        hidden_size=D,
        moe_intermediate_size=F,
        n_routed_experts=E,
        num_experts_per_tok=K,
        n_group=1,
        topk_group=1,
        experts_implementation="eager",
    )
    torch.manual_seed(0)
    experts = AXK1Experts(config).to(dtype)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.normal_(std=parameter.shape[-1] ** -0.5)
    return experts


def batch(experts: AXK1Experts, X: int, K: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(X)
    dtype = experts.gate_up_proj.dtype
    hidden = torch.randn(X, experts.gate_up_proj.shape[-1], generator=generator).to(dtype)
    weights, index = torch.rand(X, experts.num_experts, generator=generator).topk(K, dim=-1)
    return hidden.requires_grad_(), index, weights.requires_grad_()


def plain_loop(experts: AXK1Experts, hidden: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Each token and each of its experts by itself."""
    rows, gate_ups, downs = [], experts.gate_up_proj.unbind(), experts.down_proj.unbind()
    for x, chosen, weight in zip(hidden, index.tolist(), weights, strict=True):
        row = torch.zeros_like(x)
        for expert, w in zip(chosen, weight, strict=True):
            if expert < experts.num_experts:
                gate, up = (gate_ups[expert] @ x).chunk(2)
                row = row + w * (downs[expert] @ (nn.functional.silu(gate) * up))
        rows.append(row)
    return torch.stack(rows)


def assert_like_the_loop(experts: AXK1Experts, inputs: tuple[Tensor, Tensor, Tensor], **tolerance) -> None:
    """Values, and the gradients of everything that has one."""
    leaves = [inputs[0], inputs[2], *experts.parameters()]
    out, expected = experts(*inputs), plain_loop(experts, *inputs)
    torch.testing.assert_close(out, expected.to(out.dtype), **tolerance)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(9)).to(out.dtype)
    got = torch.autograd.grad(out, leaves, direction)
    wanted = torch.autograd.grad(expected, leaves, direction.to(expected.dtype))
    for gradient, reference in zip(got, wanted, strict=True):
        torch.testing.assert_close(gradient, reference, **tolerance)


# Rows an expert, with 3 experts and 2 of them a token: 1, about 6 (small blocks), 27 and 80 (sixteens), 200 (plain).
@pytest.mark.parametrize("X", [1, 9, 40, 120, 300])
@pytest.mark.parametrize("sizes", [LARGE, {"D": 20, "F": 6}, {"D": 521, "F": 510}], ids=["large", "small", "odd"])
def test_values_and_gradients_equal_the_plain_loop(X, sizes):
    experts = experts_of(E=3, **sizes)
    assert_like_the_loop(experts, batch(experts, X), rtol=1e-4, atol=1e-4)


def test_float64_equals_the_plain_loop_closely():
    experts = experts_of(dtype=torch.float64)
    assert_like_the_loop(experts, batch(experts, 30), rtol=1e-6, atol=1e-6)  # the weights are float32


@pytest.mark.parametrize("X", [3, 60])
def test_bfloat16_stays_near_the_plain_loop(X):
    experts = experts_of(E=3, D=1024, F=512, dtype=torch.bfloat16)
    inputs = batch(experts, X)
    torch.testing.assert_close(experts(*inputs).float(), plain_loop(experts, *inputs).float(), rtol=0.05, atol=0.05)


def test_all_tokens_on_the_last_expert():
    """Its rows end the sorted ones: what fills up the sixteen must come from before them, or there is not enough."""
    experts = experts_of(**LARGE)
    for X in (9, 17, 33):
        hidden, _, weights = batch(experts, X, K=1)
        index = torch.full((X, 1), experts.num_experts - 1)
        assert_like_the_loop(experts, (hidden, index, weights), rtol=1e-4, atol=1e-4)


def test_tokens_of_another_rank_add_nothing_and_get_no_gradient():
    experts = experts_of(**LARGE)
    hidden, index, weights = batch(experts, 20)
    index = index.masked_fill(index == 1, experts.num_experts)
    assert_like_the_loop(experts, (hidden, index, weights), rtol=1e-4, atol=1e-4)
    nowhere = torch.full_like(index, experts.num_experts)
    assert torch.equal(experts(hidden, nowhere, weights), torch.zeros_like(hidden))


def test_no_tokens_give_no_rows():
    experts = experts_of()
    hidden, index, weights = batch(experts, 5)
    assert experts(hidden[:0], index[:0], weights[:0]).shape == (0, 32)


def test_experts_that_are_not_hit_get_zero_gradients_and_frozen_ones_none():
    experts = experts_of()
    hidden, index, weights = batch(experts, 20)
    experts(hidden, index.clamp(max=2), weights).sum().backward()
    assert not experts.gate_up_proj.grad[3:].any()
    assert not experts.down_proj.grad[3:].any()
    frozen = experts_of().requires_grad_(False)
    frozen(hidden, index, weights).sum().backward()
    assert [p.grad for p in frozen.parameters()] == [None, None]


def test_the_gradients_of_the_parts_are_right_to_double_precision():
    groups = [(0, 0, 2), (2, 2, 5)]
    x = torch.randn(6, 4, dtype=torch.double, requires_grad=True)
    weight = torch.randn(3, 5, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: GroupedLinear.apply(x, w, groups), (x, weight))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    places = torch.empty_like(order).scatter_(0, order, torch.arange(6)).view(3, 2)
    tokens = torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: Spread.apply(x, order // 2, places), tokens)
    assert torch.autograd.gradcheck(lambda x: Collect.apply(x, order // 2, places), x)


def test_low_rank_changes_equal_changed_weights():
    experts, changed = experts_of(), experts_of()
    inputs = batch(experts, 30)
    for name in PARAMETERS:
        E, N, K = getattr(experts, name).shape
        up, down = torch.randn(E, N, 3) * 0.2, torch.randn(E, 3, K) * 0.2
        experts.low_rank[name] = [(up, down, 0.5)]
        with torch.no_grad():
            getattr(changed, name).add_(0.5 * up @ down)
    torch.testing.assert_close(experts(*inputs), changed(*inputs), rtol=1e-4, atol=1e-4)


@torch.no_grad()  # the oldest transformers' own grouped_mm cannot be compiled backward
def test_compiling_takes_the_implementation_that_a_whole_graph_can_hold():
    experts = experts_of()
    inputs = batch(experts, 12)
    compiled = torch.compile(experts, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), plain_loop(experts, *inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("accelerator", "default"), [(False, "eager"), (True, "grouped_mm")])
def test_our_own_experts_are_the_default_only_where_there_is_no_accelerator(monkeypatch, accelerator, default):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator)
    assert AXK1ForCausalLM(tiny_config()).config._experts_implementation == default
    asked = AXK1ForCausalLM(tiny_config(experts_implementation="batched_mm"))
    assert asked.config._experts_implementation == "batched_mm"
