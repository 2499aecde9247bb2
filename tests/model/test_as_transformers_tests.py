"""The cases that transformers tests every model of its own with, written for this one."""

import copy

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification
from transformers.cache_utils import DynamicCache

from modeling_axk1 import AXK1ForCausalLM, AXK1Model
from modeling_axk1.model.modeling_axk1 import AXK1ForSequenceClassification, AXK1ForTokenClassification
from tests.conftest import tiny_config

EXACT = {"rtol": 0, "atol": 1e-5}
GREEDY = {"do_sample": False, "eos_token_id": None, "pad_token_id": 126}


@pytest.fixture(scope="module")
def model() -> AXK1ForCausalLM:
    torch.manual_seed(0)
    return AXK1ForCausalLM(tiny_config(initializer_range=0.2)).eval()


def prompt(batch: int = 2, length: int = 9) -> torch.Tensor:
    return torch.randint(0, 125, (batch, length), generator=torch.Generator().manual_seed(3))


def with_attention(model: AXK1ForCausalLM, implementation: str) -> AXK1ForCausalLM:
    other = copy.deepcopy(model)
    other.set_attn_implementation(implementation)
    return other


# Attention


@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_eager_and_sdpa_give_the_same_logits(model, side):
    input_ids, mask = prompt(3, 12), torch.ones(3, 12, dtype=torch.long)
    if side != "none":
        mask[1, slice(0, 5) if side == "left" else slice(-5, None)] = 0
    got = [with_attention(model, name)(input_ids, attention_mask=mask).logits for name in ("eager", "sdpa")]
    torch.testing.assert_close(got[0][mask.bool()], got[1][mask.bool()], **EXACT)


def test_attentions_are_probabilities_that_look_at_no_later_token(model):
    attentions = with_attention(model, "eager")(prompt(), output_attentions=True).attentions
    assert [tuple(a.shape) for a in attentions] == [(2, 4, 9, 9)] * 3
    for weights in attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 9), **EXACT)
        assert weights.triu(1).abs().max() == 0


def test_a_mask_of_four_dimensions_is_used_as_it_is(model):
    blocked = torch.zeros(2, 1, 9, 9).masked_fill(torch.ones(9, 9).triu(1).bool(), float("-inf"))
    blocked[:, :, 4:, :4] = float("-inf")  # two sequences in one row
    positions = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 4]).repeat(2, 1)
    got = model(prompt(), attention_mask=blocked, position_ids=positions).logits
    torch.testing.assert_close(got[:, :4], model(prompt()[:, :4]).logits, **EXACT)
    torch.testing.assert_close(got[:, 4:], model(prompt()[:, 4:]).logits, **EXACT)


# Outputs


def test_hidden_states_begin_with_the_embedding_and_end_with_the_norm(model):
    base = model.model
    out = base(prompt(), output_hidden_states=True)
    assert len(out.hidden_states) == model.config.num_hidden_layers + 1
    torch.testing.assert_close(out.hidden_states[0], base.embed_tokens(prompt()))
    torch.testing.assert_close(out.hidden_states[-1], out.last_hidden_state)


def test_a_tuple_holds_what_the_named_output_holds(model):
    named = model(prompt(), labels=prompt(), output_hidden_states=True)
    plain = model(prompt(), labels=prompt(), output_hidden_states=True, return_dict=False)
    torch.testing.assert_close(plain[0], named.loss)
    torch.testing.assert_close(plain[1], named.logits)
    assert len(plain) == len(named.to_tuple())


def test_gradients_reach_hidden_states_that_are_kept(model):
    out = model(prompt(), output_hidden_states=True)
    for hidden in out.hidden_states:
        hidden.retain_grad()
    out.logits.sum().backward()
    assert all(hidden.grad is not None for hidden in out.hidden_states)
    model.zero_grad()


def test_the_same_input_gives_the_same_output(model):
    assert torch.equal(model(prompt()).logits, model(prompt()).logits)


def test_a_batch_is_its_rows(model):
    whole = model(prompt(4)).logits
    for row in range(4):
        torch.testing.assert_close(whole[row], model(prompt(4)[row][None]).logits[0], **EXACT)


# Embeddings


def test_embeddings_can_be_got_and_set(model):
    other = copy.deepcopy(model)
    assert isinstance(other.get_input_embeddings(), torch.nn.Embedding)
    assert other.get_output_embeddings() is other.lm_head
    other.set_input_embeddings(torch.nn.Embedding(10, 64))
    assert other.model.embed_tokens.num_embeddings == 10


