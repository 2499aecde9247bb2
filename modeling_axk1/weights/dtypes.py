"""The element types that safetensors knows."""

from collections.abc import Sequence
from math import prod

from modeling_axk1.errors import WeightsError

# Bits per element, in the format's own order (rising alignment), which also decides how tensors lie in a file.
DTYPE_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}


def nbytes_of(dtype: str, shape: Sequence[int]) -> int:
    """Return the bytes that a tensor takes; raises WeightsError for an unknown dtype or a fraction of a byte."""
    if dtype not in DTYPE_BITS:
        raise WeightsError(f"dtype must be one of {', '.join(DTYPE_BITS)}, got {dtype!r:.60}")
    bits = prod(shape) * DTYPE_BITS[dtype]
    if bits % 8:
        raise WeightsError(f"a tensor must fill whole bytes, got {dtype} of shape {list(shape)}")
    return bits // 8
