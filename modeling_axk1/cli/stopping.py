"""Ctrl-C while a model answers."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

from modeling_axk1.stream.watch import Watch

Watching = Callable[[Watch], object]


@contextmanager
def stopping(watching: Watching, at_once: bool = False) -> Iterator[Watching]:
    """Give what an answer is watched with, so that a first Ctrl-C stops it between two layers; a second interrupts.

    With `at_once` the first interrupts too. Python drops an exception that comes while it clears away an object; the
    answer then still stops at its next layer.
    """
    stops: list[Event] = []

    def watched(watch: Watch) -> None:
        stops.append(watch.stop)
        watching(watch)

    def stop(*_: object) -> None:
        first = bool(stops) and not stops[0].is_set()
        if first:
            stops[0].set()
        if at_once or not first:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield watched
    finally:
        signal.signal(signal.SIGINT, before)
