"""Bytes of a tensor as runs: pieces of equal length at equal distances, which is what every cut along one axis is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.dtypes import DTYPE_BITS


@dataclass(frozen=True, slots=True)
class Run:
    """`count` pieces of `length` bytes; `stride` bytes lie from the beginning of one to the beginning of the next.

    One piece has stride 0, so that equal bytes are equal runs.
    """

    start: int
    length: int
    count: int = 1
    stride: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all pieces."""
        return self.length * self.count

    @property
    def end(self) -> int:
        """Where the last piece ends."""
        return self.start + (self.count - 1) * self.stride + self.length

    def shifted(self, by: int) -> "Run":
        """Return the same run `by` bytes further on."""
        return Run(self.start + by, self.length, self.count, self.stride)

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield (start, length) of every piece."""
        for number in range(self.count):
            yield self.start + number * self.stride, self.length


def cut_axis(shape: Sequence[int], dtype: str, axis: int, low: int, high: int) -> Run:
    """Return where, counted from a tensor's first byte, its indices [low, high) along `axis` lie.

    Raises WeightsError when they leave the tensor, as an axis it has not does, or begin within a byte (elements of 4 or
    6 bits).

    Example: the last two columns of a [3, 4] matrix of F32 are Run(start=8, length=8, count=3, stride=16).
    """
    if axis >= len(shape):
        raise WeightsError(f"a cut along axis {axis} needs a tensor with that axis, got shape {list(shape)}")
    if not 0 <= low <= high <= shape[axis]:
        raise WeightsError(f"a cut must lie in [0, {shape[axis]}], got [{low}, {high})")
    inner = prod(shape[axis + 1 :]) * DTYPE_BITS[dtype]
    start, length, stride = (count * inner for count in (low, high - low, shape[axis]))
    if any(bits % 8 for bits in (start, length, stride)):
        raise WeightsError(f"a cut must fall between bytes, got [{low}, {high}) of {dtype} {list(shape)}")
    return joined(start // 8, length // 8, prod(shape[:axis]), stride // 8)


def joined(start: int, length: int, count: int, stride: int) -> Run:
    """Return a run of these pieces, as one piece where they follow each other or hold nothing."""
    if count <= 1 or length in (0, stride):
        return Run(start, length * count)
    return Run(start, length, count, stride)


def split(run: Run, limit: int) -> Iterator[Run]:
    """Yield the bytes of a run in order, in runs that span at most `limit` bytes, gaps included, or are one piece."""
    if run.length > limit:
        for start, length in run.pieces():
            for done in range(0, length, limit):
                yield Run(start + done, min(limit, length - done))
    else:
        at_once = max(1, limit // max(1, run.stride))
        for first in range(0, run.count, at_once):
            yield joined(run.start + first * run.stride, run.length, min(at_once, run.count - first), run.stride)
