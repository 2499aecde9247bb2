"""Multi-token prediction: the module against oracles, its loss, its files, and drafts that change nothing but speed."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from transformers import TextStreamer
from transformers.cache_utils import DynamicCache
from transformers.models.axk1.configuration_axk1 import AXK1Config as NativeConfig
from transformers.models.axk1.modeling_axk1 import AXK1ForCausalLM as NativeAXK1ForCausalLM

from modeling_axk1 import AXK1Config, AXK1ForCausalLM
from modeling_axk1.model import modeling_axk1
from modeling_axk1.model.reference import reference_mtp_logits
from modeling_axk1.weights.names import expected_tensors
from tests.conftest import tiny_config

PAD = 6


def predictor_model(seed: int = 0, **changes) -> AXK1ForCausalLM:
    """A random model in float64 with a module; so few tokens that a random draft is right now and then."""
    torch.manual_seed(seed)
    ids = {"vocab_size": 8, "bos_token_id": 5, "pad_token_id": PAD, "eos_token_id": 7}
    config = tiny_config(**{**ids, "num_nextn_predict_layers": 1, "initializer_range": 0.2, **changes})
    model = AXK1ForCausalLM(config).eval()
    model.set_experts_implementation("eager")  # grouped_mm knows no float64
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if "norm" in name or "bias" in name:
                tensor.add_(0.3 * torch.randn_like(tensor))
    return model.double()


def tokens(batch: int, length: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 5, (batch, length), generator=torch.Generator().manual_seed(seed))


def left_padded(lengths: list[int], seed: int = 1) -> dict[str, torch.Tensor]:
    input_ids = tokens(len(lengths), max(lengths), seed)
    mask = torch.tensor([[0] * (max(lengths) - n) + [1] * n for n in lengths])
    return {"input_ids": input_ids.masked_fill(mask == 0, PAD), "attention_mask": mask}


# The module


def test_the_published_model_has_no_module_and_ours_has_it_after_the_last_layer():
    assert AXK1Config().num_nextn_predict_layers == 0
    config = tiny_config(num_nextn_predict_layers=1, num_hidden_layers=4)
    names = {n.removeprefix("model.layers.4.") for n in AXK1ForCausalLM(config).state_dict() if ".layers.4." in n}
    last_layer = {n.removeprefix("model.layers.3.") for n in AXK1ForCausalLM(config).state_dict() if ".layers.3." in n}
    assert names - last_layer == {"enorm.weight", "hnorm.weight", "eh_proj.weight", "shared_head.norm.weight"}
    assert last_layer < names


def test_at_full_size_the_module_adds_8_7_billion_parameters():
    with torch.device("meta"):
        config = AXK1Config(num_hidden_layers=1, num_nextn_predict_layers=1)
        module = AXK1ForCausalLM(config).model.layers[1]
    assert sum(p.numel() for p in module.parameters()) == 8_705_060_864


def test_more_than_one_module_is_refused():
    with pytest.raises(ValueError, match="num_nextn_predict_layers must be 0 or 1, got 2"):
        tiny_config(num_nextn_predict_layers=2)


def test_forward_does_not_run_the_module():
    model = predictor_model()
    model.model.layers[-1].register_forward_hook(lambda *_: pytest.fail("the module ran"))
    without = AXK1ForCausalLM(tiny_config(**{**model.config.to_dict(), "num_nextn_predict_layers": 0})).double().eval()
    without.set_experts_implementation("eager")
    without.load_state_dict({n: t for n, t in model.state_dict().items() if n in without.state_dict()})
    out = model(tokens(2, 9), labels=tokens(2, 9), output_hidden_states=True, output_router_logits=True)
    assert torch.equal(out.logits, without(tokens(2, 9)).logits)
    assert torch.equal(out.loss, without(tokens(2, 9), labels=tokens(2, 9)).loss)
    assert (len(out.hidden_states), len(out.router_logits), out.mtp_loss) == (4, 2, None)


def ahead_logits(model: AXK1ForCausalLM, input_ids: torch.Tensor) -> torch.Tensor:
    hidden = model.model(input_ids).last_hidden_state
    ahead = model.model.look_ahead(hidden[:, :-1], model.model.embed_tokens(input_ids[:, 1:]))
    return model.lm_head(ahead.last_hidden_state)


@pytest.mark.parametrize("changes", [{}, {"moe_layer_freq": 2}, {"tie_word_embeddings": True}])
def test_the_module_computes_what_the_reference_in_plain_loops_computes(changes):
    model = predictor_model(**changes)
    input_ids = tokens(1, 10)
    expected = reference_mtp_logits(model.state_dict(), model.config, input_ids[0].tolist())
    torch.testing.assert_close(ahead_logits(model, input_ids)[0], expected, rtol=0, atol=1e-6)


def test_the_module_computes_what_that_of_native_transformers_computes():
    """Its MtpModel, which loads DeepSeek-V3's names, around a native axk1; the names are those it converts from."""
    from transformers.modeling_layers import MtpModel  # not before our model: it is half imported when ours needs it

    model = predictor_model(first_k_dense_replace=0)  # its module's kind is that of layer 0 in the oldest version
    native_config = NativeConfig(**{**model.config.to_dict(), "mtp_mlp_layer_types": ["sparse"], "num_mtp_layers": 1})
    native = NativeAXK1ForCausalLM(native_config).double().eval()
    oracle = MtpModel(native, 1).double().eval()
    oracle.set_experts_implementation("eager")
    prefix = f"model.layers.{model.config.num_hidden_layers}."
    own = {n.removeprefix(prefix): t for n, t in model.state_dict().items() if n.startswith(prefix)}
    beside = ("enorm", "hnorm", "eh_proj")
    state = {f"layers.0.{'' if n.startswith(beside) else 'mtp_block.'}{n}": t for n, t in own.items()}
    state["layers.0.post_norm.weight"] = state.pop("layers.0.mtp_block.shared_head.norm.weight")
    norm = "layers.0.mtp_block.post_mlp_layernorm.weight"
    state[norm.replace("post_mlp", "mlp.post_mlp")] = state.pop(norm)
    state |= {"embed_tokens.weight": model.model.embed_tokens.weight, "shared_head.weight": model.lm_head.weight}
    missing, unexpected = oracle.load_state_dict(state, strict=False)
    assert unexpected == []
    assert all("e_score_correction_bias" in name for name in missing)  # native has one always, zero here

    input_ids, positions = tokens(1, 10), torch.arange(1, 10)[None]
    expected = oracle.layers[0](
        oracle.embed_tokens(input_ids[:, 1:]),
        model.model(input_ids).last_hidden_state[:, :-1],
        position_embeddings=native.model.rotary_emb(model.lm_head.weight, positions),
        attention_mask=torch.ones(9, 9, dtype=torch.bool).tril()[None, None],
        position_ids=positions,
        past_key_values=None,
    )
    # Native's angles are float32, and its positions start at 1: rotations are relative.
    torch.testing.assert_close(ahead_logits(model, input_ids), oracle.shared_head(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("piece", [1, 7, 29])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("cached", [True, False])
def test_a_long_prompt_passes_the_module_in_pieces_and_says_the_same(monkeypatch, piece, side, cached):
    model, generator = predictor_model(), torch.Generator().manual_seed(1)
    hidden, embeds = torch.randn(2, 2, 30, model.config.hidden_size, dtype=torch.double, generator=generator)
    pad = (12, 0) if side == "left" else (0, 12)
    mask = torch.stack([torch.ones(30, dtype=torch.long), F.pad(torch.ones(18, dtype=torch.long), pad)])
    cache, widths = DynamicCache() if cached else None, []
    model.model.layers[-1].register_forward_hook(lambda module, args, out: widths.append(out.shape[1]))
    with torch.no_grad():
        whole = model.model.look_ahead(hidden, embeds, mask).last_hidden_state
        monkeypatch.setattr(modeling_axk1, "_PREFILL_CHUNK", piece)
        out = model.model.look_ahead(hidden, embeds, mask, past_key_values=cache)
    torch.testing.assert_close(out.last_hidden_state[mask.bool()], whole[mask.bool()], rtol=0, atol=1e-6)
    assert widths[0] == sum(widths[1:]) == 30
    assert max(widths[1:]) == piece
    assert out.past_key_values is cache
    assert not cached or cache.get_seq_length() == 30


# Training


def test_the_loss_is_the_mean_cross_entropy_of_the_token_after_next_and_so_are_its_gradients():
    model = predictor_model(mtp_loss_weight=0.25).train()
    input_ids = tokens(1, 9)
    state = {n: t.detach().clone().requires_grad_(t.is_floating_point()) for n, t in model.state_dict().items()}
    logits = reference_mtp_logits(state, model.config, input_ids[0].tolist())
    expected = torch.stack([-logits[i].log_softmax(-1)[input_ids[0, i + 2]] for i in range(7)]).mean()
    expected.backward()

    out = model(input_ids, labels=input_ids)
    next_token = F.cross_entropy(out.logits[0, :-1].float(), input_ids[0, 1:])
    torch.testing.assert_close(out.mtp_loss.double(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(out.loss, next_token + 0.25 * out.mtp_loss, rtol=0, atol=1e-5, check_dtype=False)
    out.mtp_loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            assert state[name].grad is None
        else:
            torch.testing.assert_close(parameter.grad, state[name].grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_and_ignored_labels_are_no_part_of_the_loss(side):
    model = predictor_model().train()
    short, long = tokens(1, 6), tokens(1, 9, seed=2)
    pad = (3, 0) if side == "left" else (0, 3)
    batch = {
        "input_ids": torch.cat([F.pad(short, pad, value=PAD), long]),
        "attention_mask": torch.cat([F.pad(torch.ones_like(short), pad), torch.ones_like(long)]),
        "labels": torch.cat([F.pad(short, pad, value=-100), long]),
    }
    parts = [model(ids, labels=ids).mtp_loss * (ids.shape[1] - 2) for ids in (short, long)]
    # On the left, position 0 is not the row's first token here: rotations are relative.
    torch.testing.assert_close(model(**batch).mtp_loss, sum(parts) / 11, rtol=0, atol=1e-5)


def test_a_mask_of_queries_and_keys_says_what_a_plain_one_says():
    model, ids = predictor_model().train(), tokens(2, 9)
    causal = torch.ones(9, 9, dtype=torch.bool).tril()[None, None].expand(2, 1, 9, 9)
    expected = model(ids, labels=ids, attention_mask=torch.ones_like(ids)).mtp_loss
    torch.testing.assert_close(model(ids, labels=ids, attention_mask=causal).mtp_loss, expected)


def test_a_batch_with_nothing_after_next_has_no_such_loss():
    model = predictor_model().train()
    out = model(tokens(2, 2), labels=tokens(2, 2))
    assert out.mtp_loss == 0
    assert out.loss.isfinite()


def test_gradient_checkpointing_changes_no_gradient_of_the_module():
    gradients = []
    for checkpointing in (False, True):
        model = predictor_model().train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(tokens(2, 9), labels=tokens(2, 9)).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert "model.layers.3.eh_proj.weight" in gradients[0]
    torch.testing.assert_close(gradients[1], gradients[0])


# Files


def test_save_and_load_keeps_every_tensor_under_its_name(tmp_path):
    model = predictor_model(use_router_bias=True).float()
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    stored = {}
    for shard in tmp_path.glob("*.safetensors"):
        with safe_open(shard, "pt") as file:
            stored |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    expected = {name: spec.shape for name, spec in expected_tensors(model.config.to_dict()).items()}
    assert {name: tuple(tensor.shape) for name, tensor in stored.items()} == expected
    loaded, info = AXK1ForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


def test_the_exported_files_alone_decode_with_drafts(tmp_path):
    model = predictor_model().float()
    auto_map = {"AutoConfig": "configuration_axk1.AXK1Config", "AutoModelForCausalLM": "modeling_axk1.AXK1ForCausalLM"}
    model.config.auto_map = auto_map
    model.save_pretrained(tmp_path / "export")
    for source in Path(modeling_axk1.__file__).parent.glob("*_axk1.py"):
        (tmp_path / "export" / source.name).write_text(source.read_text())
    program = """
import sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained("export", trust_remote_code=True)
options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
prompt = torch.tensor([[0, 1, 2], [3, 4, 0]])
assert torch.equal(model.generate(prompt, use_mtp=True, **options), model.generate(prompt, **options))
print("modeling_axk1" in sys.modules, type(model).__name__)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert result.stdout.strip() == "False AXK1ForCausalLM", result.stderr


# Decoding with drafts


# Processors that read the tokens so far, that know the prompt's padding, that know which row is which.
PROCESSORS = {
    "none": {},
    "repetition": {"repetition_penalty": 1.3},
    "minimum": {"min_new_tokens": 6},
    "n-grams": {"no_repeat_ngram_size": 2},
    "by row": {"prefix_allowed_tokens_fn": lambda row, ids: [row, 4, (int(ids[-1]) + len(ids)) % 8]},
}


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    eos=st.none() | st.lists(st.integers(0, 7), min_size=1, max_size=3, unique=True),
    processor=st.sampled_from(list(PROCESSORS)),
    piece=st.integers(1, 7),
)
def test_greedy_with_drafts_is_greedy(seed, lengths, eos, processor, piece):
    """Whatever the batch, its padding, an end inside an accepted draft, processors, or the pieces of a long prompt."""
    model = predictor_model(seed)
    prompt = left_padded(lengths, seed)
    options = {"max_new_tokens": 14, "do_sample": False, "eos_token_id": eos, **PROCESSORS[processor]}
    greedy = model.generate(**prompt, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modeling_axk1, "_PREFILL_CHUNK", piece)
        assert torch.equal(model.generate(**prompt, use_mtp=True, **options), greedy)


def test_each_row_of_a_batch_accepts_for_itself_and_the_counts_say_so():
    model = predictor_model(seed=3)
    prompt = left_padded([7, 2, 5, 4])
    options = {"max_new_tokens": 40, "do_sample": False, "eos_token_id": None, "return_dict_in_generate": True}
    together = model.generate(**prompt, use_mtp=True, **options)
    for row, length in enumerate([7, 2, 5, 4]):
        alone = model.generate(prompt["input_ids"][row : row + 1, -length:], use_mtp=True, **options)
        assert (together.drafted[row], together.accepted[row]) == (alone.drafted[0], alone.accepted[0])
        # The first token needs no draft; every draft brings a token, an accepted one two; the last may be cut off.
        assert 1 + alone.drafted[0] + alone.accepted[0] in (40, 41)
    assert len(set(together.accepted)) > 1
    assert together.acceptance_rate == sum(together.accepted) / sum(together.drafted)


def test_a_module_that_has_learnt_is_mostly_right_and_halves_the_passes():
    model = predictor_model().float().train()
    model.set_experts_implementation("grouped_mm")
    cycle = torch.tensor([0, 1, 2, 3, 4]).repeat(8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(60):
        batch = torch.stack([cycle[(step + row) % 5 :][:20] for row in range(4)])
        model(batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    passes = []
    model.model.layers[0].register_forward_hook(lambda *_: passes.append(1))
    options = {"max_new_tokens": 40, "do_sample": False, "eos_token_id": None, "return_dict_in_generate": True}
    out = model.generate(cycle[None, :5], use_mtp=True, **options)
    assert out.sequences[0].tolist() == [0, 1, 2, 3, 4] * 9
    assert out.acceptance_rate > 0.9
    assert len(passes) <= 24


SAMPLES, DRAWN = 4000, 3


def excess_over_chance(model: AXK1ForCausalLM, **options) -> float:
    """Sample sequences of three tokens; return how many standard deviations chi square exceeds its mean.

    What each sequence's probability should be is computed from logits of all sequences. Cells expected less than 5
    times are pooled, and chi square has then about `cells - 1` as its mean and twice that as its variance.
    """
    prompt, V = tokens(1, 4), model.config.vocab_size
    torch.manual_seed(0)
    drawn = model.generate(
        prompt.repeat(SAMPLES, 1), max_new_tokens=DRAWN, eos_token_id=None, do_sample=True, **options
    )[:, -DRAWN:]
    every = torch.cartesian_prod(*[torch.arange(V)] * DRAWN)
    logits = model(torch.cat([prompt.repeat(len(every), 1), every], dim=1)).logits[:, 3:-1] / options["temperature"]
    kth = logits.topk(options["top_k"]).values[..., -1:]
    log_probabilities = logits.masked_fill(logits < kth, float("-inf")).log_softmax(-1)
    expected = log_probabilities.gather(-1, every[..., None]).sum((1, 2)).exp() * SAMPLES
    observed = torch.bincount(drawn @ torch.tensor([V * V, V, 1]), minlength=len(every)).double()
    rare = expected < 5
    expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
    observed = torch.cat([observed[~rare], observed[rare].sum()[None]])
    freedom = len(expected) - 1
    chi_square = ((observed - expected) ** 2 / expected).sum().item()
    return (chi_square - freedom) / (2 * freedom) ** 0.5


def test_sampling_with_drafts_has_exactly_the_distribution_of_sampling(monkeypatch):
    model = predictor_model()
    options = {"temperature": 0.8, "top_k": 6}
    assert abs(excess_over_chance(model, **options)) < 4
    assert abs(excess_over_chance(model, use_mtp=True, **options)) < 4
    # The measure is sharp enough to see the difference: drafts that are always accepted are far off.
    monkeypatch.setattr(torch, "rand_like", torch.zeros_like)
    assert excess_over_chance(model, use_mtp=True, **options) > 20


def test_sampling_with_drafts_follows_the_seed():
    model, samples = predictor_model(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        samples.append(model.generate(tokens(2, 5), use_mtp=True, do_sample=True, max_new_tokens=20, top_k=0))
    assert torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])


def test_a_streamer_gets_every_token_once_and_in_order():
    model, put = predictor_model(seed=3), []

    class Recorder:
        def put(self, value):
            put.extend(value.flatten().tolist())

        def end(self):
            put.append("end")

    options = {"max_new_tokens": 20, "do_sample": False, "eos_token_id": None}
    out = model.generate(tokens(1, 5), use_mtp=True, streamer=Recorder(), **options)
    assert put == [*out[0].tolist(), "end"]


@pytest.mark.parametrize(
    ("changes", "options", "rule"),
    [
        ({"num_nextn_predict_layers": 0}, {}, "use_mtp needs a multi-token prediction module"),
        ({}, {"cache_implementation": "static"}, "a dynamic cache, got StaticCache"),
        ({}, {"use_cache": False}, "needs use_cache and a dynamic cache, got NoneType"),
        ({}, {"return_dict_in_generate": True, "output_scores": True}, "sequences only, not output_scores"),
        ({}, {"streamer": TextStreamer(None)}, "a streamer takes one row, got a batch of 2"),
    ],
)
def test_what_drafts_cannot_do_is_refused_with_the_rule(changes, options, rule):
    model = predictor_model(**changes)
    if "streamer" in options:
        options["streamer"].put = lambda value: None
    with pytest.raises(ValueError, match=rule):
        model.generate(tokens(2, 5), use_mtp=True, max_new_tokens=4, do_sample=False, **options)


def test_other_kinds_of_drafts_are_left_to_transformers():
    model = predictor_model()
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
    plain = model.generate(tokens(1, 9), **options)
    assert torch.equal(model.generate(tokens(1, 9), prompt_lookup_num_tokens=3, **options), plain)
    assert torch.equal(model.generate(tokens(1, 9), assistant_model=predictor_model(seed=1), **options), plain)
