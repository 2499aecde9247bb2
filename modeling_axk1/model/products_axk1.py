# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""Products with weights stored in 8 or 4 bits, in bfloat16 on a CPU, without a copy of the weights that is larger.

    PackedWeight    whole numbers, in the order that torch's kernel for 4 bits reads; one expert's are put into it when
                    they are read, where they lie. Numbers of 8 bits are two of 4: v = (low - 8) + 16 (high - 8) + 8.
    E4m3Weight      E4M3, made float32 a few rows at a time, which never leave the cache.

Both add up in float32 what is exactly number times scale; a weight decoded first (`EncodedWeight.decoded`, the obvious
way and what remains for every other dtype, device and shape) has been rounded to bfloat16 before it is multiplied.
What else was tried: docs/en/tried-and-dropped.md. Suffixes: M rows, N out, K in, G or g groups, L lanes, C bytes.

This file travels to the hub beside modeling_axk1.py and imports nothing of this package.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from .quantised_axk1 import EncodedWeight, Quantisation

Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]

# Of smaller weights the calls around the products are the cost; they are decoded.
_LEAST_NUMBERS = 2**20
# For more rows, by the bits of a whole number, decoding first costs less than what bfloat16's own product then gains.
_MOST_ROWS, _MOST_ROWS_E4M3 = {4: 512, 8: 64}, 8
# As measured where bfloat16's own product has AMX; the others on AVX-512 without it.
_MOST_ROWS_AMX = {4: 160, 8: 80}
# What torch's kernel takes.
_GROUP_SIZES = (32, 64, 128, 256)
# Of float32, decoded at a time. Half of what a core's own cache holds.
_STRIP_BYTES = 2**20
# Of float16's bits: all but the highest of the exponent, and the mantissa's first three. As an int16.
_SIGN_AND_E4M3 = 0xBF80 - 0x1_0000
# E4M3 moved to float16's bits is this much smaller.
_E4M3_OF_FLOAT16 = 2.0**8
# Of bfloat16's bits: an exponent more by 4 and by 3, which is times 16 and times 8.
_TIMES_16, _TIMES_8 = 4 << 7, 3 << 7
_LEAST_NORMAL, _LARGEST_TIMES_16 = 0x0080, 0x7F7F - _TIMES_16


class PackedWeight(NamedTuple):
    """A weight [N, K] of whole numbers in the order of torch's kernel, with its scales.

    Of each 2 L rows of the weight, byte l of a line of L holds rows l (low half) and l + L (high half) of one column.
    There are as many lines as columns; for numbers of 8 bits twice as many: low halves of all columns, high halves.
    """

    numbers_NC: Tensor
    scales_GN: Tensor
    quantisation: Quantisation

    @property
    def rows(self) -> int:
        """N."""
        return self.numbers_NC.shape[0]

    @property
    def most(self) -> int:
        """The rows up to which `times` is the fastest product."""
        return (_MOST_ROWS_AMX if _has_amx() else _MOST_ROWS)[self.quantisation.bits]

    def times(self, x_MK: Tensor, out_MN: Tensor) -> None:
        """Write `x_MK @ weight.T` into `out_MN`, both in bfloat16. A row's answer does not depend on the other rows."""
        pairs_GN = self.scales_GN.new_empty(self.scales_GN.shape, dtype=torch.int32)
        pairs_GN.copy_(self.scales_GN.view(torch.uint16))  # a scale and, above it, what is added: nothing
        if self.quantisation.bits == 8:
            x_MK = torch.cat((x_MK, x_MK), dim=1)
            high_GN = (pairs_GN * 0x1_0001).add_((_TIMES_8 << 16) + _TIMES_16)
            pairs_GN = torch.cat((pairs_GN, high_GN))
        pairs_GN2 = pairs_GN.view(torch.bfloat16).view(*pairs_GN.shape, 2)
        product = torch.ops.aten._weight_int4pack_mm_for_cpu
        out_MN.copy_(product(x_MK.contiguous(), self.numbers_NC, self.quantisation.columns, pairs_GN2))

    def to(self, device: torch.device, non_blocking: bool = False) -> "PackedWeight | EncodedWeight":
        """Return the weight on another device, as it is stored: the order is a CPU's."""
        return self if device.type == "cpu" else self.unpacked().to(device, non_blocking)

    def unpacked(self) -> EncodedWeight:
        """Return a copy in the stored order."""
        numbers_NC = torch.empty_like(self.numbers_NC)
        for blocks_B2LC, packed_B2LC in zip(_blocks(numbers_NC), _blocks(self.numbers_NC), strict=True):
            low_BLC, high_BLC = (lines_BCL.swapaxes(1, 2) for lines_BCL in _lines(packed_B2LC, self.quantisation))
            np.bitwise_or(low_BLC & 15, high_BLC << 4, out=blocks_B2LC[:, 0])
            np.bitwise_or(low_BLC >> 4, high_BLC & 0xF0, out=blocks_B2LC[:, 1])
        return EncodedWeight(numbers_NC.view(torch.int32), _transposed(self.scales_GN), self.quantisation)


