"""A checkpoint on a web server on loopback."""

import pytest

from tests.model.faulty import write_model
from tests.weights.range_server import range_server


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A checkpoint that no test changes, and its logits."""
    folder = tmp_path_factory.mktemp("written")
    return folder, write_model(folder)


@pytest.fixture
def served(written):
    """It on a web server that can be told to misbehave."""
    with range_server(written[0]) as rules:
        yield rules


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("modeling_axk1.weights.ranges.FIRST_WAIT", 0.01)
