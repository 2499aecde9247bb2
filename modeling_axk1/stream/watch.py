"""What a model is at while it answers: which layer, how fast it reads, how long the rest will take.

Somebody else may look at any time, from another thread: `Watch.look` only reads numbers that the model's own thread
and its reading threads write.
"""

import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Seconds over which a speed of reading is taken.
_WINDOW = 5.0
# As `_PREFILL_CHUNK` of modeling_axk1.py: a prompt's tokens that pass a layer together.
_PIECE = 1024


class Stopped(Exception):
    """Nothing went wrong: the answer was stopped where the model's state can be mended, between two layers."""


@dataclass(frozen=True)
class Sums:
    """What was read and found so far, of experts and of the rest together where that makes sense."""

    hits: int = 0
    misses: int = 0
    guessed: int = 0
    guessed_right: int = 0
    bytes_read: int = 0
    seconds_waited: float = 0.0

    @classmethod
    def of(cls, model: Any) -> "Sums":
        """Return the counts of a streamed model; zeros of one that is in memory. Hits and guesses are of experts."""
        if model.streamed is None:
            return cls()
        experts, rest = model.streamed.experts.counts, getattr(model.streamed.rest, "counts", None)
        return cls(
            experts.hits,
            experts.misses,
            experts.guessed,
            experts.guessed_right,
            experts.bytes_read + (rest.bytes_read if rest else 0),
            experts.seconds_waited + (rest.seconds_waited if rest else 0.0),
        )

    def since(self, before: "Sums") -> "Sums":
        """Return what came after `before`."""
        return Sums(*(getattr(self, name) - getattr(before, name) for name in self.__dataclass_fields__))

    @property
    def hit_rate(self) -> float | None:
        """Of the visits to experts, those that found them in memory; None before the first."""
        visits = self.hits + self.misses
        return self.hits / visits if visits else None


@dataclass(frozen=True)
class Sight:
    """One look.

    Attributes:
        layer: the layer that computes, from 1; 0 before the first.
        layers: how many there are.
        prompt: how much of the prompt has passed, from 0 to 1.
        tokens: how many were generated.
        speed: bytes a second, over the last few seconds.
        sums: what was read since the answer began.
        held: bytes of weights in slots; `room` those that there may be.
        tokens_per_second: of the generated ones after the first; None before the second.
        left: seconds until the prompt has passed, or until the most tokens that were asked for; None: not known yet.

    """

    layer: int
    layers: int
    prompt: float
    tokens: int
    speed: float
    sums: Sums
    held: int
    room: int
    tokens_per_second: float | None
    left: float | None


class Watch:
    """Sees the layers pass and the tokens come; within the block, `stop.set()` ends the answer at the next layer.

    Example:
        with Watch(model, prompt_tokens=12, max_new_tokens=100) as watch:
            model.generate(...)  # with a streamer that calls watch.token()

    """

    def __init__(self, model: Any, prompt_tokens: int, max_new_tokens: int) -> None:
        self.model, self.max_new_tokens = model, max_new_tokens
        self.stop = threading.Event()
        self._layers = list(model.base_model.layers[: model.config.num_hidden_layers])
        self._prompt_steps = len(self._layers) * -(-prompt_tokens // _PIECE)
        self._steps = self._layer = self.tokens = 0
        self.began = self._prompt_done = time.monotonic()
        self._before = Sums.of(model)
        self._read: deque[tuple[float, int]] = deque()

    def __enter__(self) -> "Watch":
        # The norm that every layer begins with: a long prompt passes the layers' parts, not the layers as wholes.
        self._hooks = [
            layer.input_layernorm.register_forward_pre_hook(lambda *_, number=number: self._passes(number))
            for number, layer in enumerate(self._layers, 1)
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _passes(self, number: int) -> None:
        if self.stop.is_set():
            raise Stopped
        self._layer = number
        self._steps += 1

    def token(self) -> None:
        """Say that a token was generated."""
        self.tokens += 1
        if self.tokens == 1:
            self._prompt_done = time.monotonic()

    @property
    def sums(self) -> Sums:
        """What was read since the watch began."""
        return Sums.of(self.model).since(self._before)

    def look(self) -> Sight:
        """Return what is going on now."""
        now, sums, streamed = time.monotonic(), self.sums, self.model.streamed
        self._read.append((now, sums.bytes_read))
        while now - self._read[0][0] > _WINDOW and len(self._read) > 2:
            self._read.popleft()
        (then, before), passed = self._read[0], min(1.0, self._steps / max(1, self._prompt_steps))
        speed = (sums.bytes_read - before) / (now - then) if now > then else 0.0
        rate, left = None, None
        if self.tokens > 1:
            rate = (self.tokens - 1) / max(1e-9, now - self._prompt_done)
            left = (self.max_new_tokens - self.tokens) / rate
        elif not self.tokens and self._steps > 1:
            left = (now - self.began) * (1 - passed) / passed
        pieces = [] if streamed is None else [one for one in (streamed.experts, streamed.rest) if one is not None]
        return Sight(
            layer=self._layer,
            layers=len(self._layers),
            prompt=1.0 if self.tokens else passed,
            tokens=self.tokens,
            speed=speed,
            sums=sums,
            held=sum(one.held_bytes for one in pieces),
            room=sum(one.room_bytes for one in pieces),
            tokens_per_second=rate,
            left=left,
        )


def peak_bytes() -> int:
    """Return the most memory that this process has had at one time, as the kernel counts it; 0 on Windows."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
