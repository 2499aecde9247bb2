"""Rows of a weight from one form into another: decoded to float32, encoded, and compared with what that decodes to."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.encodings import Encoding
from modeling_axk1.weights.errorsum import ErrorSum
from modeling_axk1.weights.quantize import decode_rows, encode_rows, error_of
from modeling_axk1.weights.steps import Form, Recode

_DTYPES = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn,
    "I32": torch.int32,
}


def recode(step: Recode, read: Mapping[str, memoryview]) -> tuple[dict[str, memoryview], ErrorSum]:
    """Return the bytes of each part of the target form, and how far they are off; `read` has the source's bytes.

    Raises WeightsError when a finite weight would become infinite, or one that is not finite cannot be encoded.
    """
    original = _decoded(step.source_form, _tensors(step.source_form, (step.rows, step.columns), read))
    try:
        encoded = _encoded(step.target_form, original)
    except WeightsError as error:
        raise WeightsError(f"{step.weight}: {error}") from None
    written = {
        part: memoryview(tensor.contiguous().view(torch.uint8).flatten().numpy()) for part, tensor in encoded.items()
    }
    if step.target_form == "F32" and step.source_form != "F64":
        return written, ErrorSum()  # nothing that is read here has more bits, so nothing was rounded
    decoded = _decoded(step.target_form, encoded)
    if not isinstance(step.target_form, Encoding) and (decoded.isinf() & original.isfinite()).any():
        raise WeightsError(
            f"{step.weight} has weights up to {original.abs().max():.6g}, too large for {step.target_form}"
        )
    return written, error_of(original, decoded)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let every thread compute for itself while the block runs: pieces are worked on side by side already."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _tensors(form: Form, shape: tuple[int, int], read: Mapping[str, memoryview]) -> dict[str, Tensor]:
    if not isinstance(form, Encoding):
        weights = torch.frombuffer(read["weight"], dtype=_DTYPES[form])
        return {"weight": weights.view(shape) if shape[1] > 1 else weights}  # a cast does not care for shapes
    kinds = {name.rpartition(".")[2]: kind for name, kind in form.parts("x.weight", shape).items()}
    return {
        part: torch.frombuffer(data, dtype=_DTYPES[kinds[part][0]]).view(kinds[part][1]) for part, data in read.items()
    }


def _decoded(form: Form, parts: Mapping[str, Tensor]) -> Tensor:
    """Return the rows in float32; in float64 where that is what is stored, so that what it loses is seen."""
    if isinstance(form, Encoding):
        return decode_rows(form, parts)
    return parts["weight"] if form == "F64" else parts["weight"].to(torch.float32)


def _encoded(form: Form, rows: Tensor) -> dict[str, Tensor]:
    return encode_rows(form, rows.float()) if isinstance(form, Encoding) else {"weight": rows.to(_DTYPES[form])}
