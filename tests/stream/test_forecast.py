"""What a memory cap will give and cost, found without reading a weight."""

import json

import pytest
import torch

from modeling_axk1.model import products_axk1 as products
from modeling_axk1.model.memory_axk1 import asked_for
from modeling_axk1.stream.forecast import _standing, compute_speed, forecast, read_speed
from modeling_axk1.stream.opening import Loading
from modeling_axk1.weights.convert import Conversion, convert
from modeling_axk1.weights.order import Sharding
from tests.weights.quantised import wide_model


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forecast")
    wide_model(num_hidden_layers=3).save_pretrained(folder / "bf16")
    for weights in ("fp8", "int8", "int4"):
        convert(folder / "bf16", folder / weights, Conversion(weights=weights), Sharding())
    return folder


def test_experts_in_bfloat16_are_as_they_come(forms):
    found = forecast(str(forms / "bf16"), Loading(expert_memory="1MB"), read=2e9)
    assert found.prepare is None
    assert found.token.reading == pytest.approx(found.token.bytes_read / 2e9)
    assert json.loads(json.dumps(found.as_json()))["token"]["seconds"] == found.token.seconds


@pytest.mark.parametrize("form", ["fp8", "int8", "int4"])
def test_encoded_experts_are_made_ready_and_that_is_computing(forms, form, monkeypatch):
    monkeypatch.setattr(products, "_LEAST_NUMBERS", 0)
    found = forecast(str(forms / form), Loading(expert_memory="1MB"), read=2e9)
    assert found.prepare > 0
    assert found.token.computing > found.met / found.compute


def test_the_product_that_is_measured_is_the_one_that_runs(forms, monkeypatch):
    """Zeros would not do: with scales of zero INT8 has a slower product."""
    monkeypatch.setattr(products, "_LEAST_NUMBERS", 0)
    loading = Loading(expert_memory="1MB")
    model, streamed = _standing(str(forms / "int8"), asked_for({**loading.sizes(), "streaming": {}}))
    assert compute_speed(model) > 0
    first = next(iter(streamed.experts.pieces))
    kinds = {type(weight) for weight in streamed.experts.take(first).values()}
    assert kinds == {products.PackedWeight if products._lanes() else products.EncodedWeight}
    assert model.dtype == torch.bfloat16


@pytest.mark.parametrize("direct", [True, False])
def test_the_disks_speed_is_measured_by_some_of_the_shards(forms, direct):
    _, streamed = _standing(str(forms / "int4"), asked_for({"expert_memory": "1MB"}))
    extents = [extent for piece in streamed.experts.pieces.values() for extent in piece.values()]
    assert 0 < read_speed(extents, 2, direct) < 1e12
