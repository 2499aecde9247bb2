import os
import signal
import sys
from threading import Event
from types import SimpleNamespace

import pytest

from modeling_axk1.cli.stopping import stopping


@pytest.fixture
def watch():
    return SimpleNamespace(stop=Event())


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def test_a_first_ctrl_c_sets_the_answers_event_and_a_second_interrupts(watch):
    seen = []
    with stopping(seen.append) as watching:
        watching(watch)
        ctrl_c()
        assert watch.stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()
    assert seen == [watch]


def test_before_there_is_an_answer_it_interrupts():
    with stopping(print), pytest.raises(KeyboardInterrupt):
        ctrl_c()


def test_at_once_it_does_both_and_where_python_drops_the_interrupt_the_answer_still_stops(watch, monkeypatch):
    class Left:
        def __del__(self):
            ctrl_c()

    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: dropped.append(told.exc_type))
    with stopping(print, at_once=True) as watching:
        watching(watch)
        Left()
    assert dropped == [KeyboardInterrupt]
    assert watch.stop.is_set()


def test_afterwards_ctrl_c_is_what_it_was(watch):
    before = signal.getsignal(signal.SIGINT)
    with stopping(print):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
