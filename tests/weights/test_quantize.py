"""The numbers: against plain loops, against compressed-tensors, against themselves piece by piece, and to the byte."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from compressed_tensors.compressors import PackedQuantizationCompressor
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.encodings import encoding_named
from modeling_axk1.weights.quantize import decode_rows, encode_rows, error_of
from tests.goldens import assert_golden

ENCODINGS = ("fp8", "int8", "int4")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def gaussian(rows: int, columns: int, seed: int = 0, scale: float = 0.02) -> Tensor:
    return scale * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(tensor.view(torch.uint8), other[part].view(torch.uint8)) for part, tensor in one.items()
    )


@st.composite
def weights(draw) -> Tensor:
    """Rows of all magnitudes: ordinary ones, outliers, powers of two, halves, tiny ones, zeros."""
    rows, columns = 128 * draw(st.integers(1, 2)), 128 * draw(st.integers(1, 3))
    kinds = [
        st.floats(-1, 1, width=32),
        st.floats(-(2.0**100), 2.0**100, width=32),
        st.sampled_from([0.0, -0.0, 0.5, 448.0, -448.0, 449.0, 2.0**-120, -(2.0**-140), 1.5 * 2.0**126]),
    ]
    few = draw(st.lists(draw(st.sampled_from(kinds)), min_size=1, max_size=40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    return torch.tensor(few)[torch.randint(len(few), (rows, columns), generator=generator)]


# Against plain loops


def nearest(value: Fraction, numbers: dict[float, int]) -> float:
    """The nearest of `numbers`, of two as near the one with an even code."""
    return min(numbers, key=lambda number: (abs(Fraction(number) - value), numbers[number] % 2))


def test_an_fp8_block_by_plain_loops():
    """The numbers of E4M3 listed one by one, the scale found by trying powers of two."""
    numbers = {}
    for code in range(127):
        exponent, mantissa = code >> 3, code & 7
        numbers[(1 + mantissa / 8) * 2.0 ** (exponent - 7) if exponent else mantissa / 8 * 2.0**-6] = code
    block = gaussian(128, 128, seed=1)
    block[3, 5] = 3.0  # an outlier, beside which many are subnormal in E4M3
    block[0, :4] = torch.tensor([448.0, 232.0, 248.0, 0.0]) * 2**-8  # 232 and 248 lie half way between two numbers
    scale = 2.0**-140
    while nearest(Fraction(block.abs().max().item()) / Fraction(scale), numbers | {480.0: 127}) > 448:
        scale *= 2
    parts = encode_rows(encoding_named("fp8"), block)
    assert parts["weight_scale_inv"].tolist() == [[scale]]
    expected = [
        [math.copysign(nearest(abs(Fraction(value) / Fraction(scale)), numbers), value) for value in row]
        for row in block[:8].tolist()
    ]
    assert parts["weight"][:8].float().tolist() == expected


@pytest.mark.parametrize(("name", "half"), [("int8", 128), ("int4", 8)])
def test_integers_by_plain_loops(name, half):
    encoding, rows = encoding_named(name, 32), gaussian(3, 64, seed=2)
    parts = encode_rows(encoding, rows)
    words = parts["weight_packed"].numpy().view("<u4")
    for r, c in np.ndindex(3, 64):
        group = rows[r, c // 32 * 32 :][:32]
        scale = torch.tensor(group.abs().max().item() / (half - 0.5)).bfloat16().item()
        assert parts["weight_scale"][r, c // 32] == scale
        number = min(max(round(np.float32(rows[r, c].item()) / np.float32(scale)), -half), half - 1)
        word, place = divmod(c * encoding.bits, 32)
        assert (int(words[r, word]) >> place) % (2 * half) - half == number
        assert decode_rows(encoding, parts)[r, c] == number * scale


# Properties


@pytest.mark.parametrize("name", ENCODINGS)
@given(rows=weights(), cut=st.integers(1, 255))
@settings(max_examples=30, deadline=None)
def test_piece_by_piece_is_bit_for_bit_the_whole(name, rows, cut):
    encoding = encoding_named(name)
    cut = min(-(-cut // encoding.row_multiple) * encoding.row_multiple, len(rows))
    whole = encode_rows(encoding, rows)
    pieces = [encode_rows(encoding, piece) for piece in (rows[:cut], rows[cut:]) if len(piece)]
    assert same_bits(whole, {part: torch.cat([piece[part] for piece in pieces]) for part in whole})
    decoded = torch.cat([decode_rows(encoding, piece) for piece in pieces])
    assert torch.equal(decoded, decode_rows(encoding, whole))


@pytest.mark.parametrize("name", ENCODINGS)
@given(rows=weights())
@settings(max_examples=30, deadline=None)
def test_what_is_stored_is_what_the_format_promises_and_no_weight_is_far_off(name, rows):
    encoding = encoding_named(name)
    parts = encode_rows(encoding, rows)
    promised = encoding.parts("weight", tuple(rows.shape)).items()
    for part, (dtype, shape) in promised:
        if part != "weight_shape":
            safetensors = {"F8_E4M3": torch.float8_e4m3fn, "F32": torch.float32, "I32": torch.int32}
            assert (parts[part].dtype, tuple(parts[part].shape)) == (safetensors.get(dtype, torch.bfloat16), shape)
    decoded = decode_rows(encoding, parts)
    assert decoded.isfinite().all()
    error = (decoded.double() - rows.double()).abs()
    scale = parts["weight_scale_inv" if name == "fp8" else "weight_scale"].double()
    scale = scale.repeat_interleave(encoding.row_multiple, 0).repeat_interleave(encoding.group_size, 1)
    if name == "fp8":  # half a step: 1/16 of the weight, or of the least step that E4M3 has
        assert (error <= torch.maximum(rows.double().abs() / 16, scale * 2**-10)).all()
    else:  # half a step, and half of one more for the largest, which may be cut; bfloat16 scales are off by 1/256
        assert (error <= scale * (1.001 + 0.5 * 2**encoding.bits / 256)).all()


@given(rows=weights())
@settings(max_examples=50, deadline=None)
def test_fp8_of_what_was_decoded_is_the_same_even_by_way_of_bfloat16(rows):
    encoding = encoding_named("fp8")
    parts = encode_rows(encoding, rows)
    decoded = decode_rows(encoding, parts)
    assert same_bits(encode_rows(encoding, decoded), parts)
    in_bfloat16 = decode_rows(encoding, parts, torch.bfloat16)
    if parts["weight_scale_inv"].min() >= 2.0**-124:
        assert torch.equal(in_bfloat16.float(), decoded)
        assert same_bits(encode_rows(encoding, in_bfloat16.float()), parts)


def test_fp8_rounds_the_largest_weight_to_at_most_448():
    """Beyond 464, half way to a 480 that E4M3 has not, the scale doubles; what is encoded again keeps its scale."""
    encoding, scales = encoding_named("fp8"), {}
    for largest in (224.0, 232.0, 232.1, 448.0, 464.0, 464.1, 480.0):
        rows = torch.zeros(128, 128)
        rows[0, 0] = largest
        parts = encode_rows(encoding, rows)
        scales[largest] = parts["weight_scale_inv"].item()
        assert same_bits(encode_rows(encoding, decode_rows(encoding, parts)), parts)
    assert scales == {224.0: 0.5, 232.0: 0.5, 232.1: 1, 448.0: 1, 464.0: 1, 464.1: 2, 480.0: 2}


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_integers_of_what_was_decoded_are_not_the_same(name):
    """The price of compressed-tensors' scales: the largest weight of a group comes back as another."""
    encoding = encoding_named(name)
    parts = encode_rows(encoding, gaussian(8, 256))
    assert not same_bits(encode_rows(encoding, decode_rows(encoding, parts)), parts)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ENCODINGS)
