"""Attention in its three ways, the cache with room to spare, and the prompt in pieces: always the same numbers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.cache_utils import DynamicCache, StaticCache

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.model import modeling_axk1
from modeling_axk1.model.cache_axk1 import AXK1LatentCacheLayer
from modeling_axk1.model.modeling_axk1 import AXK1Attention
from tests.conftest import tiny_config

TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def model() -> AXK1ForCausalLM:
    torch.manual_seed(0)
    return AXK1ForCausalLM(tiny_config(initializer_range=0.1, attention_bias=True)).eval()


def tokens(batch: int, length: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 125, (batch, length), generator=torch.Generator().manual_seed(seed))


def force(monkeypatch, *, over_latents: bool) -> None:
    monkeypatch.setattr(AXK1Attention, "_is_cheaper_over_latents", lambda self, shape, S: over_latents)


def padding(side: str, lengths: list[int], width: int) -> torch.Tensor:
    mask = torch.zeros(len(lengths), width, dtype=torch.long)
    for row, length in enumerate(lengths):
        mask[row, slice(-length, None) if side == "left" else slice(length)] = 1
    return mask


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("side", [None, "left", "right"])
def test_attention_over_the_latents_equals_attention_over_unfolded_heads(model, monkeypatch, implementation, side):
    model.set_attn_implementation(implementation)
    mask = None if side is None else padding(side, [12, 20, 7], 20)
    seen = slice(None) if mask is None else mask.bool()
    logits = []
    for over_latents in (True, False):
        force(monkeypatch, over_latents=over_latents)
        logits.append(model(tokens(3, 20), attention_mask=mask).logits[seen])
    torch.testing.assert_close(*logits, **TOLERANCE)


@pytest.mark.parametrize("cache", [DynamicCache, StaticCache])
def test_tokens_and_chunks_onto_a_filled_cache_are_the_same_in_both_ways(model, monkeypatch, cache):
    whole = model(tokens(2, 30)).logits
    for over_latents in (True, False):
        force(monkeypatch, over_latents=over_latents)
        made = cache(config=model.config, **({"max_cache_len": 40} if cache is StaticCache else {}))
        parts = [slice(0, 9), slice(9, 10), slice(10, 17), slice(17, 30)]
        logits = [model(tokens(2, 30)[:, part], past_key_values=made, use_cache=True).logits for part in parts]
        torch.testing.assert_close(torch.cat(logits, dim=1), whole, **TOLERANCE)


def test_gradients_are_the_same_in_both_ways(model, monkeypatch):
    gradients = []
    for over_latents in (True, False):
        force(monkeypatch, over_latents=over_latents)
        model.zero_grad()
        model(tokens(2, 15), labels=tokens(2, 15)).loss.backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    model.zero_grad()
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6)


def test_decoding_goes_over_the_latents_and_training_does_not(model):
    attention = model.model.layers[0].self_attn
    attention.config = type(model.config)()  # the published widths
    try:
        assert attention._is_cheaper_over_latents((1, 64, 1, 192), 16_384)
        assert attention._is_cheaper_over_latents((1, 64, 1, 192), 2)
        assert attention._is_cheaper_over_latents((1, 64, 100, 192), 16_384 // 32)
        assert not attention._is_cheaper_over_latents((1, 64, 4096, 192), 4096)
        assert not attention._is_cheaper_over_latents((4, 64, 100, 192), 16_384)  # 420 MB of scores
    finally:
        attention.config = model.config


class Wrapped(torch.nn.Linear):
    """What an adapter or a quantiser does: the same weight, another result."""

    def forward(self, x):
        return super().forward(x) * 1.5


@pytest.mark.parametrize("name", ["q_b_proj", "kv_b_proj", "o_proj"])
def test_a_projection_that_does_more_than_its_weight_is_called_and_not_read(monkeypatch, name):
    torch.manual_seed(0)
    model = AXK1ForCausalLM(tiny_config(initializer_range=0.1)).eval()
    for layer in model.model.layers:
        getattr(layer.self_attn, name).__class__ = Wrapped
    with torch.no_grad():
        wrapped = model(tokens(1, 10)).logits
        for layer in model.model.layers:
            projection = getattr(layer.self_attn, name)
            projection.__class__ = torch.nn.Linear
            projection.weight.mul_(1.5)
        torch.testing.assert_close(model(tokens(1, 10)).logits, wrapped, **TOLERANCE)


@pytest.mark.parametrize("group_bytes", [1, 10_000, 10**9])
def test_a_few_heads_at_a_time_are_all_heads(model, monkeypatch, group_bytes):
    force(monkeypatch, over_latents=False)
    model.set_attn_implementation("sdpa")
    monkeypatch.setattr(modeling_axk1, "_HEAD_GROUP_BYTES", group_bytes)
    mask = padding("left", [12, 20], 20)
    all_heads = model(tokens(2, 20), attention_mask=mask).logits  # with gradients: transformers' way
    with torch.no_grad():
        in_groups = model(tokens(2, 20), attention_mask=mask).logits
    torch.testing.assert_close(in_groups[mask.bool()], all_heads[mask.bool()], **TOLERANCE)


@given(
    chunk=st.integers(1, 31), keep=st.integers(0, 31), side=st.sampled_from([None, "left", "right"]), seen=st.booleans()
)
@settings(max_examples=25, deadline=None)
def test_a_prompt_in_pieces_is_the_prompt(model, chunk, keep, side, seen):
    model.set_attn_implementation("sdpa")
    mask = None if side is None else padding(side, [30, 18], 30)
    real = torch.ones(2, 30, dtype=torch.bool) if mask is None else mask.bool()
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        whole = model(tokens(2, 30), attention_mask=mask).logits
        patch.setattr(modeling_axk1, "_PREFILL_CHUNK", chunk)
        out = model(tokens(2, 30), attention_mask=mask, use_cache=seen, logits_to_keep=keep)
    kept = slice(-keep, None) if keep else slice(None)
    torch.testing.assert_close(out.logits[real[:, kept]], whole[:, kept][real[:, kept]], **TOLERANCE)
    assert (out.past_key_values is not None) == seen
    if seen:
        assert out.past_key_values.get_seq_length() == 30


def test_pieces_onto_a_cache_and_into_a_static_one(model, monkeypatch):
    whole = model(tokens(2, 30)).logits
    monkeypatch.setattr(modeling_axk1, "_PREFILL_CHUNK", 8)
    for cache in (DynamicCache(config=model.config), StaticCache(config=model.config, max_cache_len=64)):
        with torch.no_grad():
            first = model(tokens(2, 30)[:, :11], past_key_values=cache).logits
            second = model(tokens(2, 30)[:, 11:], past_key_values=cache).logits
        torch.testing.assert_close(torch.cat([first, second], dim=1), whole, **TOLERANCE)


def test_outputs_of_layers_are_of_the_whole_prompt(model, monkeypatch):
    monkeypatch.setattr(modeling_axk1, "_PREFILL_CHUNK", 8)
    with torch.no_grad():
        out = model(tokens(1, 30), output_hidden_states=True, output_router_logits=True)
    assert {state.shape[1] for state in out.hidden_states} == {30}
    assert {logits.shape[0] for logits in out.router_logits} == {30}


class TestCacheWithRoom:
    """AXK1LatentCacheLayer behaves as transformers' own layer does, and does not move what it holds."""

    def filled(self) -> AXK1LatentCacheLayer:
        layer = AXK1LatentCacheLayer()
        torch.manual_seed(0)
        self.latents, self.keys = torch.randn(2, 1, 12, 6), torch.randn(2, 1, 12, 4)
        layer.update(self.latents[..., :10, :], self.keys[..., :10, :])
        return layer

    def test_a_token_is_appended_in_place(self):
        layer = self.filled()
        where = layer.keys.data_ptr()
        latents, keys = layer.update(self.latents[..., 10:, :], self.keys[..., 10:, :])
        assert layer.keys.data_ptr() == where
        assert torch.equal(latents, self.latents)
        assert torch.equal(keys, self.keys)
        assert layer.get_seq_length() == 12

    def test_it_grows_when_full(self):
        layer = self.filled()
        for _ in range(50):
            latents, _ = layer.update(self.latents[..., :1, :], self.keys[..., :1, :])
        assert layer.get_seq_length() == 60
        assert torch.equal(latents[..., :10, :], self.latents[..., :10, :])

    @pytest.mark.parametrize(
        ("change", "rows"),
        [
            (lambda layer: layer.crop(-4), [0, 1]),
            (lambda layer: layer.reorder_cache(torch.tensor([1, 0])), [1, 0]),
            (lambda layer: layer.batch_select_indices(torch.tensor([1])), [1]),
            (lambda layer: layer.batch_repeat_interleave(2), [0, 0, 1, 1]),
        ],
    )
    def test_what_transformers_does_to_a_layer_holds(self, change, rows):
        layer = self.filled()
        change(layer)
        length = layer.get_seq_length()
        new = self.latents[rows][..., 10:11, :], self.keys[rows][..., 10:11, :]
        latents, keys = layer.update(*new)
        assert torch.equal(latents, torch.cat([self.latents[rows][..., :length, :], new[0]], dim=-2))
        assert torch.equal(keys, torch.cat([self.keys[rows][..., :length, :], new[1]], dim=-2))

    def test_a_reset_layer_starts_anew(self):
        layer = self.filled()
        layer.reset()
        latents, _ = layer.update(self.latents[..., :3, :], self.keys[..., :3, :])
        assert torch.equal(latents, self.latents[..., :3, :])

    def test_gradients_flow_through_a_cache_that_is_trained_through(self, model):
        out = model(tokens(1, 10), use_cache=True)
        out = model(tokens(1, 10, seed=2), past_key_values=out.past_key_values, labels=tokens(1, 10, seed=2))
        out.loss.backward()
        assert model.model.layers[0].self_attn.kv_a_proj_with_mqa.weight.grad is not None
        model.zero_grad()
