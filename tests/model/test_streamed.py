"""A model under a memory cap says what the model in memory says, to the last bit, however little it may keep."""

import gc
import threading
from functools import cache

import pytest
import torch

from modeling_axk1 import AXK1ForCausalLM, AXK1Model
from modeling_axk1.model import attach_axk1 as attach
from modeling_axk1.model import modeling_axk1 as modeling
from modeling_axk1.model import streamed_axk1 as streamed
from modeling_axk1.model.memory_axk1 import plan_memory
from modeling_axk1.weights.convert import Conversion, convert
from modeling_axk1.weights.order import Sharding
from tests.conftest import tiny_config
from tests.weights.quantised import wide_model

FORMS = ("fused", "per-expert", "fp8", "int8", "int4")
# One expert; some; all.
EXPERT_MEMORY = ("one", "some", "1GiB")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """The same model in each stored form, below one folder."""
    folder = tmp_path_factory.mktemp("streamed")
    wide_model(num_hidden_layers=4).save_pretrained(folder / "fused", max_shard_size="2MB")
    convert(folder / "fused", folder / "per-expert", Conversion(layout="per-expert"), Sharding(shard_bytes=2_000_000))
    for weights in ("fp8", "int8", "int4"):
        convert(folder / "fused", folder / weights, Conversion(weights=weights), Sharding(shard_bytes=2_000_000))
    return folder


@pytest.fixture(scope="module")
def loaded(checkpoints):
    return {form: AXK1ForCausalLM.from_pretrained(checkpoints / form).eval() for form in FORMS}


@cache
def one_expert(folder) -> int:
    """Bytes of a slot for one expert, as the error says that names the least."""
    with pytest.raises(ValueError, match="expert_memory must be at least") as error:
        AXK1ForCausalLM.from_pretrained(folder, expert_memory=1)
    return int(str(error.value).split("at least ")[1].split()[0].replace(",", ""))


def load(folder, **kwargs) -> AXK1ForCausalLM:
    size = kwargs.get("expert_memory")
    if size in ("one", "some"):
        kwargs["expert_memory"] = one_expert(folder) * (1 if size == "one" else 5)
    return AXK1ForCausalLM.from_pretrained(folder, **kwargs).eval()


@torch.no_grad()
def logits(model, input_ids, **kwargs):
    return model(input_ids, **kwargs).logits