def test_another_dtype_is_the_float32_result_rounded(name, dtype):
    encoding = encoding_named(name)
    parts = encode_rows(encoding, gaussian(128, 256))
    assert torch.equal(decode_rows(encoding, parts, dtype), decode_rows(encoding, parts).to(dtype))


@pytest.mark.parametrize(("name", "decibel"), [("fp8", 31.5), ("int8", 43.7), ("int4", 19.1)])
def test_how_much_noise_gaussian_weights_get(name, decibel):
    encoding, rows = encoding_named(name), gaussian(1024, 1024)
    off = error_of(rows, decode_rows(encoding, encode_rows(encoding, rows)))
    assert off.signal_to_noise_db == pytest.approx(decibel, abs=0.1)


# Edges


@pytest.mark.parametrize(("name", "scale"), [("fp8", 2.0**-126), ("int8", 2.0**-7), ("int4", 2.0**-7)])
def test_zeros_are_zeros(name, scale):
    encoding = encoding_named(name)
    parts = encode_rows(encoding, torch.zeros(128, 128))
    assert decode_rows(encoding, parts).count_nonzero() == 0
    assert (list(parts.values())[1] == scale).all()


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("largest", [2.0**-149, 2.0**-130, 2.0**-120, 3e38 / 2])
def test_the_smallest_and_the_largest_weights_keep_scales_normal(name, largest):
    encoding = encoding_named(name)
    parts = encode_rows(encoding, torch.full((128, 128), largest))
    assert list(parts.values())[1].min() >= 2.0**-126
    assert (decode_rows(encoding, parts) - largest).abs().max() <= max(largest / 7, 2.0**-126)


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -(2.0**127)])
def test_what_no_scale_reaches_is_refused(name, value):
    rows = gaussian(128, 256)
    rows[17, 200] = value
    with pytest.raises(WeightsError, match=r"weights must be finite and below 2\^127"):
        encode_rows(encoding_named(name), rows)


