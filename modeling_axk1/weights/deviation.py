"""How far the values of one weight are from another's, whatever dtypes and encodings both are stored in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite

import torch
from torch import Tensor

from modeling_axk1.weights.dtypes import DTYPE_BITS
from modeling_axk1.weights.encodings import Encoding
from modeling_axk1.weights.errorsum import ErrorSum
from modeling_axk1.weights.quantize import decode_rows
from modeling_axk1.weights.steps import Form, Recode

_FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
}
_DTYPES = _FLOATS | {
    "F8_E8M0": torch.float8_e8m0fnu,
    "BOOL": torch.uint8,
    "U8": torch.uint8,
    "I8": torch.int8,
    "U16": torch.uint16,
    "I16": torch.int16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "U64": torch.uint64,
    "I64": torch.int64,
}
_BITS = {8: torch.uint8, 16: torch.int16, 32: torch.int32, 64: torch.int64}
# float32 holds the values of all others exactly.
_NEED_FLOAT64 = {"F64", "U32", "I32", "U64", "I64"}


@dataclass(frozen=True)
class Deviation:
    """Sums over weights; `a + b` is the deviation of both together.

    `differing` counts values that are not the same: by their bits where both are of one dtype, so that 0.0 and -0.0
    differ there. NaN is the same as NaN, and infinitely far from any number. `rounded` says whether either side is the
    other, rounded to its dtype.
    """

    differing: int = 0
    error: ErrorSum = field(default_factory=ErrorSum)
    a_rounded: bool = True
    b_rounded: bool = True

    def __add__(self, other: "Deviation") -> "Deviation":
        return Deviation(
            self.differing + other.differing,
            self.error + other.error,
            self.a_rounded and other.a_rounded,
            self.b_rounded and other.b_rounded,
        )

    @property
    def rounded(self) -> bool:
        """Whether either side is the other, rounded to its dtype."""
        return self.a_rounded or self.b_rounded


def can_decode(form: Form) -> bool:
    """Whether the values of a form are known here: not of complex numbers, nor of 4 and 6 bits without their scales."""
    return isinstance(form, Encoding) or form in _DTYPES


def deviation(rows: Recode, a: Mapping[str, memoryview], b: Mapping[str, memoryview]) -> Deviation:
    """Compare rows of a weight: `a` has the bytes of the source's parts, `b` those of the target's.

    The target is taken as it was found; nothing is written. Both forms must be such as `can_decode` knows.
    """
    form_a, form_b = rows.source_form, rows.target_form
    wide = torch.float64 if {form_a, form_b} & _NEED_FLOAT64 else torch.float32
    values_a = _decoded(rows, form_a, a, wide)
    differing = None
    if form_a == form_b and not isinstance(form_a, Encoding):
        bits = _BITS[DTYPE_BITS[form_a]]
        unlike = torch.frombuffer(a["weight"], dtype=bits).ne(torch.frombuffer(b["weight"], dtype=bits))
        differing = int(unlike.count_nonzero())
        if not differing:
            return Deviation(error=ErrorSum(squared_weights=_squares(values_a)))
    values_b = _decoded(rows, form_b, b, wide)
    if torch.equal(values_a, values_b):
        return Deviation(differing or 0, ErrorSum(squared_weights=_squares(values_a)))
    same = _same(values_a, values_b)
    are_floats = form_a in _FLOATS and form_b in _FLOATS
    return Deviation(
        int(same.numel() - same.count_nonzero()) if differing is None else differing,
        _error(values_a, values_b, same),
        a_rounded=are_floats and _is_rounded(values_b, form_a, values_a),
        b_rounded=are_floats and _is_rounded(values_a, form_b, values_b),
    )


def _decoded(rows: Recode, form: Form, read: Mapping[str, memoryview], dtype: torch.dtype) -> Tensor:
    if not isinstance(form, Encoding):
        return torch.frombuffer(read["weight"], dtype=_DTYPES[form]).to(dtype)
    parts = {}
    for name, (kind, shape) in form.parts("x.weight", (rows.rows, rows.columns)).items():
        part = name.removeprefix("x.")
        if part in read:
            parts[part] = torch.frombuffer(read[part], dtype=_DTYPES[kind]).view(shape)
    return decode_rows(form, parts, dtype).flatten()


def _same(a: Tensor, b: Tensor) -> Tensor:
    return a.eq(b).logical_or_(a.isnan().logical_and_(b.isnan()))


def _is_rounded(original: Tensor, form: Form, found: Tensor) -> bool:
    """Whether `found`, stored in `form`, is what rounding the original to it gives."""
    return bool(_same(original.to(_FLOATS[str(form)]).to(found.dtype), found).all())


def _error(a: Tensor, b: Tensor, same: Tensor) -> ErrorSum:
    error = b - a
    largest = _largest(error)
    if not isfinite(largest):
        # Where both are NaN or the same infinity nothing is off, and in float64 the largest float32s have a difference.
        error = (b.double() - a.double()).masked_fill_(same, 0.0)
        largest = _largest(error)
    return ErrorSum(_squares(error), _squares(a), largest) if isfinite(largest) else ErrorSum(inf, _squares(a), inf)


def _largest(values: Tensor) -> float:
    low, high = values.aminmax()
    return max(float(high), -float(low))


def _squares(values: Tensor) -> float:
    """Return the sum of the squares of the values that are finite."""
    norm = float(torch.linalg.vector_norm(values, dtype=torch.float64))
    if not isfinite(norm):
        norm = float(torch.linalg.vector_norm(values.double().nan_to_num(0.0, 0.0, 0.0)))
    return norm * norm