class TestExactness:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("expert_memory", EXPERT_MEMORY)
    def test_logits_are_the_loaded_models(self, checkpoints, loaded, form, expert_memory):
        model = load(checkpoints / form, expert_memory=expert_memory)
        for shape in ((1, 1), (2, 5), (3, 40)):
            input_ids = torch.arange(shape[0] * shape[1]).view(shape)
            assert torch.equal(logits(model, input_ids), logits(loaded[form], input_ids))

    @pytest.mark.parametrize("form", FORMS)
    def test_so_they_are_when_the_whole_process_is_bounded(self, checkpoints, loaded, form):
        model = load(checkpoints / form, memory="8GiB")
        assert not any(module.weight is not None for module in model.modules() if type(module) is torch.nn.Linear)
        for _ in range(2):
            input_ids = torch.arange(30).view(2, 15)
            assert torch.equal(logits(model, input_ids), logits(loaded[form], input_ids))

    @pytest.mark.parametrize("form", ["fused", "int4"])
    def test_and_when_nothing_of_the_rest_can_stay(self, checkpoints, loaded, form, monkeypatch):
        # Blocks of two rows of the head, and memory for two pieces of the rest and two experts.
        monkeypatch.setattr(attach, "_BLOCK_BYTES", 2 * 256 * 2)

        def just_enough(memory, in_use, reserve, rest, expert_slot_bytes, *numbers):
            memory = in_use + reserve + 2 * max(rest.values()) + 2 * expert_slot_bytes
            return plan_memory(memory, in_use, reserve, rest, expert_slot_bytes, *numbers)

        monkeypatch.setattr(attach, "plan_memory", just_enough)
        model = load(checkpoints / form, memory="8GiB")
        assert (model.streamed.rest.slots, model.streamed.experts.slots) == (2, 2)
        assert not model.streamed.rest.fixed
        input_ids = torch.arange(24).view(2, 12)
        assert torch.equal(logits(model, input_ids), logits(loaded[form], input_ids))
        assert torch.equal(logits(model, input_ids), logits(loaded[form], input_ids))

    def test_generation_by_a_cache_is_the_same(self, checkpoints, loaded):
        model = load(checkpoints / "fused", expert_memory="some")
        options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
        input_ids = torch.arange(6)[None]
        assert torch.equal(model.generate(input_ids, **options), loaded["fused"].generate(input_ids, **options))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    def test_in_another_dtype_than_the_stored_one(self, checkpoints, dtype):
        reference = load(checkpoints / "fused", dtype=dtype)
        input_ids = torch.arange(10)[None]
        for kwargs in ({"expert_memory": "some"}, {"memory": "8GiB"}):
            model = load(checkpoints / "fused", dtype=dtype, **kwargs)
            assert torch.allclose(logits(model, input_ids), logits(reference, input_ids), rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_by_the_products_of_wide_experts(self, tmp_path, dtype):
        """Experts of 16 MiB and more, which `rows_times_transposed` multiplies in other ways."""
        torch.manual_seed(0)
        wide = {"hidden_size": 2048, "moe_intermediate_size": 2048, "n_routed_experts": 4, "num_hidden_layers": 1}
        config = tiny_config(**wide, first_k_dense_replace=0, n_group=2, topk_group=1, initializer_range=0.05)
        AXK1ForCausalLM(config).to(dtype).save_pretrained(tmp_path)
        # Not the model just made: oneDNN rounds otherwise for weights that begin elsewhere in a cache line.
        reference, model = load(tmp_path), load(tmp_path, expert_memory="one")
        assert reference.model.layers[0].mlp.experts.gate_up_proj[0].nbytes >= modeling._STREAMED_BYTES
        for tokens in (2, 5, 8, 20, 130):
            input_ids = torch.arange(tokens)[None] % 128
            assert torch.equal(logits(model, input_ids), logits(reference, input_ids))

    def test_it_makes_no_difference_whether_gradients_are_recorded(self, checkpoints, loaded):
        model, input_ids = load(checkpoints / "fused", expert_memory="some"), torch.arange(10)[None]
        assert torch.equal(model(input_ids).logits, loaded["fused"](input_ids).logits)

    def test_the_base_model_alone(self, checkpoints, loaded):
        model = AXK1Model.from_pretrained(checkpoints / "fused", expert_memory="1GiB").eval()
        with torch.no_grad():
            hidden = model(torch.arange(9)[None]).last_hidden_state
            assert torch.equal(hidden, loaded["fused"].model(torch.arange(9)[None]).last_hidden_state)


class TestLongPrompts:
    @pytest.fixture
    def short_pieces(self, monkeypatch):
        monkeypatch.setattr(modeling, "_PREFILL_CHUNK", 8)

    @pytest.mark.parametrize("kwargs", [{"expert_memory": "one"}, {"memory": "8GiB"}])
    @pytest.mark.parametrize("padded", [False, True])
    def test_layer_by_layer_is_piece_by_piece(self, checkpoints, loaded, short_pieces, kwargs, padded):
        model = load(checkpoints / "fused", **kwargs)
        input_ids = torch.arange(140).view(2, 70) % 128
        mask = torch.ones_like(input_ids)
        mask[0, :11] = not padded
        mine, theirs = (logits(each, input_ids, attention_mask=mask) for each in (model, loaded["fused"]))
        assert torch.equal(mine, theirs)

    def test_each_expert_is_read_once_for_pieces_that_go_together(self, checkpoints, short_pieces):
        model = load(checkpoints / "fused", expert_memory="one")
        logits(model, torch.arange(8 * streamed.PIECES_TOGETHER)[None])
        counts = model.streamed.experts.counts
        assert counts.misses <= len(model.streamed.experts.pieces)
        before = counts.misses
        logits(model, torch.arange(8 * streamed.PIECES_TOGETHER * 2)[None])
        assert counts.misses - before > len(model.streamed.experts.pieces) / 2

    def test_a_cache_goes_on_from_a_long_prompt(self, checkpoints, loaded, short_pieces):
        model = load(checkpoints / "fused", memory="8GiB")
        options = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None}
        input_ids = torch.arange(45)[None]
        assert torch.equal(model.generate(input_ids, **options), loaded["fused"].generate(input_ids, **options))


