"""A model under a memory cap from any place: a folder, a web folder or a repository of a hub.

    open         what people call: `load(place, memory="12GiB")`
    folder       the folder that stands for a checkpoint on the web: true headers, holes for the rest
    reader       reads through it, and fills the holes
    kept         which ranges are there, how much they may take, and who may use them
    held         ranges of one file
    journal      the notes on them, which a kill or a full disk cannot make lie
    holes        give disk space back
    digests      every tensor against its digest before any part of it is used

Whoever needs one imports it from its module, so that nobody pays for the others; `load` is here too.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modeling_axk1.stream.open import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'modeling_axk1.stream' has no attribute {name!r}")
    from modeling_axk1.stream.open import load

    return load
