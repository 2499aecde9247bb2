"""Crew: who fails first ends it for all."""

import threading
from functools import partial

import pytest

from modeling_axk1.errors import HubError
from modeling_axk1.hub.crew import Crew


def test_it_returns_what_all_return_and_counts_what_they_move():
    moved: list[tuple[float, str | None]] = []
    crew = Crew(3, lambda amount=1, note=None: moved.append((amount, note)))

    def task(number: int) -> int:
        crew.moved(number, str(number))
        return number

    assert sorted(crew.run(partial(task, number) for number in range(10))) == list(range(10))
    assert sorted(moved) == [(number, str(number)) for number in range(10)]


@pytest.mark.parametrize("error", [HubError("damaged"), KeyboardInterrupt()])
def test_the_first_failure_stops_those_that_would_never_end(error):
    crew = Crew(2, lambda amount=1, note=None: None)
    began = threading.Event()
    begun, ended = [], []

    def endless() -> None:
        begun.append(True)
        while True:
            began.set()
            try:
                crew.moved(1, "a terabyte")
            except HubError:
                ended.append(True)
                raise

    def fails() -> None:
        began.wait()
        raise error

    with pytest.raises(type(error)):
        crew.run([endless, fails, endless, endless])
    assert ended == begun != [], "none is left running"
