"""Balancing: the bias moves against the load, in training only; the sequence loss is its formula; no double count."""

import subprocess
import sys

import pytest
import torch

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.model.modeling_axk1 import AXK1TopkRouter, sequence_balance_loss
from tests.conftest import tiny_config

PAD = 126


def model(**changes) -> AXK1ForCausalLM:
    torch.manual_seed(0)
    return AXK1ForCausalLM(tiny_config(initializer_range=0.2, **changes)).train()


def routers(module: AXK1ForCausalLM) -> list[AXK1TopkRouter]:
    return [part for part in module.modules() if isinstance(part, AXK1TopkRouter)]


def loads(module: AXK1ForCausalLM) -> list[list[int]]:
    return [router.tokens_per_expert.tolist() for router in routers(module)]


def tokens(batch: int = 2, length: int = 9) -> torch.Tensor:
    return torch.randint(0, 125, (batch, length), generator=torch.Generator().manual_seed(2))


# The bias


def test_experts_below_the_mean_load_gain_bias_those_above_lose_it_and_counting_begins_anew():
    router = AXK1TopkRouter(tiny_config(use_router_bias=True, router_bias_update_rate=0.25))
    router.tokens_per_expert += torch.tensor([8, 0, 4, 4, 5, 3, 4, 4])
    assert router.rebalance().tolist() == [8, 0, 4, 4, 5, 3, 4, 4]
    assert router.e_score_correction_bias.tolist() == [-0.25, 0.25, 0, 0, -0.25, 0.25, 0, 0]
    assert router.rebalance().sum() == 0
    assert router.e_score_correction_bias.tolist() == [-0.25, 0.25, 0, 0, -0.25, 0.25, 0, 0]


@pytest.mark.parametrize("changes", [{}, {"use_router_bias": True}])
def test_without_a_rate_the_load_is_measured_and_nothing_moves(changes):
    module = model(**changes)
    module(tokens(), labels=tokens())
    for router in routers(module):
        assert router.rebalance().sum() == tokens().numel() * module.config.num_experts_per_tok
        assert router.e_score_correction_bias is None or not router.e_score_correction_bias.any()


def test_a_rate_without_a_bias_is_refused():
    with pytest.raises(ValueError, match=r"router_bias_update_rate needs use_router_bias, got 0.1 without it"):
        tiny_config(router_bias_update_rate=0.1)
    with pytest.raises(ValueError, match="router_bias_update_rate must be at least 0, got -1"):
        tiny_config(use_router_bias=True, router_bias_update_rate=-1)


def test_many_steps_make_an_uneven_load_even():
    module = model(use_router_bias=True, router_bias_update_rate=0.02)
    batch = tokens(8, 32)
    violations = []
    for _ in range(60):
        module(batch, labels=batch)
        load = torch.stack([router.rebalance() for router in routers(module)]).double()
        violations.append((load.amax(1) / load.mean(1) - 1).mean().item())
    assert violations[0] > 0.3
    assert violations[-1] < violations[0] / 2


# The count


def test_each_router_counts_the_experts_of_its_tokens_that_of_multi_token_prediction_too():
    module = model(num_nextn_predict_layers=1)
    seen = []
    for router in routers(module):
        router.register_forward_hook(lambda *call: seen.append(call[2][2].flatten().bincount(minlength=8).tolist()))
    module(tokens(), labels=tokens())
    assert loads(module) == seen
    assert [sum(load) for load in loads(module)] == [2 * 9 * 2, 2 * 9 * 2, 2 * 8 * 2]


def test_batches_add_up_until_the_step():
    module = model()
    module(tokens(), labels=tokens())
    once = loads(module)
    module(tokens(), labels=tokens())
    assert loads(module) == [[2 * count for count in load] for load in once]


def test_padding_is_no_load():
    module = model(num_nextn_predict_layers=1)
    module(tokens(1, 6), labels=tokens(1, 6))
    alone = loads(module)
    for side in ((0, 3), (3, 0)):
        padded = model(num_nextn_predict_layers=1)
        pad = torch.nn.functional.pad
        mask = pad(torch.ones(1, 6, dtype=torch.long), side)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        ids = pad(tokens(1, 6), side, value=PAD)
        padded(ids, attention_mask=mask, position_ids=positions, labels=ids.masked_fill(mask == 0, -100))
        assert loads(padded) == alone


