"""The router by itself: groups first, excluded groups never, the bias moves the choice and not the weights."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.model.modeling_axk1 import AXK1TopkRouter
from modeling_axk1.model.reference import reference_route
from tests.conftest import tiny_config


def router(bias: list[float] | None = None, **changes) -> AXK1TopkRouter:
    """A router whose input is its logits: the identity as weight."""
    config = tiny_config(hidden_size=8, use_router_bias=bias is not None, **changes)
    module = AXK1TopkRouter(config)
    with torch.no_grad():
        module.weight.copy_(torch.eye(8))
        if bias is not None:
            module.e_score_correction_bias.copy_(torch.tensor(bias))
    return module


def route(module: AXK1TopkRouter, logits: list[float]) -> dict[int, float]:
    _, weights, experts = module(torch.tensor([logits]))
    return dict(zip(experts[0].tolist(), weights[0].tolist(), strict=True))


def test_experts_outside_the_best_groups_are_not_chosen_however_good():
    # Groups (0,1) (2,3) (4,5) (6,7), two of them permitted: expert 0 is the best of all, its group is not.
    chosen = route(router(), [4.0, -9.0, 3.0, 3.0, 2.9, 2.9, -9.0, -9.0])
    assert set(chosen) == {2, 3}


def test_with_negative_corrected_scores_excluded_groups_stay_excluded():
    # All corrected scores are below 0: filling excluded groups with 0 would choose precisely those.
    bias = [-2.0, -2.0, -2.1, -2.1, -3.0, -3.0, -3.1, -3.1]
    chosen = route(router(bias), [0.0] * 8)
    assert set(chosen) == {0, 1}


def test_the_bias_moves_the_choice_but_not_the_weights():
    logits = [1.0, 1.0, 0.5, 0.5, 0.0, 0.0, -1.0, -1.0]
    chosen = route(router([0.0] * 6 + [1.0, 1.0]), logits)
    assert set(chosen) == {6, 7}
    assert abs(chosen[6] - 2.5 / 2) < 1e-6  # two equal scores, normalised, times routed_scaling_factor


@given(
    logits=st.lists(st.floats(-4, 4), min_size=8, max_size=8, unique_by=lambda x: round(x, 3)),
    bias=st.none() | st.lists(st.floats(-3, 3), min_size=8, max_size=8, unique_by=lambda x: round(x, 3)),
    normalise=st.booleans(),
)
def test_any_logits_are_routed_as_the_reference_routes_them(logits, bias, normalise):
    module = router(bias, norm_topk_prob=normalise)
    got = route(module, logits)
    fp32 = torch.tensor(logits)  # what the router sees
    correction = None if bias is None else torch.tensor(bias)
    expected = {e: float(w) for e, w in reference_route(fp32, correction, module.config)}
    scores = fp32.sigmoid() + (0 if correction is None else correction)
    ranked = scores.sort().values
    if (ranked[1:] - ranked[:-1]).min() < 1e-6:
        return  # a tie may fall either way
    group_scores = scores.view(4, 2).sum(-1).sort().values
    if (group_scores[1:] - group_scores[:-1]).min() < 1e-6:
        return
    assert got.keys() == expected.keys()
    assert all(abs(got[e] - expected[e]) < 1e-5 for e in got)
