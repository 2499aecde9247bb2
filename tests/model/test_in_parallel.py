"""Work for a few threads."""

import threading

import pytest

from modeling_axk1.model.streaming_axk1 import in_parallel


def test_all_is_done_once():
    done = []
    in_parallel(done.append, range(100), 4)
    assert sorted(done) == list(range(100))
    in_parallel(done.append, [], 4)
    assert len(done) == 100


def test_several_at_a_time():
    together = threading.Barrier(3, timeout=10)
    in_parallel(lambda item: together.wait(), range(6), 3)


def test_an_error_ends_it():
    done = []

    def work(item: int) -> None:
        if item == 3:
            raise OSError("three")
        done.append(item)

    with pytest.raises(OSError, match="three"):
        in_parallel(work, range(1000), 1)
    assert done == [0, 1, 2]
