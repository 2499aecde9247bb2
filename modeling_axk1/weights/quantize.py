"""The numbers of a quantised weight: encode rows, decode them again, and say how far the result is off.

Both directions work on any block of whole rows (of `Encoding.row_multiple` at a time), and blocks encoded one after
another are bit for bit the parts of the whole: a tensor larger than memory goes through piece by piece.

    r    rows (outputs) at hand      C    columns (inputs)
    B    side of an fp8 block, 128   G    inputs that share a scale of int8 or int4

fp8: value = E4M3 number x scale, one scale for [B, B]. A scale is the least power of two with which the block's largest
weight rounds to at most 448, E4M3's largest number. Readers take any scale; DeepSeek-V3 uses max / 448, DeepSeek-V3.1
powers of two as here. Gaussian weights get the same noise from both, 31.5 dB below them; with a power of two, though,
decoding is exact, even in bfloat16, and encoding what was decoded gives the same bytes again. (In bfloat16 that ends
with scales below 2^-124, whose numbers have no room in its subnormals.)

int8, int4: value = whole number x scale, one bfloat16 scale for [1, G]. As compressed-tensors does it (its
`calculate_qparams`, symmetric), a scale is max / 127.5 or max / 7.5, and the numbers are in [-128, 127] or [-8, 7]; the
bytes are the same as its own. The largest weight becomes 8, or 7.5 cut to 7, times the scale, so that encoding what was
decoded chooses another scale: decode once, and keep what was encoded.

With recode, which calls it, and deviation, this is all of weights/ that imports torch.
"""

from collections.abc import Mapping
from math import frexp

import torch
from torch import Tensor

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.encodings import Encoding
from modeling_axk1.weights.errorsum import ErrorSum

_ROUNDS_TO_448 = 464.0  # half way to 480, which E4M3 would have next
_ROUNDS_TO_448_FRACTION, _ROUNDS_TO_448_EXPONENT = frexp(_ROUNDS_TO_448)
# Of float16's bits: all but the highest of the exponent, and the mantissa's first three. As an int16.
_SIGN_AND_E4M3 = 0xBF80 - 0x1_0000
# Beyond it the sum of rounding up and scaling back could leave float32.
_TOO_LARGE = 2.0**127
_LEAST_SCALE = 2.0**-126  # the smallest that is not subnormal, in float32 and bfloat16 alike
# compressed-tensors gives groups of zeros this scale.
_SCALE_OF_ZEROS = torch.finfo(torch.bfloat16).eps


def encode_rows(encoding: Encoding, rows_rC: Tensor) -> dict[str, Tensor]:
    """Encode rows of a weight [out, in], float32, to {suffix of the stored tensor: its rows}.

    Returns:
        fp8: "weight" float8_e4m3fn [r, C], "weight_scale_inv" float32 [r / 128, C / 128].
        int8, int4: "weight_packed" int32 [r, C x bits / 32], "weight_scale" bfloat16 [r, C / G]. The weight's shape,
        which the format stores too, is `Encoding.constant_parts`.

    Scratch: one float32 copy of the rows, and one of a byte per weight. Rounds to nearest, ties to even.

    Raises:
        WeightsError: rows or columns that the encoding does not tile, NaN, infinity, or a weight of 2^127 and more.

    """
    if rows_rC.dtype != torch.float32 or rows_rC.ndim != 2:
        raise WeightsError(f"rows must be float32 [rows, columns], got {rows_rC.dtype} {list(rows_rC.shape)}")
    rows, columns = rows_rC.shape
    if not encoding.fits((rows, columns)):
        raise WeightsError(
            f"{encoding.name} needs rows in multiples of {encoding.row_multiple} and columns of {encoding.group_size}, "
            f"got {rows} x {columns}"
        )
    rows_rC = rows_rC.contiguous()
    return _encode_fp8(rows_rC, encoding) if encoding.name == "fp8" else _encode_integers(rows_rC, encoding)


