"""Exact duplicates over a whole corpus, in bounded memory: hashes are sorted bucket by bucket on the disk."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

# What is sorted at a time; sorting needs about four times as much memory.
BUCKET_BYTES = 32_000_000
_MAX_BUCKETS = 1024


class Buckets:
    """Records with a `digest` (four numbers, most significant first), on the disk in buckets by its first bits.

    Records are added in any order; then each bucket comes back sorted, and so do the buckets: together they are all
    records in the order of their digests, those with equal digests in the order in which they were added.
    """

    def __init__(self, folder: Path, dtype: np.dtype, records: int) -> None:
        self.dtype = dtype
        buckets = min(-(-max(records, 1) * dtype.itemsize // BUCKET_BYTES), _MAX_BUCKETS)
        # A power of two, so that a bucket is a number of leading bits.
        self._bits = (buckets - 1).bit_length()
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = [folder / f"{number:04}" for number in range(1 << self._bits)]
        for path in self._paths:
            path.write_bytes(b"")

    def add(self, records: np.ndarray) -> None:
        """Append records to their buckets."""
        if self._bits == 0:
            numbers = np.zeros(len(records), np.uint64)
        else:
            numbers = records["digest"][:, 0] >> np.uint64(64 - self._bits)
        order = np.argsort(numbers, kind="stable")
        records, numbers = records[order], numbers[order]
        values, starts = np.unique(numbers, return_index=True)
        for value, start, stop in zip(values, starts, np.append(starts, len(records))[1:], strict=True):
            with self._paths[int(value)].open("ab") as file:
                file.write(records[start:stop].tobytes())

    def __iter__(self) -> Iterator[np.ndarray]:
        for path in self._paths:
            records = np.fromfile(path, self.dtype)
            digest = records["digest"]
            # The first key of lexsort counts least; it keeps the order of equal ones.
            yield records[np.lexsort((digest[:, 3], digest[:, 2], digest[:, 1], digest[:, 0]))]


def repeated(records: np.ndarray) -> np.ndarray:
    """Say for each of some sorted records whether the one before it has the same digest."""
    same = np.zeros(len(records), bool)
    same[1:] = (records["digest"][1:] == records["digest"][:-1]).all(axis=1)
    return same
