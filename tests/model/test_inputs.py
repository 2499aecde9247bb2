"""What the model is given and cannot use: an error or a warning that says so, never silent garbage."""

import pytest
import torch
from transformers.utils import logging as transformers_logging

from modeling_axk1 import AXK1ForCausalLM
from tests.conftest import tiny_config


@pytest.fixture(scope="module")
def model() -> AXK1ForCausalLM:
    torch.manual_seed(0)
    return AXK1ForCausalLM(tiny_config(max_position_embeddings=16)).eval()


@pytest.fixture
def warnings(caplog):
    """What the model warns of, though transformers says each thing only once in a process."""
    transformers_logging.warning_once.cache_clear()
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("modeling_axk1")]


@pytest.mark.parametrize(("token", "reach"), [(128, "5 to 128"), (-1, "-1 to 5")])
def test_a_token_id_outside_the_vocabulary_is_an_error_that_names_it(model, token, reach):
    for call in (model, lambda ids: model.generate(ids, max_new_tokens=1, pad_token_id=0)):
        with pytest.raises(ValueError, match=rf"token ids must be in \[0, 128\), got some from {reach}"):
            call(torch.tensor([[5, token]]))


def test_a_prompt_beyond_the_context_is_warned_of(model, warnings):
    model(torch.zeros(1, 16, dtype=torch.long))
    assert warnings() == []
    model(torch.zeros(1, 17, dtype=torch.long))
    assert len(warnings()) == 1
    assert "a sequence is longer than max_position_embeddings 16" in warnings()[0]


def test_generating_beyond_the_context_is_warned_of_once_when_it_happens(model, warnings):
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    model.generate(torch.ones(1, 12, dtype=torch.long), max_new_tokens=4, **options)
    assert warnings() == []
    model.generate(torch.ones(1, 12, dtype=torch.long), max_new_tokens=9, **options)
    assert len(warnings()) == 1


def test_packed_sequences_may_together_be_longer_than_the_context(model, warnings):
    model(torch.zeros(1, 24, dtype=torch.long), position_ids=torch.arange(24)[None] % 12)
    assert warnings() == []


def test_the_checks_leave_one_compiled_graph(model):
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    input_ids = torch.arange(12)[None]
    torch.testing.assert_close(compiled(input_ids, use_cache=False).logits, model(input_ids, use_cache=False).logits)
