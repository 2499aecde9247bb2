"""The characters of a text as numbers, to look all of them up in a table at once."""

import numpy as np
from numpy.typing import NDArray


def code_points(text: str) -> NDArray[np.intp]:
    """Return the code point of every character, half a surrogate pair's too: places in a table.

    Tables here have 65,536 entries and are read with `take(mode="clip")`: what follows the last entry is as the last.
    """
    if text.isascii():
        return np.frombuffer(text.encode(), np.uint8).astype(np.intp)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.intp)