def decode_rows(encoding: Encoding, parts: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the rows [r, C] that `parts` store, those that `encode_rows` gives, in `dtype`.

    The arithmetic is float32's; `dtype` rounds its result. Blocks of fp8 may be cut short at the right and, where the
    weight ends, at the bottom, as in DeepSeek-V3's releases.
    """
    if encoding.name == "fp8":
        return _decode_fp8(parts["weight"], parts["weight_scale_inv"], encoding.group_size).to(dtype)
    packed_rW, scale_rg = parts["weight_packed"], parts["weight_scale"]
    return _decode_integers(packed_rW, scale_rg, encoding.bits).to(dtype)


def error_of(original: Tensor, decoded: Tensor) -> ErrorSum:
    """Return how far rows are off; both are float32 of one shape, [r, C]."""
    error = original - decoded
    low, high = error.aminmax()
    return ErrorSum(_squared_norm(error), _squared_norm(original), max(high.item(), -low.item()))


def _squared_norm(rows_rC: Tensor) -> float:
    # A row's norm in float32, the rows' in float64: many times as fast as float64 throughout.
    return torch.linalg.vector_norm(rows_rC, dim=-1).double().square().sum().item()


def _encode_fp8(rows_rC: Tensor, encoding: Encoding) -> dict[str, Tensor]:
    B = encoding.group_size
    blocks = rows_rC.view(rows_rC.shape[0] // B, B, rows_rC.shape[1] // B, B)
    largest = _largest(blocks, (1, 3))
    # The bound gives a block of zeros the least scale, which their next encoding will give them again.
    fraction, exponent = torch.frexp(largest.clamp_min_(_LEAST_SCALE * _ROUNDS_TO_448))
    exponent += (fraction > _ROUNDS_TO_448_FRACTION).int() - _ROUNDS_TO_448_EXPONENT
    scale = torch.ldexp(torch.ones_like(largest), exponent)
    scaled = blocks * scale.reciprocal()[:, None, :, None]  # exact: powers of two
    return {"weight": scaled.to(torch.float8_e4m3fn).view(rows_rC.shape), "weight_scale_inv": scale}


def _decode_fp8(weight_rC: Tensor, scale: Tensor, B: int) -> Tensor:
    decoded_rC = _float32_of_e4m3(weight_rC)
    for block_BC, scale_row in zip(decoded_rC.split(B), scale, strict=True):
        block_BC *= scale_row.repeat_interleave(B)[: block_BC.shape[1]]
    return decoded_rC


def _float32_of_e4m3(codes: Tensor) -> Tensor:
    """Return what `codes.to(torch.float32)` does, in a third of its time: moved to float16's bits, times 2^8."""
    bits = codes.view(torch.int8).to(torch.int16).bitwise_left_shift_(7)  # two copies of the sign, exponent, mantissa
    values = bits.bitwise_and_(_SIGN_AND_E4M3).view(torch.float16).to(torch.float32).mul_(256)
    low, high = values.aminmax()
    if max(high, -low) == 480:  # the one code that is NaN
        values[values.abs() == 480] = torch.nan
    return values


def _encode_integers(rows_rC: Tensor, encoding: Encoding) -> dict[str, Tensor]:
    rows, columns = rows_rC.shape
    half = 1 << (encoding.bits - 1)
    groups_rgG = rows_rC.view(rows, columns // encoding.group_size, encoding.group_size)
    largest_rg = _largest(groups_rgG, (2,))
    scale_rg = (largest_rg / (half - 0.5)).to(torch.bfloat16).clamp_min_(_LEAST_SCALE)
    scale_rg[largest_rg == 0] = _SCALE_OF_ZEROS
    numbers = (groups_rgG / scale_rg.float().unsqueeze(-1)).round_().clamp_(-half, half - 1)
    bytes_rC = numbers.add_(half).to(torch.uint8).view(rows, columns)  # stored from 0 upwards
    if encoding.bits == 4:
        low, high = bytes_rC.view(rows, columns // 2, 2).unbind(-1)
        bytes_rC = high.bitwise_left_shift(4).bitwise_or_(low)
    return {"weight_packed": bytes_rC.view(torch.int32), "weight_scale": scale_rg}


def _decode_integers(packed_rW: Tensor, scale_rg: Tensor, bits: int) -> Tensor:
    bytes_ = packed_rW.contiguous().view(torch.uint8)  # the first number is in the lowest bits
    if bits == 4:
        bytes_ = torch.stack((bytes_ & 15, bytes_ >> 4), dim=-1).flatten(-2)
    groups_rgG = bytes_.view(*scale_rg.shape, -1).to(torch.float32).sub_(1 << (bits - 1))
    return groups_rgG.mul_(scale_rg.float().unsqueeze(-1)).flatten(-2)


def _largest(values: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Return the largest absolute value over `sides`, after refusing what cannot be encoded."""
    # Two passes, as `abs` would write a copy.
    largest = torch.maximum(values.amax(sides), values.amin(sides).neg_())
    if not (largest < _TOO_LARGE).all():  # not `>=`: a NaN compares false
        raise WeightsError("weights must be finite and below 2^127 to be encoded, got NaN, infinity or larger ones")
    return largest
