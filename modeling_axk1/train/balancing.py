"""Expert load: measured at every optimiser step, and moved towards even where the config says so."""

from statistics import fmean

from torch import nn

from modeling_axk1.model.modeling_axk1 import AXK1TopkRouter


def rebalance(model: nn.Module) -> list[list[int]]:
    """Let every router of the model move its bias one step; call once after each optimiser step.

    Returns the tokens that each expert got since the last call, a list for each sparse layer, that of multi-token
    prediction last. The routers' own `rebalance` says by which rule; with a rate of 0 this only measures.
    """
    return [module.rebalance().tolist() for module in model.modules() if isinstance(module, AXK1TopkRouter)]


def violation(expert_load: list[list[int]]) -> float:
    """Return how much more than the mean the busiest expert of a layer gets, averaged over layers; 0 is even.

    "MaxVio" of arXiv 2408.15664. Example: loads of 30, 10, 10, 10 give 30 / 15 - 1 = 1.0.
    """
    return fmean(max(load) / max(fmean(load), 1) - 1 for load in expert_load)