@pytest.mark.parametrize("size", [120, 140])
@pytest.mark.parametrize("tied", [False, True])
def test_the_vocabulary_can_be_resized(size, tied):
    torch.manual_seed(0)
    special = {"bos_token_id": None, "pad_token_id": None, "eos_token_id": None}
    resized = AXK1ForCausalLM(tiny_config(tie_word_embeddings=tied, **special)).eval()
    input_ids = prompt() % 100
    before = resized(input_ids).logits
    resized.resize_token_embeddings(size)
    assert resized.config.vocab_size == resized.lm_head.out_features == size
    kept = min(size, 128)
    torch.testing.assert_close(resized(input_ids).logits[..., :kept], before[..., :kept], **EXACT)
    assert (resized.lm_head.weight is resized.model.embed_tokens.weight) == tied
    assert torch.isfinite(resized(input_ids, labels=input_ids).loss)


def test_a_resized_model_is_saved_and_loaded(tmp_path):
    special = {"bos_token_id": None, "pad_token_id": None, "eos_token_id": None}
    resized = AXK1ForCausalLM(tiny_config(**special)).eval()
    resized.resize_token_embeddings(140)
    resized.save_pretrained(tmp_path)
    assert torch.equal(AXK1ForCausalLM.from_pretrained(tmp_path)(prompt()).logits, resized(prompt()).logits)


# Training


def test_every_parameter_that_is_used_gets_a_gradient():
    torch.manual_seed(0)
    trained = AXK1ForCausalLM(tiny_config(num_experts_per_tok=4)).train()
    trained(prompt(4, 60), labels=prompt(4, 60)).loss.backward()
    without = {name for name, parameter in trained.named_parameters() if parameter.grad is None}
    assert without == {"model.layers.0.post_mlp_layernorm.weight"}


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_of_either_kind_trains(reentrant):
    torch.manual_seed(0)
    trained = AXK1ForCausalLM(tiny_config()).train()
    trained.gradient_checkpointing_enable({"use_reentrant": reentrant})
    trained.enable_input_require_grads()
    trained(prompt(), labels=prompt()).loss.backward()
    assert trained.model.layers[1].self_attn.o_proj.weight.grad.abs().sum() > 0
    trained.gradient_checkpointing_disable()
    assert not trained.is_gradient_checkpointing


def test_initial_values_are_those_that_the_config_asks_for():
    torch.manual_seed(0)
    fresh = AXK1ForCausalLM(tiny_config(initializer_range=0.05))
    for name, parameter in fresh.state_dict().items():
        if "norm" in name:
            assert torch.equal(parameter, torch.ones_like(parameter)), name
        else:
            assert abs(float(parameter.std()) - 0.05) < 0.01, name
            assert abs(float(parameter.mean())) < 0.01, name


def test_the_head_is_free_of_the_embedding_unless_tied(model):
    assert model.lm_head.weight.data_ptr() != model.model.embed_tokens.weight.data_ptr()


# Generation


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": True, "top_k": 5},
        {"do_sample": True, "top_p": 0.7, "temperature": 0.6},
        {"num_beams": 3, "do_sample": True},
        {"num_beams": 3, "num_return_sequences": 2, "do_sample": False},
        {"do_sample": False, "repetition_penalty": 1.3},
        {"do_sample": False, "no_repeat_ngram_size": 2},
    ],
    ids=str,
)
def test_generating_with_a_cache_is_generating_without(model, options):
    def run(use_cache: bool) -> torch.Tensor:
        torch.manual_seed(0)
        return model.generate(prompt(), max_new_tokens=6, use_cache=use_cache, **{**GREEDY, **options})

    assert torch.equal(run(True), run(False))


def test_generate_goes_on_from_a_given_cache(model):
    whole = model.generate(prompt(), max_new_tokens=8, **GREEDY)
    first = model.generate(prompt(), max_new_tokens=4, return_dict_in_generate=True, **GREEDY)
    second = model.generate(first.sequences, max_new_tokens=4, past_key_values=first.past_key_values, **GREEDY)
    assert torch.equal(second, whole)


def test_generate_from_embeddings_is_generate_from_ids(model):
    embedded = model.model.embed_tokens(prompt())
    got = model.generate(inputs_embeds=embedded, max_new_tokens=5, **GREEDY)
    assert torch.equal(got, model.generate(prompt(), max_new_tokens=5, **GREEDY)[:, 9:])


def test_generate_returns_what_it_is_asked_for(model):
    out = with_attention(model, "eager").generate(
        prompt(),
        max_new_tokens=3,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
        output_hidden_states=True,
        output_attentions=True,
        **GREEDY,
    )
    assert len(out.scores) == len(out.logits) == len(out.hidden_states) == len(out.attentions) == 3
    assert out.hidden_states[0][0].shape == (2, 9, 64)
    assert out.hidden_states[1][0].shape == (2, 1, 64)
    assert out.attentions[1][0].shape == (2, 4, 1, 10)


