"""transformers' native `axk1` and our plain-loop reference as oracles: same weights, same logits, same gradients."""

import pytest
import torch
from transformers.models.axk1.configuration_axk1 import AXK1Config as NativeConfig
from transformers.models.axk1.modeling_axk1 import AXK1ForCausalLM as NativeAXK1ForCausalLM

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.model.reference import reference_logits
from tests.conftest import tiny_config

TOLERANCE = {"rtol": 0, "atol": 1e-5}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 0.0,
}
VARIANTS = {
    "interleaved": {},
    "halves": {"rope_interleave": False},
    "yarn": {"rope_parameters": YARN},
    "yarn in the softmax": {"rope_parameters": {**YARN, "mscale_all_dim": 1.0}},
    "yarn halves": {"rope_parameters": YARN, "rope_interleave": False},
    "linear": {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}},
    "two shared experts": {"n_shared_experts": 2},
    "attention bias": {"attention_bias": True},
    "weights not normalised": {"norm_topk_prob": False},
    "two dense layers": {"first_k_dense_replace": 2},
    "router bias": {"use_router_bias": True},
}


def both(**changes) -> tuple[AXK1ForCausalLM, NativeAXK1ForCausalLM]:
    """Our model and the native one with the same weights, spread widely so that a mistake shows."""
    torch.manual_seed(0)
    config = tiny_config(initializer_range=0.1, **changes)
    ours = AXK1ForCausalLM(config).eval()
    with torch.no_grad():
        for name, tensor in ours.state_dict().items():
            if "norm" in name or "bias" in name:
                tensor.add_(0.3 * torch.randn_like(tensor))
    native = NativeAXK1ForCausalLM(NativeConfig(**config.to_dict())).eval()
    missing, unexpected = native.load_state_dict(native_names(ours, native), strict=False)
    assert all("e_score_correction_bias" in name for name in missing)
    assert unexpected == []
    return ours, native


def native_names(ours, native):
    """Our state dict under the native model's names: its extra norm sits in the MLP; layer 0's is unused."""
    renamed = {n.replace("post_mlp_layernorm", "mlp.post_mlp_layernorm"): t for n, t in ours.state_dict().items()}
    return {n: t for n, t in renamed.items() if n in native.state_dict()}


def tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(0, 125, (batch, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("variant", VARIANTS)
def test_prefill_logits_equal_native(variant):
    ours, native = both(**VARIANTS[variant])
    input_ids = tokens(2, 90)
    torch.testing.assert_close(ours(input_ids).logits, native(input_ids).logits, **TOLERANCE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_prefill_logits_equal_the_reference_in_plain_loops(variant):
    ours, _ = both(**VARIANTS[variant])
    input_ids = tokens(1, 12)
    expected = reference_logits(ours.state_dict(), ours.config, input_ids[0].tolist())
    torch.testing.assert_close(ours(input_ids).logits[0].double(), expected, **TOLERANCE)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batches_equal_native_and_equal_the_unpadded_sequences(side):
    ours, native = both()
    lengths = [7, 20, 13]
    input_ids = tokens(3, 20)
    mask = torch.zeros_like(input_ids)
    for row, length in enumerate(lengths):
        mask[row, slice(-length, None) if side == "left" else slice(length)] = 1
    input_ids = input_ids.masked_fill(mask == 0, ours.config.pad_token_id)
    # Position 0 is each row's first token, as generate counts.
    position_ids = (mask.cumsum(-1) - 1).clamp(min=0)
    kwargs = {"attention_mask": mask, "position_ids": position_ids}
    got, expected = ours(input_ids, **kwargs).logits, native(input_ids, **kwargs).logits
    torch.testing.assert_close(got[mask.bool()], expected[mask.bool()], **TOLERANCE)
    for row in range(3):
        alone = ours(input_ids[row][mask[row].bool()][None]).logits[0]
        torch.testing.assert_close(got[row][mask[row].bool()], alone, **TOLERANCE)


def test_cached_decoding_equals_native_and_equals_one_prefill():
    ours, native = both()
    input_ids = tokens(2, 24)
    whole = ours(input_ids).logits
    for model in (ours, native):
        out = model(input_ids[:, :10], use_cache=True)
        steps = [out.logits]
        for t in range(10, 20):
            out = model(input_ids[:, t : t + 1], past_key_values=out.past_key_values, use_cache=True)
            steps.append(out.logits)
        # A chunk of several tokens onto a filled cache.
        out = model(input_ids[:, 20:], past_key_values=out.past_key_values, use_cache=True)
        torch.testing.assert_close(torch.cat([*steps, out.logits], dim=1), whole, **TOLERANCE)


def test_the_cache_holds_the_latent_and_not_the_heads():
    ours, _ = both()
    cache = ours(tokens(2, 9), use_cache=True).past_key_values
    latent, rope_key = cache.layers[0].keys, cache.layers[0].values
    assert latent.shape == (2, 1, 9, ours.config.kv_lora_rank)
    assert rope_key.shape == (2, 1, 9, ours.config.qk_rope_head_dim)


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_and_gradients_equal_native(variant):
    ours, native = both(**VARIANTS[variant])
    input_ids = tokens(2, 30)
    losses = [model(input_ids, labels=input_ids).loss for model in (ours, native)]
    torch.testing.assert_close(*losses, **TOLERANCE)
    for loss in losses:
        loss.backward()
    expected = {n: p.grad for n, p in native.named_parameters()}
    unused = "model.layers.0.post_mlp_layernorm.weight"
    for name, parameter in ours.named_parameters():
        native_name = name.replace("post_mlp_layernorm", "mlp.post_mlp_layernorm")
        if native_name not in expected:
            assert name.endswith(unused.split(".", 3)[3])
            assert parameter.grad is None
            continue
        torch.testing.assert_close(parameter.grad, expected[native_name], rtol=1e-4, atol=1e-5)


def test_gradients_equal_the_reference_in_plain_loops():
    ours, _ = both()
    ours.set_experts_implementation("eager")  # grouped_mm knows no float64
    ours = ours.double()
    input_ids = tokens(1, 8)
    state = {n: t.detach().clone().requires_grad_() for n, t in ours.state_dict().items()}
    target = torch.linspace(-1, 1, 8 * ours.config.vocab_size, dtype=torch.double).view(8, -1)
    (reference_logits(state, ours.config, input_ids[0].tolist()) * target).sum().backward()
    (ours(input_ids).logits[0] * target).sum().backward()
    for name, parameter in ours.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, state[name].grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("experts", ["eager", "grouped_mm", "batched_mm"])
def test_every_attention_and_experts_implementation_gives_the_same_logits(attention, experts):
    ours, native = both()
    ours.set_attn_implementation(attention)
    ours.set_experts_implementation(experts)
    input_ids = tokens(2, 30)
    torch.testing.assert_close(ours(input_ids).logits, native(input_ids).logits, **TOLERANCE)
