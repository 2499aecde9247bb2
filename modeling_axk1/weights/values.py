"""Find NaN and infinity in tensors by their bit patterns, so that bfloat16 and 8-bit floats need no torch."""

# A float is infinite or NaN when all bits of its exponent are set (F8_E4M3 has no infinity: all bits but the sign).
# The FNUZ kinds mark NaN otherwise, and 4- and 6-bit floats have none: they are not looked at.
_FULL_EXPONENT: dict[str, tuple[str, int | None]] = {
    "F8_E4M3": ("u1", 0x7F),
    "F8_E5M2": ("u1", 0x7C),
    "F8_E8M0": ("u1", 0xFF),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F32": ("<u4", 0x7F80_0000),
    "C64": ("<u4", 0x7F80_0000),
    "F64": ("<u8", 0x7FF0_0000_0000_0000),
}


class NonFinite:
    """Counts the values of one tensor that are NaN or infinite; `first` is the position of the first of them."""

    def __init__(self, dtype: str) -> None:
        """Look at values of `dtype`; nothing is found in kinds that have no NaN."""
        self._bits, self._mask = _FULL_EXPONENT.get(dtype, ("u1", None))
        self._seen = 0
        self.count = 0
        self.first = 0

    def feed(self, chunk: memoryview) -> None:
        """Look at the tensor's next bytes, a whole number of values."""
        if self._mask is None:
            return
        import numpy as np

        values = np.frombuffer(chunk, self._bits)
        # The largest of all as signed and as unsigned integers bound the positive and the negative ones: two passes
        # that write nothing, where a mask and a comparison for each value are three times as slow.
        signed = values.view(self._bits.replace("u", "i"))
        sign = 1 << (8 * values.itemsize - 1)
        if values.size and (signed.max() >= self._mask or values.max() >= self._mask | sign):
            hits = (values & self._mask) == self._mask
            self.first = self.first if self.count else self._seen + int(hits.argmax())
            self.count += int(np.count_nonzero(hits))
        self._seen += values.size
