"""Keep evaluation texts out of what is trained on."""

from pathlib import Path

from modeling_axk1.data.decontaminate import CHARACTERS, WORDS, beginnings, open_index, shared_runs
from modeling_axk1.data.document import Document, Drop, Step


def decontaminate(index: str) -> Step:
    """Drop a text that shares a run of words or characters with an evaluation text (data/decontaminate.py).

    `index` is a file that `build_index` wrote. Raises DataError when there is none.
    """
    array = open_index(Path(index))
    begun = beginnings(array)

    def decide(document: Document) -> Document | Drop:
        if shared_runs(document.text, array, begun):
            return Drop(f"shares {WORDS} words, or {CHARACTERS} characters, with an evaluation text")
        return document

    return Step("decontaminate", decide)