class TestCounts:
    def test_all_experts_are_read_once_when_all_fit(self, checkpoints):
        model = load(checkpoints / "fused", expert_memory="1GiB")
        for _ in range(3):
            logits(model, torch.arange(60).view(2, 30))
        experts = model.streamed.experts
        assert experts.counts.bytes_read <= sum(e.nbytes for piece in experts.pieces.values() for e in piece.values())
        assert experts.counts.hits

    def test_the_next_layers_router_guesses_what_will_be_wanted(self, checkpoints):
        guessing, silent = (
            load(checkpoints / "fused", expert_memory="some", streaming={"guess": guess}) for guess in (True, False)
        )
        for model in (guessing, silent):
            model.generate(torch.arange(4)[None], max_new_tokens=20, do_sample=False, eos_token_id=None)
        assert silent.streamed.experts.counts.guessed == 0
        counts = guessing.streamed.experts.counts
        assert 0 < counts.guessed_right <= counts.guessed

    def test_the_hottest_experts_stay_in_half_of_the_slots_to_spare(self, checkpoints):
        hot = ((1, 3), (2, 0))
        model = load(checkpoints / "fused", expert_memory="some", streaming={"hot": hot})
        experts = model.streamed.experts
        assert experts.fixed == {(1, 3)}
        assert experts.slots == 4
        for _ in range(3):
            logits(model, torch.arange(60).view(2, 30))
        assert experts.counts.misses < 3 * len(experts.pieces)

    def test_memory_is_given_back_with_the_model(self, checkpoints):
        model = load(checkpoints / "fused", expert_memory="1GiB")
        logits(model, torch.arange(30)[None])
        slot = next(iter(model.streamed.experts._entries.values())).slot.view
        del model
        gc.collect()
        assert not [thread for thread in threading.enumerate() if thread.name == "axk1-reading" and thread.is_alive()]
        assert len(gc.get_referrers(slot)) <= 1


class TestRefusals:
    def test_less_than_one_expert(self, checkpoints):
        with pytest.raises(ValueError, match=r"expert_memory must be at least .* bytes, one expert of this model"):
            load(checkpoints / "fused", expert_memory="1KiB")

    def test_saving_half_a_model(self, checkpoints, tmp_path):
        with pytest.raises(ValueError, match="cannot be saved: its shards are its weights"):
            load(checkpoints / "fused", expert_memory="1GiB").save_pretrained(tmp_path)
        assert not list(tmp_path.iterdir())

    def test_a_cap_on_the_process_beside_a_gpu(self, checkpoints):
        with pytest.raises(ValueError, match="with a GPU give expert_memory"):
            load(checkpoints / "fused", memory="8GiB", device_map={"": "meta"})

    def test_ids_outside_the_vocabulary(self, checkpoints):
        model = load(checkpoints / "fused", memory="8GiB")
        with pytest.raises(ValueError, match=r"token ids must be in \[0, "):
            model(torch.tensor([[0, model.config.vocab_size]]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; the same path without copies runs above")
class TestOnGpu:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("expert_memory", EXPERT_MEMORY)
    def test_logits_are_those_of_the_model_on_the_gpu(self, checkpoints, form, expert_memory):
        reference = load(checkpoints / form, device_map="cuda", experts_implementation="eager")
        model = load(checkpoints / form, device_map="cuda", expert_memory=expert_memory)
        input_ids = torch.arange(60, device="cuda").view(2, 30)
        assert torch.equal(logits(model, input_ids), logits(reference, input_ids))
