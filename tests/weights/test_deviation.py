"""How far values are apart, held against numpy in float64, in pieces or at once."""

from math import inf

import numpy as np
import pytest
import torch

from modeling_axk1.weights.deviation import Deviation, can_decode, deviation
from modeling_axk1.weights.dtypes import DTYPE_BITS
from modeling_axk1.weights.encodings import encoding_named
from modeling_axk1.weights.steps import Recode

TORCH = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
TORCH |= {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I32": torch.int32, "I8": torch.int8}


def stored(values, dtype):
    return values.to(TORCH[dtype]).view(torch.uint8).numpy().data.cast("B")


def compare(a, b, dtype_a, dtype_b):
    rows = Recode("w", len(a), 1, (), dtype_a, (), dtype_b)
    return deviation(rows, {"weight": stored(a, dtype_a)}, {"weight": stored(b, dtype_b)})


@pytest.fixture
def values():
    return torch.randn(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("a", TORCH)
@pytest.mark.parametrize("b", TORCH)
def test_any_two_dtypes_are_measured_as_numpy_measures_them(values, a, b):
    other = values * 1.5
    found = compare(values, other, a, b)
    x, y = (v.to(TORCH[dtype]).double().numpy() for v, dtype in ((values, a), (other, b)))
    assert found.differing == np.count_nonzero(x != y) > 0
    assert found.error.max_abs == pytest.approx(np.abs(y - x).max(), rel=1e-6)
    assert found.error.relative_rms == pytest.approx(np.linalg.norm(y - x) / np.linalg.norm(x), rel=1e-6)
    assert not found.rounded


@pytest.mark.parametrize("narrow", ["BF16", "F16", "F8_E4M3", "F8_E5M2"])
def test_rounding_to_the_nearest_is_known_from_either_side(values, narrow):
    exact = values.float()
    for found in (compare(exact, exact, "F32", narrow), compare(exact, exact, narrow, "F32")):
        assert found.rounded
        assert found.differing > 900


def test_pieces_add_up(values):
    pieces = [compare(values[i : i + 250], 2 * values[i : i + 250], "F32", "BF16") for i in range(0, 1000, 250)]
    whole = compare(values, 2 * values, "F32", "BF16")
    total = sum(pieces, Deviation())
    assert total.differing == whole.differing
    assert total.error.relative_rms == pytest.approx(whole.error.relative_rms, rel=1e-9)
    assert total.error.max_abs == whole.error.max_abs


def test_rounded_pieces_must_agree_on_the_side():
    one = Deviation(1, a_rounded=True, b_rounded=False)
    assert one.rounded
    assert not (one + Deviation(1, a_rounded=False, b_rounded=True)).rounded


def test_the_largest_numbers_have_a_difference():
    most = torch.finfo(torch.float32).max
    found = compare(torch.tensor([most, 1.0]), torch.tensor([-most, 1.0]), "F32", "F32")
    assert found.error.max_abs == 2 * most
    assert found.error.relative_rms == pytest.approx(2.0)


def test_nan_and_infinity_are_the_same_as_themselves_only():
    special = torch.tensor([np.nan, inf, -inf, 1.0])
    assert compare(special, special, "F32", "F16").differing == 0
    assert compare(special, torch.tensor([np.nan, inf, -inf, 2.0]), "F32", "F16").error.max_abs == 1.0
    assert compare(special, torch.tensor([np.nan, inf, inf, 1.0]), "F32", "F16").error.max_abs == inf
    assert compare(special, torch.tensor([0.0, inf, -inf, 1.0]), "F32", "F16").error.relative_rms == inf


def test_all_dtypes_are_decoded_but_complex_ones_and_fractions_of_bytes():
    assert {dtype for dtype in DTYPE_BITS if not can_decode(dtype)} == {"C64", "F4", "F6_E2M3", "F6_E3M2"}
    assert can_decode(encoding_named("int4"))


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPE_BITS if can_decode(dtype)])
def test_each_of_them_is_compared_with_float32(dtype):
    zeros = memoryview(bytearray(8 * DTYPE_BITS[dtype] // 8))
    if dtype == "F8_E8M0":  # exponents alone: its zero byte is 2^-127
        zeros = memoryview(bytearray(b"\x7f" * 8))
    wanted = np.full(8, 1.0 if dtype == "F8_E8M0" else 0.0, "<f4")
    found = deviation(Recode("w", 8, 1, (), dtype, (), "F32"), {"weight": zeros}, {"weight": wanted.data.cast("B")})
    assert (found.differing, found.error.max_abs) == (0, 0.0)
