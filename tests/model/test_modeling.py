"""The model inside transformers: generate, save and load, checkpointing, outputs, both Auto names, quick import."""

import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModel, AutoModelForCausalLM
from transformers.cache_utils import StaticCache

import modeling_axk1
from modeling_axk1 import AXK1Config, AXK1ForCausalLM, AXK1Model
from tests.conftest import tiny_config


@pytest.fixture(scope="module")
def model() -> AXK1ForCausalLM:
    torch.manual_seed(0)
    return AXK1ForCausalLM(tiny_config(initializer_range=0.2)).eval()


def prompt(batch: int = 2, length: int = 9) -> torch.Tensor:
    return torch.randint(0, 125, (batch, length), generator=torch.Generator().manual_seed(2))


def greedy_by_hand(model: AXK1ForCausalLM, input_ids: torch.Tensor, steps: int) -> torch.Tensor:
    """Greedy decoding without any cache: the whole sequence again for each token."""
    for _ in range(steps):
        next_token = model(input_ids, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)
        input_ids = torch.cat([input_ids, next_token], dim=1)
    return input_ids


@pytest.mark.parametrize("cache", [None, "static", "dynamic"])
def test_generate_greedy_equals_decoding_by_hand(model, cache):
    options = {} if cache is None else {"cache_implementation": cache}
    got = model.generate(prompt(), max_new_tokens=8, do_sample=False, eos_token_id=None, **options)
    assert torch.equal(got, greedy_by_hand(model, prompt(), 8))


def test_generate_from_a_left_padded_batch_equals_each_row_alone(model):
    rows = [prompt(1, 5), prompt(1, 9)]
    pad = model.config.pad_token_id
    input_ids = torch.cat([torch.cat([torch.full((1, 9 - r.shape[1]), pad), r], dim=1) for r in rows])
    mask = torch.cat([torch.cat([torch.zeros(1, 9 - r.shape[1]), torch.ones_like(r)], dim=1) for r in rows]).long()
    got = model.generate(input_ids, attention_mask=mask, max_new_tokens=6, do_sample=False, eos_token_id=None)
    for row, alone in enumerate(rows):
        assert torch.equal(got[row, -6:], greedy_by_hand(model, alone, 6)[0, -6:])


def test_beam_search_finds_a_sequence_at_least_as_likely_as_greedy(model):
    def log_probability(sequence):
        logits = model(sequence).logits[:, 8:-1].log_softmax(-1)
        return logits.gather(-1, sequence[:, 9:, None]).sum()

    options = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None}
    greedy = model.generate(prompt(1), **options)
    beam = model.generate(prompt(1), num_beams=4, **options)
    assert log_probability(beam) >= log_probability(greedy) - 1e-5


def test_beam_search_is_the_same_with_and_without_a_cache(model):
    options = {"max_new_tokens": 6, "num_beams": 3, "do_sample": False, "eos_token_id": None}
    with_cache = model.generate(prompt(), use_cache=True, **options)
    assert torch.equal(with_cache, model.generate(prompt(), use_cache=False, **options))


def test_sampling_follows_the_seed_and_the_distribution(model):
    def sample(seed):
        torch.manual_seed(seed)
        return model.generate(prompt(1).repeat(400, 1), max_new_tokens=1, do_sample=True, top_k=0, eos_token_id=None)

    assert torch.equal(sample(3), sample(3))
    likely = model(prompt(1)).logits[0, -1].softmax(-1)
    drawn = torch.bincount(sample(3)[:, -1], minlength=model.config.vocab_size) / 400
    # Total variation of 400 draws from 128 tokens: expected about 0.2; a wrong distribution gives near 1.
    assert 0.5 * (likely - drawn).abs().sum() < 0.3


def test_a_static_cache_decodes_as_a_dynamic_one(model):
    input_ids = prompt(2, 12)
    cache = StaticCache(config=model.config, max_cache_len=16)
    first = model(input_ids[:, :11], past_key_values=cache, use_cache=True)
    second = model(input_ids[:, 11:], past_key_values=cache, use_cache=True)
    got = torch.cat([first.logits, second.logits], dim=1)
    torch.testing.assert_close(got, model(input_ids).logits, rtol=0, atol=1e-5)


