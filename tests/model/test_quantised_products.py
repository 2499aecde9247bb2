"""Encoded weights multiply as the reference says: `EncodedWeight.decoded`, then an ordinary product."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.model import products_axk1 as products
from modeling_axk1.model.products_axk1 import E4m3Weight, PackedWeight, made_ready
from modeling_axk1.model.quantised_axk1 import EncodedWeight, Quantisation
from modeling_axk1.model.streamed_axk1 import any_rows_times_transposed
from modeling_axk1.weights.convert import Conversion, convert
from modeling_axk1.weights.order import Sharding
from tests.weights.quantised import wide_model

FORMS = {f"int{bits} by {size}": Quantisation(bits, 1, size) for bits in (4, 8) for size in (32, 64, 128)}
FORMS["fp8"] = Quantisation(8, 128, 128)
N, K = 1024, 1152  # nine blocks of 128 in
ROWS = (1, 3, 5, 9, 200)


def weight_in(form: Quantisation, rows: int = N, columns: int = K, seed: int = 0) -> EncodedWeight:
    """A weight of all numbers that the form has, but NaN, with scales of several sizes."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 256, (rows, columns * form.bits // 8), generator=generator, dtype=torch.uint8)
    exponents = torch.randint(-9, -3, (-(-rows // form.rows), -(-columns // form.columns)), generator=generator)
    scales = torch.rand(exponents.shape, generator=generator).add(1) * 2.0**exponents
    if form.is_float:
        codes[codes & 0x7F == 0x7F] = 0x7E
        return EncodedWeight(codes.view(torch.float8_e4m3fn), scales, form)
    return EncodedWeight(codes.view(torch.int32), scales.bfloat16(), form)


def copy(weight: EncodedWeight) -> EncodedWeight:
    return EncodedWeight(weight.numbers_NW.clone(), weight.scales_ng.clone(), weight.quantisation)


def whole(weight: EncodedWeight, dtype: torch.dtype) -> Tensor:
    return weight.decoded(slice(0, weight.rows), dtype)


def answers(x: Tensor, weight) -> Tensor:
    out = x.new_empty(len(x), weight.rows)
    any_rows_times_transposed(x, weight, 0, len(x), out)
    return out


def summed(x: Tensor, weight: EncodedWeight) -> tuple[Tensor, Tensor]:
    """The product in float64, and the sum of its terms' sizes. Of 8 bits the halves of a number are terms."""
    numbers = whole(weight, torch.float32).double()
    sizes = numbers.abs()
    if weight.quantisation.bits == 8 and not weight.quantisation.is_float:
        sizes = sizes + 16 * weight.scales_ng.double().repeat_interleave(weight.quantisation.columns, 1)
    return x.double() @ numbers.t(), x.double().abs() @ sizes.t()


@pytest.fixture(scope="module", params=FORMS)
def stored(request) -> EncodedWeight:
    return weight_in(FORMS[request.param])


@pytest.fixture(scope="module")
def fast(stored):
    """The form for bfloat16, where this machine has one."""
    ready = made_ready(copy(stored))
    has_one = stored.quantisation.is_float or products._lanes()
    assert type(ready) is (EncodedWeight if not has_one else [PackedWeight, E4m3Weight][stored.quantisation.is_float])
    return ready


class TestProducts:
    @pytest.mark.parametrize("rows", ROWS)
    def test_bfloat16_is_exact_but_for_adding_up_in_float32_and_one_rounding(self, stored, fast, rows):
        x = torch.randn(rows, K, generator=torch.Generator().manual_seed(1)).bfloat16()
        exact, sizes = summed(x, stored)
        added, rounded = (2 * K + 2) * 2.0**-24, 2.0**-8  # of 2 K terms; of bfloat16, half a unit in the last place
        if rows > getattr(fast, "most", 0):  # decoded first, each weight is rounded
            added += 2.0**-8
        assert ((answers(x, fast).double() - exact).abs() <= rounded * exact.abs() + added * sizes).all()

    @pytest.mark.parametrize("rows", ROWS)
    def test_it_is_nearer_than_weights_rounded_first(self, stored, fast, rows):
        x = torch.randn(rows, K, generator=torch.Generator().manual_seed(1)).bfloat16()
        exact, _ = summed(x, stored)
        reference = x.float() @ whole(stored, torch.bfloat16).float().t()
        mine, theirs = ((each.double() - exact).norm() for each in (answers(x, fast), reference.bfloat16()))
        assert mine <= 1.001 * theirs

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("rows", ROWS)
    def test_what_is_not_made_ready_is_the_decoded_product(self, stored, rows, dtype):
        x = torch.randn(rows, K, generator=torch.Generator().manual_seed(1)).to(dtype)
        reference = x @ whole(stored, dtype).t()
        assert torch.allclose(
            answers(x, stored).float(), reference.float(), rtol=2 * torch.finfo(dtype).eps, atol=1e-5 * K**0.5
        )

    def test_float32_after_bfloat16(self, stored, fast):
        """A model may be brought to another dtype when its experts have been read."""
        x = torch.randn(3, K)
        assert torch.allclose(answers(x, fast), answers(x, stored), rtol=1e-5, atol=1e-5)

    def test_a_row_says_the_same_beside_others_and_alone(self, fast):
        x = torch.randn(7, K).bfloat16()
        together = torch.cat([answers(x[i : i + 1], fast) for i in range(7)])
        if isinstance(fast, PackedWeight):
            assert torch.equal(answers(x, fast), together)
        else:
            assert torch.allclose(answers(x, fast).float(), together.float(), rtol=2.0**-7, atol=1e-4)

    def test_rows_within_others_and_columns_within_others(self, fast):
        x, out = torch.randn(9, K).bfloat16(), torch.zeros(4, 2 * N).bfloat16()
        any_rows_times_transposed(x, fast, 2, 6, out[:, N:])
        assert torch.equal(out[:, N:], answers(x[2:6], fast))
        assert not out[:, :N].any()


class TestForms:
    def test_packed_and_back_is_the_same(self, stored, fast):
        back = fast.to(torch.device("meta"))  # where weights are as they are stored
        assert type(back) is EncodedWeight
        assert back.numbers_NW.shape == stored.numbers_NW.shape
        if isinstance(fast, PackedWeight):
            unpacked = fast.unpacked()
            assert torch.equal(unpacked.numbers_NW, stored.numbers_NW)
            assert torch.equal(unpacked.scales_ng, stored.scales_ng)

    def test_packing_takes_no_memory_but_the_weights_own(self, stored):
        given = copy(stored)
        ready = made_ready(given)
        assert [part.data_ptr() for part in ready[:2]] == [part.data_ptr() for part in given[:2]]
        assert [part.nbytes for part in ready[:2]] == [part.nbytes for part in given[:2]]

    def test_torchs_own_conversion_packs_the_same(self):
        if not products._lanes():  # a CPU for which torch has only plain loops, in another order
            assert torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512")
            return
        stored = weight_in(Quantisation(4, 1, 32))
        numbers = (whole(stored, torch.float32) / stored.scales_ng.float().repeat_interleave(32, 1)).int() + 8
        theirs = torch.ops.aten._convert_weight_to_int4pack_for_cpu(numbers, 1)
        assert torch.equal(made_ready(copy(stored)).numbers_NC, theirs)

    def test_e4m3_by_strips_is_the_reference_to_the_bit(self):
        stored = weight_in(FORMS["fp8"], 1000, 1100)  # the last blocks are cut short
        fast = made_ready(stored)
        assert type(fast) is E4m3Weight
        for rows in (slice(0, 1000), slice(130, 259), slice(999, 1000)):
            for dtype in (torch.bfloat16, torch.float32):
                assert torch.equal(fast.decoded(rows, dtype), stored.decoded(rows, dtype))

    def test_nan_stays_nan(self):
        for code in (0x7F, 0xFF):
            stored = weight_in(FORMS["fp8"])
            stored.numbers_NW.view(torch.uint8)[700, 5] = code
            out = answers(torch.ones(1, K).bfloat16(), made_ready(stored))
            assert out.isnan().nonzero().tolist() == [[0, 700]]

    @pytest.mark.parametrize(
        "change",
        [
            lambda weight: weight._replace(scales_ng=weight.scales_ng.float()),
            lambda weight: weight._replace(scales_ng=weight.scales_ng * 0),
            lambda weight: weight._replace(scales_ng=-weight.scales_ng),
            lambda weight: weight._replace(scales_ng=weight.scales_ng * 2.0**-130),
            lambda weight: weight._replace(scales_ng=weight.scales_ng * 2.0**130),
            lambda weight: EncodedWeight(weight.numbers_NW[:1000], weight.scales_ng[:1000], weight.quantisation),
            lambda weight: weight_in(Quantisation(8, 1, 96)),
            lambda weight: weight_in(weight.quantisation, 512),
        ],
        ids=["float32", "zero", "negative", "tiny", "huge", "odd rows", "odd groups", "small"],
    )
    def test_what_the_kernel_cannot_say_exactly_stays_as_it_is_stored(self, change):
        stored = change(weight_in(FORMS["int8 by 32"]))
        ready = made_ready(copy(stored))
        assert type(ready) is EncodedWeight
        assert torch.equal(ready.numbers_NW, stored.numbers_NW)

    def test_another_order_of_the_kernel_is_noticed(self, monkeypatch):
        monkeypatch.setattr(products, "_lanes", lambda: 0)
        assert type(made_ready(weight_in(FORMS["int4 by 32"]))) is EncodedWeight

    @settings(max_examples=15, deadline=None)
    @given(form=st.sampled_from(sorted(FORMS)), blocks=st.integers(1, 5), groups=st.integers(1, 4), seed=st.integers())
    def test_any_shape(self, form, blocks, groups, seed):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(products, "_LEAST_NUMBERS", 0)
            stored = weight_in(FORMS[form], 64 * blocks, 128 * groups, seed % 2**31)
            fast = made_ready(copy(stored))
        unit = torch.eye(128 * groups).bfloat16()[:: 17 * groups]  # one term each: the weight itself, rounded once
        assert torch.equal(answers(unit, fast), whole(stored, torch.bfloat16).t()[:: 17 * groups])


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    wide_model(num_hidden_layers=3).save_pretrained(folder / "bf16")
    for weights in ("fp8", "int8", "int4"):
        convert(folder / "bf16", folder / weights, Conversion(weights=weights), Sharding())
    return folder


@pytest.mark.parametrize("form", ["fp8", "int8", "int4"])
class TestModels:
    @pytest.fixture(autouse=True)
    def small_weights_too(self, monkeypatch):
        monkeypatch.setattr(products, "_LEAST_NUMBERS", 0)

    def logits(self, folder, tokens: int = 20, **kwargs) -> Tensor:
        model = AXK1ForCausalLM.from_pretrained(folder, **kwargs).eval()
        with torch.no_grad():
            return model(torch.arange(2 * tokens).view(2, tokens)).logits

    @pytest.mark.parametrize("tokens", [1, 20])
    def test_logits_are_as_near_to_float32_as_the_loaded_models(self, checkpoints, form, tokens):
        exact = self.logits(checkpoints / form, tokens, dtype=torch.float32)
        loaded, *streamed_ = (
            self.logits(checkpoints / form, tokens, **kwargs)
            for kwargs in ({}, {"memory": "8GiB"}, {"expert_memory": "1GiB"})
        )

        def error(logits: Tensor) -> Tensor:
            # Of most tokens: one whose experts rank close together may visit others in bfloat16.
            return (logits - exact).norm(dim=-1).median()

        for logits in streamed_:
            assert error(logits) <= 1.1 * error(loaded)

    def test_logits_do_not_depend_on_the_memory(self, checkpoints, form):
        model = AXK1ForCausalLM.from_pretrained(checkpoints / form, expert_memory="1GiB")
        one = model.streamed.experts.slot_bytes
        whole_ = self.logits(checkpoints / form, expert_memory="1GiB")
        assert torch.equal(self.logits(checkpoints / form, expert_memory=one), whole_)
        assert torch.equal(self.logits(checkpoints / form, expert_memory=5 * one), whole_)

    def test_experts_attention_and_shared_experts_are_made_ready(self, checkpoints, form):
        model = AXK1ForCausalLM.from_pretrained(checkpoints / form, memory="8GiB").eval()
        with torch.no_grad():
            model(torch.arange(4)[None])
        kind = E4m3Weight if form == "fp8" else PackedWeight if products._lanes() else EncodedWeight
        rest = [model.streamed.rest.take(key) for key in model.streamed.rest.pieces if isinstance(key, int)]
        encoded = {
            name: type(weight)
            for piece in rest
            for name, weight in piece.items()
            if isinstance(weight, EncodedWeight | PackedWeight)
        }
        encoded.pop("self_attn.kv_a_proj_with_mqa", None)  # 160 rows here: not whole blocks of the kernel's
        assert {"self_attn.o_proj", "mlp.shared_experts.up_proj"} <= encoded.keys()
        assert set(encoded.values()) == {kind}
        _, expert = model.streamed.experts.take_any(list(model.streamed.experts.pieces))
        assert {type(weight) for weight in expert.values()} == {kind}

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    def test_another_dtype_keeps_to_the_stored_form(self, checkpoints, form, dtype):
        model = AXK1ForCausalLM.from_pretrained(checkpoints / form, expert_memory="1GiB", dtype=dtype)
        _, expert = model.streamed.experts.take_any(list(model.streamed.experts.pieces))
        assert {type(weight) for weight in expert.values()} == {EncodedWeight}