def test_evaluation_and_generation_count_nothing():
    module = model(num_nextn_predict_layers=1).eval()
    module(tokens(), labels=tokens())
    module.generate(tokens(), use_mtp=True, max_new_tokens=4, do_sample=False)
    assert not any(sum(load) for load in loads(module))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_runs_layers_twice_and_counts_once(use_reentrant):
    plain, checkpointed = model(num_nextn_predict_layers=1), model(num_nextn_predict_layers=1)
    checkpointed.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    for module in (plain, checkpointed):
        module(tokens(), labels=tokens()).loss.backward()
    assert loads(checkpointed) == loads(plain)


def test_the_count_is_exact_in_half_precision_and_no_part_of_a_checkpoint():
    module = model().to(torch.bfloat16)
    module(tokens(8, 70), labels=tokens(8, 70))
    assert [sum(load) for load in loads(module)] == [8 * 70 * 2] * 2
    assert not any("tokens_per_expert" in name for name in module.state_dict())


def test_processes_move_their_biases_alike_by_the_load_of_all(tmp_path):
    program = """
import sys, torch
import torch.distributed as dist
from modeling_axk1.model.modeling_axk1 import AXK1TopkRouter
from tests.conftest import tiny_config
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
router = AXK1TopkRouter(tiny_config(use_router_bias=True, router_bias_update_rate=1.0))
router.tokens_per_expert[rank] = 6 + rank
print(router.rebalance().tolist(), router.e_score_correction_bias.tolist())
"""
    start = [[sys.executable, "-c", program, str(rank), str(tmp_path / "meet")] for rank in (0, 1)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in start]
    said = [process.communicate()[0].strip() for process in both]
    assert said == ["[6, 7, 0, 0, 0, 0, 0, 0] [-1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]"] * 2


# Files


def test_the_bias_is_saved_and_loaded_and_zero_where_a_checkpoint_has_none(tmp_path):
    module = model(use_router_bias=True)
    for router in routers(module):
        router.e_score_correction_bias.normal_()
    module.save_pretrained(tmp_path / "with")
    loaded = AXK1ForCausalLM.from_pretrained(tmp_path / "with", dtype=torch.bfloat16)
    for ours, theirs in zip(routers(loaded), routers(module), strict=True):
        assert torch.equal(ours.e_score_correction_bias, theirs.e_score_correction_bias)  # float32 beside bfloat16
        assert ours.tokens_per_expert.tolist() == [0] * 8
    model().save_pretrained(tmp_path / "without")
    loaded = AXK1ForCausalLM.from_pretrained(tmp_path / "without", use_router_bias=True)
    assert not any(router.e_score_correction_bias.any() for router in routers(loaded))


# The sequence-level loss


def loss_in_plain_loops(logits: torch.Tensor, experts: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """DeepSeek-V3, equations 17 to 20, one sequence, one expert, one token at a time."""
    (B, T), E, K = real.shape, logits.shape[1], experts.shape[1]
    losses = []
    for b in range(B):
        positions = [b * T + t for t in range(T) if real[b, t]]
        loss = logits.new_zeros(())
        for e in range(E):
            f = sum(e in experts[x].tolist() for x in positions) * E / (K * len(positions))
            P = sum(logits[x].sigmoid()[e] / logits[x].sigmoid().sum() for x in positions) / len(positions)
            loss = loss + f * P
        losses.append(loss)
    return sum(losses) / B


def test_the_sequence_loss_and_its_gradient_equal_plain_loops():
    logits = torch.randn(3 * 7, 8, dtype=torch.double, generator=torch.Generator().manual_seed(0)).requires_grad_()
    experts, real = logits.detach().topk(2).indices, torch.ones(3, 7, dtype=torch.bool)
    real[0, 4:], real[2, :3] = False, False
    got, expected = sequence_balance_loss(logits, experts, real), loss_in_plain_loops(logits, experts, real)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (got, expected)))


def test_the_sequence_loss_of_an_even_load_is_1():
    experts = torch.arange(8).view(4, 2).repeat(3, 1)
    assert sequence_balance_loss(torch.zeros(12, 8), experts, torch.ones(3, 4, dtype=torch.bool)) == 1


def test_the_weighted_sequence_losses_of_all_layers_are_part_of_a_training_loss():
    module, plain = model(sequence_balance_weight=0.5), model()
    out, without = module(tokens(), labels=tokens()), plain(tokens(), labels=tokens())
    real = torch.ones(2, 9, dtype=torch.bool)
    recorded = module.model(tokens(), output_router_logits=True, output_router_experts=True).routings(real)
    torch.testing.assert_close(out.aux_loss, sum(sequence_balance_loss(*routing) for routing in recorded))
    torch.testing.assert_close(out.loss, without.loss + 0.5 * out.aux_loss)
    module.eval(), plain.eval()
    assert torch.equal(module(tokens(), labels=tokens()).loss, plain(tokens(), labels=tokens()).loss)
