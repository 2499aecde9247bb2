"""The one training loop: AdamW, warm-up and cosine decay, clipped gradients, a state to resume from.

What is trained on what is decided by the `batches` and the `loss` given to it.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modeling_axk1.errors import TrainError, UsageError
from modeling_axk1.progress import progress_bar
from modeling_axk1.train.balancing import rebalance, violation
from modeling_axk1.train.state import load_state, save_state


@dataclass(frozen=True)
class Settings:
    """How to train.

    Args:
        steps: optimiser steps; the learning rate has decayed at the last one.
        minutes: stop earlier when so many minutes are over; the decay then follows the clock.
        learning_rate: its highest value, after warm-up.
        warmup_steps: steps in which it rises from 0.
        final_fraction: share of it that is left at the end.
        weight_decay: of matrices; norms and biases have none.
        clip: largest norm of the gradient.
        seed: of initial weights and batches.
        save_every: seconds between two saved states.

    """

    steps: int
    minutes: float | None = None
    learning_rate: float = 3e-3
    warmup_steps: int = 20
    final_fraction: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 0
    save_every: float = 30.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"steps must be at least 1, got {self.steps}")
        if self.minutes is not None and self.minutes <= 0:
            raise UsageError(f"minutes must be more than 0, got {self.minutes}")


@dataclass
class History:
    """What was measured on the way.

    Args:
        step: steps done.
        tokens: tokens trained on.
        seconds: time it took.
        losses: the loss of each step, in nats a token, with whatever parts the config gives it.
        violations: of each step, how far expert load is from even (balancing.violation); empty without experts.
        expert_load: of the last step, how many tokens each expert got, a list for each sparse layer.

    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    violations: list[float] = field(default_factory=list)
    expert_load: list[list[int]] = field(default_factory=list)

    @property
    def tokens_per_second(self) -> float:
        """Tokens a second over the whole run."""
        return self.tokens / self.seconds if self.seconds else 0.0


def train(
    model: nn.Module,
    batches: Callable[[int], Tensor],
    loss: Callable[[Any, Tensor], Tensor],
    settings: Settings,
    resume_from: Path,
    fingerprint: dict[str, Any],
) -> History:
    """Train `model` in place and return what was measured.

    A state is saved in the folder `resume_from` now and then; a run with the same `fingerprint` (what must be equal
    for the states to fit: data, tokenizer, config, settings) goes on from it. Whoever has stored the trained model
    removes that folder.

    Raises TrainError when the loss is no longer a finite number.
    """
    fingerprint = {**fingerprint, "settings": asdict(settings)}
    optimizer = _optimizer(model, settings)
    history = History(**load_state(resume_from, model, optimizer, fingerprint) or {})
    model.train()
    started, saved = time.monotonic() - history.seconds, time.monotonic()
    with progress_bar("training", total=1.0) as advance:
        shown = 0.0
        while (done := _progress(settings, history)) < 1.0:
            advance(done - shown)
            shown = done
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(settings, history.step, done)
            batch = batches(history.step)
            value = loss(model, batch)
            if not math.isfinite(value.item()):
                raise TrainError(f"the loss is {value.item()} at step {history.step}; try a lower --learning-rate")
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            optimizer.zero_grad()
            history.expert_load = rebalance(model)
            history.step += 1
            history.tokens += batch.numel()
            history.seconds = time.monotonic() - started
            history.losses.append(round(value.item(), 4))
            note = f"loss {value.item():.3f}  {history.tokens_per_second:,.0f} tokens/s"
            if history.expert_load:
                history.violations.append(round(violation(history.expert_load), 3))
                note += f"  expert load {history.violations[-1]:.0%} over even"
            advance(0, note=note)
            if time.monotonic() - saved > settings.save_every:
                save_state(resume_from, model, optimizer, fingerprint, asdict(history))
                saved = time.monotonic()
    model.eval()
    return history


def _optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95), fused=True)


def _progress(settings: Settings, history: History) -> float:
    """Return how much of the run is done, 0 to 1, by steps or by the clock, whichever is further."""
    by_clock = history.seconds / (60 * settings.minutes) if settings.minutes else 0.0
    return min(1.0, max(history.step / settings.steps, by_clock))


def _learning_rate(settings: Settings, step: int, done: float) -> float:
    warmup = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    decay = settings.final_fraction + (1 - settings.final_fraction) * 0.5 * (1 + math.cos(math.pi * done))
    return settings.learning_rate * warmup * decay
