"""No text to train on shares a run with a text to evaluate on.

A run is WORDS words in a row, or CHARACTERS units of which at least one is a character of a script that does not part
words (units.py): about as much text, by an estimate of two characters a word. 13 words is the length that GPT-3 used
(https://arxiv.org/abs/2005.14165, appendix C). Case, punctuation and layout do not count.

Every run of the evaluation texts is in the index, so no shared run is missed and nothing is sampled. The index is a
sorted NumPy array in a file, of which only the pages that are looked at come into memory.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from modeling_axk1.data.document import Document
from modeling_axk1.data.units import Hashes, units, windows
from modeling_axk1.errors import DataError
from modeling_axk1.files import atomic_write

WORDS = 13
CHARACTERS = 25
_PARTS = 256
# So many first bits of a hash are looked at before the index is; a byte each stays in memory, 64 MiB at most.
_MAX_BEGINNING = 26


def runs(text: str) -> Hashes:
    """Return the hash of every run of a text, in their order, those of words first."""
    hashes, _, _, single = units(text)
    before = np.concatenate(([0], np.cumsum(single)))
    of_words = before[WORDS:] == before[:-WORDS]
    of_characters = before[CHARACTERS:] > before[:-CHARACTERS]
    kinds = ((WORDS, of_words), (CHARACTERS, of_characters))
    # Most texts have runs of one kind only.
    return np.concatenate([hashes[:0], *(windows(hashes, length)[wanted] for length, wanted in kinds if wanted.any())])


def build_index(documents: Iterable[Document], path: Path) -> int:
    """Write the index of evaluation documents and return the number of its runs.

    Needs memory for a 256th of the index, and for one document. Raises DataError when there is no run at all: then
    nothing could ever be found.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=".runs-") as folder:
        files = [Path(folder) / str(part) for part in range(_PARTS)]
        for document in documents:
            hashes = np.unique(runs(document.text))
            bounds = np.searchsorted(hashes, np.arange(1, _PARTS, dtype=np.uint64) << np.uint64(56))
            for file, some in zip(files, np.split(hashes, bounds), strict=True):
                if len(some):
                    with file.open("ab") as stream:
                        some.tofile(stream)
        count = 0
        for file in files:
            if file.exists():
                unique = np.unique(np.fromfile(file, np.uint64))
                unique.tofile(file)
                count += len(unique)
        if not count:
            raise DataError(f"the evaluation texts have no run of {WORDS} words or {CHARACTERS} characters")
        with atomic_write(path) as stream:
            header = {"descr": "<u8", "fortran_order": False, "shape": (count,)}
            np.lib.format.write_array_header_1_0(stream, header)
            for file in files:
                if file.exists():
                    stream.write(file.read_bytes())
    return count


def open_index(path: Path) -> Hashes:
    """Open an index that `build_index` wrote, as an array in the file. Raises DataError when it is none."""
    try:
        index = np.load(path, mmap_mode="r")
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} is no index of evaluation texts: {error}") from None
    if index.dtype != np.uint64 or index.ndim != 1 or not len(index):
        raise DataError(f"{path} is no index of evaluation texts: {index.dtype} {list(index.shape)}")
    return index


def beginnings(index: Hashes) -> NDArray[np.bool_]:
    """Say of every number of some first bits whether a hash in the index begins with it.

    There are at least eight times as many numbers as hashes, so seven of eight runs that are not in the index need not
    be looked for in it, which costs thirty times as much; an index of more than 8 million runs rules out fewer.
    """
    bits = min(len(index).bit_length() + 3, _MAX_BEGINNING)
    begun = np.zeros(1 << bits, np.bool_)
    for start in range(0, len(index), 1 << 20):
        begun[index[start : start + (1 << 20)] >> np.uint64(64 - bits)] = True
    return begun


def shared_runs(text: str, index: Hashes, begun: NDArray[np.bool_] | None = None) -> int:
    """Count the different runs of a text that the index has; `begun` is what `beginnings` says of it, for speed."""
    wanted = runs(text)
    if begun is not None:
        bits = len(begun).bit_length() - 1
        wanted = wanted[begun.take((wanted >> np.uint64(64 - bits)).astype(np.intp))]
    # Sorted, so that neighbours are looked for in one place of the file.
    wanted = np.unique(wanted)
    places = np.searchsorted(index, wanted)
    places[places == len(index)] = 0
    return int((index[places] == wanted).sum()) if len(wanted) else 0


def contaminated(documents: Iterable[Document], index: Hashes) -> Iterator[tuple[Document, int]]:
    """Yield every document that shares a run with the evaluation texts, with the number of shared runs.

    Going through a finished dataset without a yield proves that it shares no run with them: hashes may agree by chance,
    which would be reported, but equal runs never have different ones.
    """
    begun = beginnings(index)
    for document in documents:
        if shared := shared_runs(document.text, index, begun):
            yield document, shared