def _pack(weight: EncodedWeight) -> PackedWeight:
    """Bring a weight into the kernel's order, in the memory that it has."""
    numbers_NC = weight.numbers_NW.view(torch.uint8)
    all_blocks = _blocks(numbers_NC)
    scratch_3BLC = _scratch(all_blocks[0][:, 0])
    for blocks_B2LC in all_blocks:
        first_BLC, second_BLC = blocks_B2LC.swapaxes(0, 1)
        low_BLC, high_BLC, shifted_BLC = scratch_3BLC[:, : len(first_BLC)]
        np.bitwise_and(first_BLC, 15, out=low_BLC)
        low_BLC |= np.left_shift(second_BLC, 4, out=shifted_BLC)
        np.right_shift(first_BLC, 4, out=high_BLC)
        high_BLC |= np.bitwise_and(second_BLC, 0xF0, out=shifted_BLC)
        low_BCL, high_BCL = _lines(blocks_B2LC, weight.quantisation)
        low_BCL[...] = low_BLC.swapaxes(1, 2)
        high_BCL[...] = high_BLC.swapaxes(1, 2)
    scales_GN = weight.scales_ng.view(weight.scales_ng.shape[::-1])
    scales_GN.copy_(_transposed(weight.scales_ng))
    return PackedWeight(numbers_NC, scales_GN, weight.quantisation)


