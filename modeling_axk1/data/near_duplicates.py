"""Texts that are almost the same: MinHash signatures, and the groups that they form.

Two texts are compared by their sets of shingles, runs of SHINGLE units (units.py). Their likeness is the Jaccard index
of the sets, and the share of equal numbers in two signatures estimates it, with a standard deviation of at most 0.045.
A signature is made from one text alone, so worker processes make them; the groups are then found in one process from
all signatures. Broder, "On the resemblance and containment of documents" (1997).
"""

from array import array
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from modeling_axk1.data.units import units, windows
from modeling_axk1.errors import DataError

Signature = NDArray[np.uint32]

SHINGLE = 5
NUMBERS = 128
# Texts at least this alike are near-duplicates.
THRESHOLD = 0.7
_SEED = 1
# Signatures that agree in a whole band are compared. With 32 bands of 4 numbers, two texts of likeness 0.7 are missed
# once in 6,000 times; who is compared in vain costs a moment and no document.
_ROWS = 4
_BANDS = NUMBERS // _ROWS
_ENTRY = np.dtype([("key", np.uint64), ("index", np.int64)])


def signature(text: str) -> Signature:
    """Return the MinHash of a text, [NUMBERS]. A text without a unit has a signature of its own kind, all ones."""
    from rensa import RMinHash

    hashes = units(text).hashes
    shingles = windows(hashes, min(SHINGLE, max(len(hashes), 1)))
    bounds = np.array([0, len(shingles)], np.uint64)
    rows = RMinHash.digest_matrix_from_flat_token_hashes(shingles, bounds, NUMBERS, _SEED).to_rows()
    return np.array(rows[0], np.uint32)


def likeness(first: Signature, second: Signature) -> NDArray[np.float64]:
    """Estimate the Jaccard index of two texts, or of many pairs, [..., NUMBERS], from their signatures."""
    return np.mean(first == second, axis=-1)


def first_of_each_group(signatures: Signature, work: Path, memory: int = 1 << 28) -> NDArray[np.int64]:
    """Return, for every document, the first document of its group; a document that is kept is its own.

    Documents belong to a group when near-duplicates connect them, be it through others. The answer depends on the
    signatures, [documents, NUMBERS], and nothing else. They may lie in a file (numpy.memmap): what is sorted at a time
    takes `memory` bytes, the rest waits in files in `work`, about 512 bytes a document. 16 bytes a document always
    stay in memory.

    Raises DataError for signatures of another shape.
    """
    if signatures.ndim != 2 or signatures.shape[1] != NUMBERS:
        raise DataError(f"signatures must be [documents, {NUMBERS}], got {list(signatures.shape)}")
    parents = array("q", range(len(signatures)))
    # Sorting takes a copy and the order besides the entries themselves.
    parts = 1 + 3 * len(signatures) * _ENTRY.itemsize // memory
    with TemporaryDirectory(dir=work, prefix="bands-") as folder:
        for file in _partition(signatures, Path(folder), parts):
            for first, second in _near(signatures, _candidates(np.fromfile(file, _ENTRY)), memory):
                _join(parents, first, second)
    return np.array([_root(parents, index) for index in range(len(parents))], np.int64)


def _partition(signatures: Signature, folder: Path, parts: int) -> list[Path]:
    """Write the key of every band of every signature to a file per band and range of keys."""
    paths = [[folder / f"{band}-{part}" for part in range(parts)] for band in range(_BANDS)]
    step = 1 << 14
    for start in range(0, len(signatures), step):
        block = np.ascontiguousarray(signatures[start : start + step]).astype(np.uint64)
        for band in range(_BANDS):
            rows = block[:, band * _ROWS : (band + 1) * _ROWS]
            entries = np.empty(len(rows), _ENTRY)
            entries["index"] = np.arange(start, start + len(rows))
            # Two numbers of 32 bits fill a key; the others are mixed in by windows' own hash.
            pairs = rows[:, ::2] << np.uint64(32) | rows[:, 1::2]
            entries["key"] = windows(pairs.ravel(), pairs.shape[1])[:: pairs.shape[1]]
            part_of = entries["key"] % np.uint64(parts)
            for part in range(parts):
                with paths[band][part].open("ab") as file:
                    entries[part_of == part].tofile(file)
    return [path for of_band in paths for path in of_band if path.exists()]


def _candidates(entries: NDArray) -> NDArray[np.int64]:
    """Return pairs, [pairs, 2], of documents with one key: each with the first that has it and with the one before."""
    entries = entries[np.lexsort((entries["index"], entries["key"]))]
    keys, indices = entries["key"], entries["index"]
    same = np.flatnonzero(keys[1:] == keys[:-1]) + 1
    if not len(same):
        return np.empty((0, 2), np.int64)
    begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    firsts = begins[np.searchsorted(begins, same, "right") - 1]
    later = same[firsts != same - 1]
    pairs = [
        np.stack([indices[firsts], indices[same]], 1),
        np.stack([indices[later - 1], indices[later]], 1),
    ]
    return np.concatenate(pairs)


def _near(signatures: Signature, pairs: NDArray[np.int64], memory: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs whose signatures are as alike as near-duplicates are."""
    step = max(1, memory // (NUMBERS * 16))
    for start in range(0, len(pairs), step):
        some = pairs[start : start + step]
        alike = likeness(signatures[some[:, 0]], signatures[some[:, 1]]) >= THRESHOLD
        yield from some[alike].tolist()


def _root(parents: "array[int]", index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


def _join(parents: "array[int]", first: int, second: int) -> None:
    # The lower number is the root, so a group's root is its first document whatever the order of the pairs.
    low, high = sorted((_root(parents, first), _root(parents, second)))
    parents[high] = low
