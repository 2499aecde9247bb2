"""Load a model whose weights stay where they are: on a disk here, or on the web."""

from pathlib import Path
from typing import Any

from modeling_axk1.errors import UsageError
from modeling_axk1.model.modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.weights.place import open_place
from modeling_axk1.weights.store import Folder


def load(
    place: str,
    *,
    memory: int | str | None = None,
    expert_memory: int | str | None = None,
    cache_dir: Path | str | None = None,
    cache_size: int | str | None = None,
    check_digests: bool = False,
    **options: Any,
) -> AXK1ForCausalLM:
    """Return the model at `place`, its weights read when a token needs them.

    Args:
        place: a folder, an address, or a repository of a hub, as `weights.place.open_place` takes it.
        memory: bounds the whole process, as in `from_pretrained`; so does `expert_memory` the routed experts.
        expert_memory: see `memory`; one of the two must be given.
        cache_dir: where what is read from the web is kept, by default ~/.cache/axk1/stream. A folder needs none.
        cache_size: bounds what is kept there; what was not used for the longest time goes.
        check_digests: hold every tensor against MANIFEST.json before it is used.
        **options: all others of `from_pretrained`, such as `streaming` and `dtype`.

    Raises:
        UsageError: options that contradict each other, or a place that is none.
        WeightsError: what lies there is no checkpoint, or is not what its manifest says.
        ValueError: what `from_pretrained` refuses, such as a memory that is too small.

    Example: `load("skt/A.X-K1", memory="16GiB")`; `model.name_or_path` is a folder with its tokenizer.

    """
    if (memory is None) == (expert_memory is None):
        raise UsageError("give memory, for the whole process, or expert_memory, for routed experts: one of the two")
    limits = {"memory": memory} if memory is not None else {"expert_memory": expert_memory}
    store = open_place(str(place))
    if isinstance(store, Folder):
        model: AXK1ForCausalLM = AXK1ForCausalLM.from_pretrained(store.folder, **limits, **options)
        return model
    raise UsageError("a place on the web is not read yet")