def _blocks(numbers_NC: Tensor) -> list[Bytes]:
    """View bytes by what is packed together, [2, L, C], some blocks B at a time: few calls, and still in the cache."""
    C = numbers_NC.shape[1]
    blocks = numbers_NC.numpy().reshape(-1, 2, _lanes(), C)
    at_once = max(1, _STRIP_BYTES // blocks[0].nbytes)
    return [blocks[first : first + at_once] for first in range(0, len(blocks), at_once)]


def _scratch(like_BLC: Bytes) -> Bytes:
    """Return memory for three, in rows that are no power of two apart.

    Those would push each other out of the cache while columns are read, and packing would take twice its time.
    """
    B, L, C = like_BLC.shape
    return np.empty((3, B, L, C + 64), np.uint8)[..., :C]


def _lines(blocks_B2LC: Bytes, of: Quantisation) -> tuple[Bytes, Bytes]:
    """View blocks' memory as its packed lines, [B, C, L]: those of the bytes' low halves and those of the high ones."""
    B, _, L, C = blocks_B2LC.shape
    # Two columns of 4 bits are neighbours; of 8 bits, a column's halves are a whole plane apart.
    if of.bits == 4:
        lines_BC2L = blocks_B2LC.reshape(B, C, 2, L)
        return lines_BC2L[:, :, 0], lines_BC2L[:, :, 1]
    lines_B2CL = blocks_B2LC.reshape(B, 2, C, L)
    return lines_B2CL[:, 0], lines_B2CL[:, 1]


def _transposed(scales: Tensor) -> Tensor:
    """Return a copy of a matrix in bfloat16 with its rows and columns exchanged, made in the calling thread."""
    bits = scales.view(torch.int16).numpy()
    return torch.from_numpy(bits.T.copy()).view(torch.bfloat16)


@cache
def _lanes() -> int:
    """Return L of this machine's kernel, found by torch's own conversion; 0 if it has another order, or no kernel."""
    convert = getattr(torch.ops.aten, "_convert_weight_to_int4pack_for_cpu", None)
    if convert is None:
        return 0
    N, K = 64, 32
    numbers_NK = torch.arange(N * K, dtype=torch.int32).view(N, K).mul_(7).add_(3).bitwise_right_shift_(2) & 15
    try:
        packed = convert(numbers_NK, 1).view(torch.uint8).flatten()
    except RuntimeError:
        return 0
    for lanes in (32, 16):  # of AVX-512 and AVX2
        lines = numbers_NK.to(torch.uint8).view(-1, 2, lanes, K).transpose(2, 3)
        if torch.equal((lines[:, 0] | (lines[:, 1] << 4)).flatten(), packed):
            return lanes
    return 0


@cache
def _has_amx() -> bool:
    """Say whether this machine multiplies bfloat16 by tiles, many times as fast as by vectors."""
    found = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return found is not None and bool(found())


class E4m3Weight(EncodedWeight):
    """A weight [N, K] in E4M3 without NaN, with a scale for each block; decoded by strips that stay in the cache."""

    __slots__ = ()
    most = _MOST_ROWS_E4M3  # as of `PackedWeight`

    def times(self, x_MK: Tensor, out_MN: Tensor) -> None:
        """Write `x_MK @ weight.T` into `out_MN`: scales go to `x_MK`, which for few rows is the smaller factor."""
        x_MK, scaled_MK, block = x_MK.float(), x_MK, -1
        for rows, strip_RK in self._strips(slice(0, self.rows)):
            if block != (block := rows.start // self.quantisation.rows):
                scaled_MK = x_MK * self._scale_K(block)
            out_MN[:, rows] = scaled_MK.mm(strip_RK.t())

    def decoded(self, rows: slice, dtype: torch.dtype) -> Tensor:
        """Return what `EncodedWeight.decoded` does, to the bit."""
        weight_rK = torch.empty(rows.stop - rows.start, self.numbers_NW.shape[1], dtype=dtype)
        for part, strip_RK in self._strips(rows):
            strip_RK *= self._scale_K(part.start // self.quantisation.rows)
            weight_rK[part.start - rows.start : part.stop - rows.start] = strip_RK
        return weight_rK

    def to(self, device: torch.device, non_blocking: bool = False) -> EncodedWeight:
        """Return the weight on another device, as it is stored: strips are for a CPU's cache."""
        return self if device.type == "cpu" else EncodedWeight(*self).to(device, non_blocking)

    def _scale_K(self, block: int) -> Tensor:
        """Return the factor of each column of a strip in this block of rows."""
        scale_g1 = self.scales_ng[block].float()[:, None] * _E4M3_OF_FLOAT16
        return scale_g1.expand(-1, self.quantisation.columns).reshape(-1)[: self.numbers_NW.shape[1]]

    def _strips(self, rows: slice) -> Iterator[tuple[slice, Tensor]]:
        """Yield rows of one block as float32, still without their scales; each time in the same memory."""
        codes_NK, block = self.numbers_NW.view(torch.int8), self.quantisation.rows
        most = min(block, max(16, _STRIP_BYTES // (4 * codes_NK.shape[1]) // 16 * 16))
        bits = codes_NK.new_empty(most, codes_NK.shape[1], dtype=torch.int16)
        values = bits.new_empty(bits.shape, dtype=torch.float32)
        start = rows.start
        while start < rows.stop:
            stop = min(start + most, (start // block + 1) * block, rows.stop)
            bits_RK = bits[: stop - start].copy_(codes_NK[start:stop]).bitwise_left_shift_(7)
            bits_RK &= _SIGN_AND_E4M3  # there were two copies of the sign
            yield slice(start, stop), values[: stop - start].copy_(bits_RK.view(torch.float16))
            start = stop


ReadyWeight: TypeAlias = PackedWeight | EncodedWeight


def made_ready(weight: EncodedWeight) -> ReadyWeight:
    """Bring a weight into the form that is multiplied fastest in bfloat16 on this CPU, in the memory that it has.

    The weight given must not be used any more. It comes back as it is if there is no faster form. All work is numpy's,
    which stays in the calling thread: several experts are made ready at a time, and if each had a team of torch's
    threads, the teams would wait for each other most of the time.
    """
    numbers, scales, of = weight
    N, K = numbers.shape[0], numbers.shape[1] * 8 * numbers.itemsize // of.bits
    if N * K < _LEAST_NUMBERS:
        return weight
    if of.is_float:
        codes = numbers.view(torch.uint8).numpy()
        if codes.view(np.int8).max() == 0x7F or codes.max() == 0xFF:  # NaN
            return weight
        return E4m3Weight(*weight)
    fits = (
        scales.dtype == torch.bfloat16
        and of.columns in _GROUP_SIZES
        and K % of.columns == 0
        and numbers.is_contiguous()
        and scales.is_contiguous()
        and (lanes := _lanes()) > 0
        and N % (2 * lanes) == 0
    )
    if fits and of.bits == 8:
        bits = scales.view(torch.int16).numpy()
        fits = bool(bits.min() >= _LEAST_NORMAL and bits.max() <= _LARGEST_TIMES_16)
    return _pack(weight) if fits else weight


__all__ = ["E4m3Weight", "PackedWeight", "ReadyWeight", "made_ready"]
