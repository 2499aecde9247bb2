"""NaN and infinity are found by bit patterns, as arithmetic finds them."""

import numpy as np
import pytest
import torch

from modeling_axk1.weights.values import NonFinite

KINDS = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu,
}


@pytest.mark.parametrize("dtype", KINDS)
def test_every_bit_pattern_is_judged_as_torch_judges_it(dtype):
    bits = torch.arange(2 ** (8 * KINDS[dtype].itemsize))
    bits = bits.to(torch.uint16 if KINDS[dtype].itemsize == 2 else torch.uint8)
    for pattern, finite in zip(bits, torch.isfinite(bits.view(KINDS[dtype]).float()), strict=True):
        if len(bits) > 256 and int(pattern) % 37:
            continue  # every 37th of 65,536 patterns; the exact count below covers them all
        found = NonFinite(dtype)
        found.feed(memoryview(pattern.reshape(1).view(torch.uint8).numpy()))
        assert found.count == (not finite), hex(int(pattern))
    found = NonFinite(dtype)
    found.feed(memoryview(bits.view(torch.uint8).numpy()))
    assert found.count == int((~torch.isfinite(bits.view(KINDS[dtype]).float())).sum())


@pytest.mark.parametrize(("dtype", "kind"), [("F32", np.float32), ("F64", np.float64), ("C64", np.complex64)])
def test_wide_floats(dtype, kind):
    limits = np.finfo(kind)
    values = np.array([0, -0.0, limits.max, limits.min, limits.tiny, np.nan, np.inf, -np.inf], kind)
    found = NonFinite(dtype)
    found.feed(memoryview(values.view(np.uint8)))
    assert found.count >= 3
    finite = NonFinite(dtype)
    finite.feed(memoryview(values[:5].copy().view(np.uint8)))
    assert finite.count == 0


def test_positions_count_across_chunks():
    values = np.ones(10, np.float32)
    values[[7, 9]] = np.nan
    found = NonFinite("F32")
    for part in (values[:4], values[4:]):
        found.feed(memoryview(part.copy().view(np.uint8)))
    assert (found.count, found.first) == (2, 7)


def test_integers_have_no_nan():
    found = NonFinite("I32")
    found.feed(memoryview(b"\xff" * 16))
    assert found.count == 0
