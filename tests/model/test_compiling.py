"""torch.compile: a decoding step with a static cache is one graph, and the same one for every step."""

import pytest
import torch
from transformers.cache_utils import StaticCache

from modeling_axk1 import AXK1ForCausalLM
from tests.conftest import tiny_config

EXACT = {"rtol": 0, "atol": 1e-5}
OPTIONS = {"do_sample": False, "eos_token_id": None, "pad_token_id": 126}


@pytest.fixture
def model() -> AXK1ForCausalLM:
    torch.manual_seed(0)
    torch.compiler.reset()
    return AXK1ForCausalLM(tiny_config(initializer_range=0.2)).eval()


def prompt(batch: int = 2, length: int = 9) -> torch.Tensor:
    return torch.randint(0, 125, (batch, length), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("attention", "backend"),
    [("sdpa", "aot_eager"), ("eager", "aot_eager"), pytest.param("sdpa", "inductor", marks=pytest.mark.slow)],
)
@torch.no_grad()
def test_decoding_is_one_graph_for_all_steps(model, attention, backend):
    model.set_attn_implementation(attention)
    input_ids = prompt(length=14)
    expected = model(input_ids).logits
    cache = StaticCache(config=model.config, max_cache_len=32)
    model(input_ids[:, :9], past_key_values=cache, use_cache=True)
    step = torch.compile(model, fullgraph=True, dynamic=False, backend=backend)
    for position in range(9, 14):
        # The second step settles what the first one took for a constant; from then on nothing is compiled again.
        with torch.compiler.set_stance("default" if position < 11 else "fail_on_recompile"):
            got = step(
                input_ids[:, position, None],
                past_key_values=cache,
                use_cache=True,
                position_ids=torch.full((2, 1), position),
            ).logits[:, 0]
        torch.testing.assert_close(got, expected[:, position], **EXACT)


def test_generate_with_a_static_cache_gives_the_same_tokens(model):
    got = model.generate(prompt(), max_new_tokens=8, cache_implementation="static", **OPTIONS)
    assert got.tolist() == model.generate(prompt(), max_new_tokens=8, **OPTIONS).tolist()


@pytest.mark.slow
@torch.no_grad()
def test_flex_attention_gives_the_same_logits(model):
    # `generate` is left out: for lengths that vary, torch 2.13 writes C++ for it that does not compile on a CPU.
    mask = torch.ones_like(prompt())
    mask[0, :3] = 0
    expected = model(prompt(), attention_mask=mask).logits
    model.set_attn_implementation("flex_attention")
    got = model(prompt(), attention_mask=mask).logits
    torch.testing.assert_close(got[mask.bool()], expected[mask.bool()], **EXACT)
