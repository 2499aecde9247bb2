"""A model under a memory cap from any place: a folder, a web folder or a repository of a hub.

    open         what people call: `load(place, memory="12GiB")`

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