@pytest.mark.parametrize(
    ("name", "rows", "rule"),
    [
        ("fp8", torch.zeros(100, 128), "rows in multiples of 128 and columns of 128, got 100 x 128"),
        ("fp8", torch.zeros(128, 100), "got 128 x 100"),
        ("int4", torch.zeros(1, 100), "rows in multiples of 1 and columns of 128, got 1 x 100"),
        ("int4", torch.zeros(1, 128).bfloat16(), "must be float32"),
        ("int4", torch.zeros(128), "must be float32 \\[rows, columns\\]"),
    ],
)
def test_rows_that_do_not_fit_are_refused(name, rows, rule):
    with pytest.raises(WeightsError, match=rule):
        encode_rows(encoding_named(name), rows)


def test_a_transposed_view_is_encoded_as_what_it_is():
    rows = gaussian(128, 256).T.contiguous().T
    for name in ENCODINGS:
        assert same_bits(encode_rows(encoding_named(name), rows), encode_rows(encoding_named(name), rows.clone()))


def test_blocks_of_others_cut_short_at_both_ends_are_decoded():
    weight, scale = gaussian(200, 150, scale=1).to(torch.float8_e4m3fn), torch.tensor([[0.1, 0.2], [0.3, 0.4]])
    decoded = decode_rows(encoding_named("fp8"), {"weight": weight, "weight_scale_inv": scale})
    for r, c in ((0, 0), (127, 127), (127, 128), (128, 127), (199, 149)):
        assert decoded[r, c] == weight[r, c].float() * scale[r // 128, c // 128]


def test_every_code_of_e4m3_is_decoded_as_torch_does():
    codes = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).view(2, 128)
    decoded = decode_rows(encoding_named("fp8"), {"weight": codes, "weight_scale_inv": torch.ones(1, 1)})
    assert torch.equal(decoded.nan_to_num(1e9), codes.float().nan_to_num(1e9))
    assert decoded.isnan().sum() == 2


# Against compressed-tensors


def their_scheme(name: str, group_size: int) -> QuantizationScheme:
    arguments = QuantizationArgs(num_bits=int(name[3:]), type="int", strategy="group", group_size=group_size)
    return QuantizationScheme(targets=["Linear"], weights=arguments, format="pack-quantized")


def their_scales(weight: Tensor, scheme: QuantizationScheme) -> Tensor:
    low, high = weight.unflatten(-1, (-1, scheme.weights.group_size)).aminmax(dim=-1)
    return calculate_qparams(low, high, scheme.weights)[0]