def test_a_cache_can_be_cropped_and_its_rows_repeated_and_selected(model):
    cache = DynamicCache(config=model.config)
    model(prompt(), past_key_values=cache, use_cache=True)
    cache.crop(-4)
    assert cache.get_seq_length() == 5
    cache.batch_repeat_interleave(2)
    cache.reorder_cache(torch.tensor([3, 2, 1, 0]))
    cache.batch_select_indices(torch.tensor([0, 3]))
    rest = prompt()[[1, 0], 5:]
    got = model(rest, past_key_values=cache, use_cache=True).logits
    torch.testing.assert_close(got, model(prompt()[[1, 0]]).logits[:, 5:], **EXACT)


def test_a_prompt_may_be_read_in_chunks(model):
    expected = model.generate(prompt(), max_new_tokens=5, **GREEDY)
    assert torch.equal(model.generate(prompt(), max_new_tokens=5, prefill_chunk_size=4, **GREEDY), expected)


@pytest.mark.parametrize("assistant", ["itself", "another", "the prompt"])
def test_assisted_generation_gives_the_greedy_tokens(model, assistant):
    torch.manual_seed(9)
    expected = model.generate(prompt(1), max_new_tokens=10, **GREEDY)
    helper = model if assistant == "itself" else AXK1ForCausalLM(tiny_config(num_hidden_layers=1)).eval()
    how = {"prompt_lookup_num_tokens": 2} if assistant == "the prompt" else {"assistant_model": helper}
    assert torch.equal(model.generate(prompt(1), max_new_tokens=10, **GREEDY, **how), expected)


def test_generation_stops_at_the_tokens_it_is_told_to_stop_at(model):
    free = model.generate(prompt(1), max_new_tokens=6, **GREEDY)[0, 9:]
    stop = int(free[2])
    stopped = model.generate(prompt(1), max_new_tokens=6, **{**GREEDY, "eos_token_id": [stop, 127]})[0, 9:]
    first = free.tolist().index(stop)
    assert stopped.tolist() == free[: first + 1].tolist()


def test_generation_under_bf16_autocast_gives_finite_logits(model):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model.generate(prompt(), max_new_tokens=3, output_logits=True, return_dict_in_generate=True, **GREEDY)
    assert all(torch.isfinite(step).all() for step in out.logits)


# Heads


def test_a_sequence_is_scored_by_its_last_token_on_whichever_side_it_is_padded():
    torch.manual_seed(0)
    config = tiny_config(num_labels=3)
    classifier = AutoModelForSequenceClassification.from_config(config).eval()
    assert type(classifier) is AXK1ForSequenceClassification
    alone = classifier(prompt(1, 6)).logits
    assert alone.shape == (1, 3)
    pad = torch.full((1, 3), config.pad_token_id)
    mask = torch.tensor([[1] * 6 + [0] * 3])
    right = classifier(torch.cat([prompt(1, 6), pad], dim=1), attention_mask=mask).logits
    positions = torch.tensor([[0, 0, 0, 0, 1, 2, 3, 4, 5]])
    left = classifier(torch.cat([pad, prompt(1, 6)], dim=1), attention_mask=mask.flip(1), position_ids=positions).logits
    torch.testing.assert_close(right, alone, **EXACT)
    torch.testing.assert_close(left, alone, **EXACT)


@pytest.mark.parametrize(
    ("problem", "labels"),
    [
        ("single_label_classification", torch.tensor([0, 2])),
        ("multi_label_classification", torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])),
        ("regression", torch.randn(2, 3)),
    ],
)
def test_every_kind_of_sequence_label_gives_a_loss(problem, labels):
    classifier = AXK1ForSequenceClassification(tiny_config(num_labels=3, problem_type=problem))
    classifier(prompt(), labels=labels).loss.backward()
    assert classifier.score.weight.grad.abs().sum() > 0


def test_tokens_are_scored_one_by_one():
    classifier = AutoModelForTokenClassification.from_config(tiny_config(num_labels=5)).eval()
    assert type(classifier) is AXK1ForTokenClassification
    out = classifier(prompt(), labels=prompt() % 5)
    assert out.logits.shape == (2, 9, 5)
    expected = torch.nn.functional.cross_entropy(out.logits.flatten(0, 1), (prompt() % 5).flatten())
    torch.testing.assert_close(out.loss, expected)


@pytest.mark.parametrize("head", [AXK1ForSequenceClassification, AXK1ForTokenClassification])
def test_a_classifier_starts_from_a_language_model_and_is_saved_and_loaded(model, tmp_path, head):
    model.save_pretrained(tmp_path / "model")
    classifier = head.from_pretrained(tmp_path / "model", num_labels=4)
    assert torch.equal(classifier.model.norm.weight, model.model.norm.weight)
    classifier.save_pretrained(tmp_path / "classifier")
    loaded = head.from_pretrained(tmp_path / "classifier")
    assert torch.equal(loaded(prompt()).logits, classifier(prompt()).logits)
    base = AXK1Model.from_pretrained(tmp_path / "classifier")
    assert torch.equal(base.norm.weight, model.model.norm.weight)