def test_save_and_load_keeps_every_tensor_under_its_name(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    stored = {}
    for shard in tmp_path.glob("*.safetensors"):
        with safe_open(shard, "pt") as file:
            stored |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    assert stored.keys() == model.state_dict().keys()
    loaded, info = AXK1ForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    for name, tensor in model.state_dict().items():
        assert torch.equal(stored[name], tensor)
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_bf16_round_trip_keeps_bits(model, tmp_path):
    half = AXK1ForCausalLM(model.config).to(torch.bfloat16)
    half.save_pretrained(tmp_path)
    loaded = AXK1ForCausalLM.from_pretrained(tmp_path, dtype="auto")
    assert loaded.dtype == torch.bfloat16
    assert all(torch.equal(t, loaded.state_dict()[n]) for n, t in half.state_dict().items())


def test_gradient_checkpointing_changes_no_gradient(model):
    def gradients(checkpointing: bool) -> dict[str, torch.Tensor]:
        copy = AXK1ForCausalLM(model.config)
        copy.load_state_dict(model.state_dict())
        copy.train()
        if checkpointing:
            copy.gradient_checkpointing_enable()  # the name that all admitted versions know
        copy(prompt(), labels=prompt()).loss.backward()
        return {n: p.grad for n, p in copy.named_parameters() if p.grad is not None}

    plain, checkpointed = gradients(False), gradients(True)
    assert plain.keys() == checkpointed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, rtol=0, atol=1e-7)


def test_outputs_on_request(model):
    out = model(prompt(), output_router_logits=True, output_hidden_states=True)
    config = model.config
    assert [tuple(r.shape) for r in out.router_logits] == [(18, config.n_routed_experts)] * 2
    assert [tuple(h.shape) for h in out.hidden_states] == [(2, 9, config.hidden_size)] * 4
    assert model(prompt()).router_logits is None
    assert isinstance(model(prompt(), return_dict=False), tuple)


def test_logits_to_keep_keeps_the_last_positions(model):
    whole = model(prompt()).logits
    torch.testing.assert_close(model(prompt(), logits_to_keep=2).logits, whole[:, -2:])
    torch.testing.assert_close(model(prompt(), logits_to_keep=torch.tensor([0, 4])).logits, whole[:, [0, 4]])


def test_labels_give_the_mean_cross_entropy_of_the_next_tokens(model):
    labels = prompt().clone()
    labels[0, :4] = -100
    out = model(prompt(), labels=labels)
    logits = out.logits[:, :-1].flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten(), ignore_index=-100)
    torch.testing.assert_close(out.loss, expected)


def test_input_ids_and_inputs_embeds_are_alternatives(model):
    embedded = model.model.embed_tokens(prompt())
    torch.testing.assert_close(model(inputs_embeds=embedded).logits, model(prompt()).logits)
    with pytest.raises(ValueError, match="give either input_ids or inputs_embeds"):
        model(prompt(), inputs_embeds=embedded)


def test_auto_classes_build_our_models():
    assert type(AutoModelForCausalLM.from_config(tiny_config())) is AXK1ForCausalLM
    assert type(AutoModel.from_config(tiny_config())) is AXK1Model
    assert modeling_axk1.AXK1Config is AXK1Config


@pytest.mark.parametrize(
    "imports",
    [
        "import modeling_axk1; from transformers import AutoConfig, AutoModelForCausalLM as M",
        "from transformers import AutoConfig, AutoModelForCausalLM as M; import modeling_axk1",
        "import transformers; import modeling_axk1; AutoConfig = transformers.AutoConfig;"
        "M = transformers.AutoModelForCausalLM",
        "import modeling_axk1; from transformers.models.llama.modeling_llama import LlamaModel;"
        "from transformers import AutoConfig, AutoModelForCausalLM as M",
        "from modeling_axk1.model.modeling_axk1 import AXK1Model; from transformers import AutoConfig, "
        "AutoModelForCausalLM as M",
    ],
)
def test_the_auto_classes_know_the_model_in_whichever_order_things_are_imported(imports, tmp_path):
    tiny_config().save_pretrained(tmp_path)
    program = f"{imports}; print(type(M.from_config(AutoConfig.from_pretrained({str(tmp_path)!r}))).__module__)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "modeling_axk1.model.modeling_axk1", result.stderr


def test_importing_the_package_imports_nothing_heavy():
    program = "import sys, modeling_axk1, modeling_axk1.cli; print(sorted({'torch', 'transformers', 'numpy', 'pyarrow',"
    program += " 'datasets', 'huggingface_hub', 'tokenizers', 'starlette', 'uvicorn', 'dulwich'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
