"""Load a model whose weights stay where they are: on a disk here, or on the web."""

import hashlib
import os
from pathlib import Path
from typing import Any

from modeling_axk1.errors import UsageError
from modeling_axk1.files import user_cache
from modeling_axk1.model.memory_axk1 import Streaming, bytes_of
from modeling_axk1.model.modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.model.reading_axk1 import Reader
from modeling_axk1.stream.digests import CheckedReader, expected_digests
from modeling_axk1.stream.folder import folder_for
from modeling_axk1.stream.kept import Kept
from modeling_axk1.stream.reader import FolderReader, WebReader
from modeling_axk1.weights.place import open_place
from modeling_axk1.weights.store import Folder
from modeling_axk1.weights.store_http import HubRepository, WebFolder

# Reads in flight: a request spends more of its time waiting than a read of a disk does.
_WEB_THREADS = 8


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
        check_digests: hold every tensor against MANIFEST.json before any part of it is used; where there is none,
            every shard against SHA256SUMS or what the hub keeps. It is read whole for that, once: of the release's
            fused experts 11 GB or 6 GB at the first token that touches a layer, from the web too. What was sound is
            remembered for as long as the file is the very same.
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
    streaming = dict(options.pop("streaming", None) or {})
    if "reader" in streaming:
        raise UsageError("load brings a reader of its own; give yours to from_pretrained, with a folder")
    store = open_place(str(place))
    source: FolderReader | WebReader
    if isinstance(store, Folder):
        if cache_size is not None or cache_dir is not None:
            raise UsageError(f"cache_dir and cache_size are for what comes from the web; {store.name} is a folder here")
        folder, memory_file, threads = store.folder, _memory_of(store.folder), Streaming.threads
        source = FolderReader(streaming.get("direct", True))
    else:
        if cache_size is not None and check_digests:
            raise UsageError("check_digests reads tensors whole and keeps them, so cache_size cannot be given with it")
        assert isinstance(store, HubRepository | WebFolder)
        # What was checked is kept apart: there nobody else writes, so that it need not be checked again.
        folder = folder_for(store, Path(cache_dir or user_cache() / "stream"), "checked" if check_digests else "")
        kept = Kept(folder, None if cache_size is None else _bytes_of(cache_size), alone=check_digests)
        source = WebReader(store, kept, streaming.get("direct", True))
        memory_file, threads = folder / ".checked", _WEB_THREADS
    shards = sorted(folder.glob("*.safetensors"))
    reader: Reader = source
    if check_digests:
        reader = CheckedReader(source, expected_digests(store, [shard.name for shard in shards]), memory_file)
    model: AXK1ForCausalLM = AXK1ForCausalLM.from_pretrained(
        folder, **limits, streaming={"threads": threads, **streaming, "reader": reader}, **options
    )
    if check_digests and isinstance(source, FolderReader):
        source.prove_unmoved(shards)
    return model


def _memory_of(folder: Path) -> Path | None:
    """Return where it is remembered which tensors of a folder here were sound; None for a user without a home."""
    key = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]
    try:
        return user_cache() / "stream" / "checked" / f"{key}.json"
    except RuntimeError:
        return None


def _bytes_of(size: int | str) -> int:
    try:
        return bytes_of(size)
    except ValueError:
        raise UsageError(f"cache_size must be a number of bytes or a size like 100GB, got {size!r:.60}") from None