@pytest.mark.parametrize("group_size", [32, 128])
@pytest.mark.parametrize("name", ["int8", "int4"])
def test_the_bytes_are_those_of_compressed_tensors(name, group_size):
    """Of bfloat16 weights, whose scales it makes bfloat16 too; it must compute in float32, as below."""
    encoding, scheme = encoding_named(name, group_size), their_scheme(name, group_size)
    weight = gaussian(64, 512, seed=3).bfloat16()
    weight[5, :group_size] = 0
    scale = their_scales(weight, scheme)
    state = {"weight": weight.float(), "weight_scale": scale.float()}
    theirs = PackedQuantizationCompressor.compress(state, scheme)
    ours = encode_rows(encoding, weight.float())
    assert torch.equal(ours["weight_scale"].view(torch.int16), scale.view(torch.int16))
    assert torch.equal(ours["weight_packed"], theirs["weight_packed"])
    shape = encoding.constant_parts("weight", (64, 512))["weight_shape"]
    assert np.frombuffer(shape, "<i8").tolist() == theirs["weight_shape"].tolist()


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_left_to_itself_it_rounds_twice(name):
    """It divides in the weights' own bfloat16: where that rounds to a half, the number may be the neighbour of ours."""
    scheme, weight = their_scheme(name, 128), gaussian(64, 512, seed=4).bfloat16()
    state = {"weight": weight, "weight_scale": their_scales(weight, scheme)}
    theirs = PackedQuantizationCompressor.compress(state, scheme)["weight_packed"]
    ours = encode_rows(encoding_named(name), weight.float())["weight_packed"]
    bits = int(name[3:])
    numbers = [unpack_from_int32(packed, bits, weight.shape).int() for packed in (theirs, ours)]
    off = (numbers[0] - numbers[1]).abs()
    assert off.max() == 1
    assert off.float().mean() < {"int8": 0.2, "int4": 0.02}[name]


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_it_decodes_what_we_encode_to_the_same_numbers(name):
    encoding, scheme = encoding_named(name), their_scheme(name, 128)
    parts = encode_rows(encoding, gaussian(64, 512, seed=5))
    state = parts | {"weight_shape": torch.tensor([64, 512])}
    theirs = PackedQuantizationCompressor.decompress(state, scheme)["weight"]
    assert torch.equal(theirs, decode_rows(encoding, parts, torch.bfloat16))
    exact = PackedQuantizationCompressor.decompress(state | {"weight_scale": parts["weight_scale"].float()}, scheme)
    assert torch.equal(exact["weight"], decode_rows(encoding, parts))


@pytest.mark.parametrize("name", ["int8", "int4"])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_words_are_packed_as_it_packs_them(name, seed):
    encoding, bits = encoding_named(name, 32), int(name[3:])
    half = 1 << (bits - 1)
    numbers = torch.randint(-half, half, (4, 64), generator=torch.Generator().manual_seed(seed), dtype=torch.int8)
    packed = pack_to_int32(numbers, bits)
    decoded = decode_rows(encoding, {"weight_packed": packed, "weight_scale": torch.ones(4, 2).bfloat16()})
    assert torch.equal(decoded, numbers.float())


# To the byte


def test_exact_bytes():
    """One row of every encoding, in hexadecimal; in fp8 the 127 rows below it are zeros."""
    row = torch.cat([torch.linspace(-1, 1, 64), 2.0 ** torch.arange(-32, 32).float() * 2**-31])[None]
    lines = []
    for name in ENCODINGS:
        rows = torch.cat([row, torch.zeros(127, 128)]) if name == "fp8" else row
        for part, tensor in encode_rows(encoding_named(name, None if name == "fp8" else 64), rows).items():
            lines.append(f"{name} {part} {tensor[0].view(torch.uint8).numpy().tobytes().hex()}")
    assert_golden("weights/quantised_bytes.txt", "\n".join(lines) + "\n")


# How far off


def test_errors_are_those_that_float64_sums_up():
    one, other = gaussian(64, 128), gaussian(32, 128, seed=6, scale=1)
    one_off, other_off = one + 0.001 * gaussian(64, 128, seed=7), other + 0.125
    off = error_of(one, one_off) + error_of(other, other_off)
    original, decoded = (np.concatenate(pair).astype(np.float64) for pair in ((one, other), (one_off, other_off)))
    assert off.max_abs == np.abs(decoded - original).max()
    assert off.squared_error == pytest.approx(np.square(decoded - original).sum(), rel=1e-5)
    assert off.squared_weights == pytest.approx(np.square(original).sum(), rel=1e-5)
