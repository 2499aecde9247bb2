"""Any config that the rules admit is the model that transformers' native `axk1` builds of it."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers.models.axk1 import modeling_axk1 as native
from transformers.models.axk1.configuration_axk1 import AXK1Config as NativeConfig

from modeling_axk1 import AXK1Config, AXK1ForCausalLM
from modeling_axk1.weights.names import expected_tensors
from tests.conftest import tiny_config
from tests.model.test_against_native import native_names

# The oldest native takes every layer after the dense ones for a sparse one, whatever moe_layer_freq says.
FREQUENCIES = (1, 2, 3) if "mlp_layer_types" in NativeConfig().to_dict() else (1,)


@st.composite
def ropes(draw) -> dict:
    kind = draw(st.sampled_from(["default", "linear", "yarn"]))
    rope = {"rope_type": kind, "rope_theta": draw(st.sampled_from([100.0, 10000.0, 500000.0]))}
    if kind != "default":
        rope["factor"] = draw(st.sampled_from([1.0, 2.0, 8.0]))
    if kind == "yarn":
        rope["original_max_position_embeddings"] = draw(st.sampled_from([8, 64, 4096]))
        rope |= {"beta_fast": draw(st.sampled_from([8.0, 32.0])), "beta_slow": 1.0}
        rope |= {"mscale": draw(st.sampled_from([0.7, 1.0])), "mscale_all_dim": draw(st.sampled_from([0.0, 0.5, 1.0]))}
    return rope


@st.composite
def configs(draw) -> AXK1Config:
    n_group = draw(st.integers(1, 4))
    group_size = draw(st.integers(2, 4))
    topk_group = draw(st.integers(1, n_group))
    layers = draw(st.integers(1, 4))
    return tiny_config(
        vocab_size=131,
        hidden_size=draw(st.sampled_from([24, 40])),
        intermediate_size=draw(st.integers(1, 48)),
        moe_intermediate_size=draw(st.integers(1, 24)),
        num_hidden_layers=layers,
        num_attention_heads=draw(st.integers(1, 5)),
        num_key_value_heads=None,
        q_lora_rank=draw(st.integers(1, 24)),
        kv_lora_rank=draw(st.integers(1, 24)),
        qk_nope_head_dim=draw(st.integers(1, 20)),
        qk_rope_head_dim=2 * draw(st.integers(1, 6)),
        v_head_dim=draw(st.integers(1, 24)),
        n_group=n_group,
        n_routed_experts=n_group * group_size,
        topk_group=topk_group,
        num_experts_per_tok=draw(st.integers(1, topk_group * group_size)),
        n_shared_experts=draw(st.integers(1, 3)),
        routed_scaling_factor=draw(st.sampled_from([0.5, 1.0, 2.5])),
        norm_topk_prob=draw(st.booleans()),
        first_k_dense_replace=draw(st.integers(0, layers)),
        moe_layer_freq=draw(st.sampled_from(FREQUENCIES)),
        use_router_bias=draw(st.booleans()),
        attention_bias=draw(st.booleans()),
        rope_interleave=draw(st.booleans()),
        rope_parameters=draw(ropes()),
        tie_word_embeddings=draw(st.booleans()),
        initializer_range=0.2,
    )


def both(config: AXK1Config, seed: int) -> tuple[AXK1ForCausalLM, native.AXK1ForCausalLM]:
    """Ours and native in float64 with the same random weights; "eager", as grouped_mm knows no float64."""
    torch.manual_seed(seed)
    models = []
    for model_class, own_config in (
        (AXK1ForCausalLM, config),
        (native.AXK1ForCausalLM, NativeConfig(**config.to_dict())),
    ):
        model = model_class(own_config).double().eval()
        model.set_experts_implementation("eager")
        models.append(model)
    ours, theirs = models
    with torch.no_grad():
        for name, tensor in ours.state_dict().items():
            if "norm" in name or "bias" in name:
                tensor.add_(0.3 * torch.randn_like(tensor))
    theirs.load_state_dict(native_names(ours, theirs), strict=False)
    # Float32 when they were made: a power of theta, its rounding magnified by theta's logarithm.
    frequencies, native_frequencies = ours.model.rotary_emb.inv_freq, theirs.model.rotary_emb.inv_freq
    torch.testing.assert_close(frequencies, native_frequencies, rtol=1e-6, atol=0)
    native_frequencies.copy_(frequencies)
    return ours, theirs


TOLERANCE = {"rtol": 0, "atol": 1e-9}
RANDOM = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class _Wide:
    """torch, whose float32 is float64."""

    float32 = float = torch.float64

    def __getattr__(self, name: str):
        return getattr(torch, name)


@pytest.fixture(scope="module", autouse=True)
def both_stay_wide():
    """Keep both in float64: norms, router and angles are float32, and a norm over few numbers magnifies rounding.

    The cosine of one angle may differ in its last bit by where in a tensor it stands.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "torch", _Wide())
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        yield


@RANDOM
@given(config=configs(), seed=st.integers(0, 2**16))
def test_logits_cached_and_whole_equal_native(config, seed):
    ours, theirs = both(config, seed)
    input_ids = torch.randint(0, 125, (2, 14), generator=torch.Generator().manual_seed(seed))
    expected = theirs(input_ids).logits
    torch.testing.assert_close(ours(input_ids).logits, expected, **TOLERANCE)
    out = ours(input_ids[:, :9], use_cache=True)
    chunks = [out.logits]
    for chunk in (input_ids[:, 9:10], input_ids[:, 10:11], input_ids[:, 11:]):
        out = ours(chunk, past_key_values=out.past_key_values, use_cache=True)
        chunks.append(out.logits)
    torch.testing.assert_close(torch.cat(chunks, dim=1), expected, **TOLERANCE)


@RANDOM
@given(config=configs())
def test_the_tensors_are_those_that_the_weights_room_expects(config):
    with torch.device("meta"):
        model = AXK1ForCausalLM(config)
    promised = {name: spec.shape for name, spec in expected_tensors(config.to_dict()).items()}
    built = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        built.pop("lm_head.weight")
    assert built == promised


@RANDOM
@given(config=configs())
def test_a_config_is_the_same_after_its_json(config):
    assert AXK1Config(**config.to_dict()).to_dict() == config.to_dict()
