"""Load a model as a person names it: a folder, a repository or an address, with or without a memory cap."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.files import user_cache
from modeling_axk1.model.memory_axk1 import bytes_of
from modeling_axk1.stream.folder import folder_for
from modeling_axk1.stream.open import load
from modeling_axk1.stream.profile import read_profile
from modeling_axk1.weights.place import open_place
from modeling_axk1.weights.store import Folder
from modeling_axk1.weights.store_http import HubRepository, WebFolder


@dataclass(frozen=True)
class Loading:
    """How to load; sizes as people write them ("16GiB"), None for what streaming chooses by itself.

    Attributes:
        memory: bounds the whole process.
        expert_memory: bounds routed experts alone.
        profile: names the experts to hold first (`axk1 weights profile`).
        policy: which expert makes room for another.
        threads: reads in flight.
        context: tokens that memory is set aside for.
        cache_dir: where what comes from a hub or an address is kept.
        cache_size: bounds what is kept there.
        check_digests: hold every tensor against MANIFEST.json before it is used.
        guess: whether the next layer's experts are read ahead.

    """

    memory: str | None = None
    expert_memory: str | None = None
    profile: Path | None = None
    policy: str | None = None
    threads: int | None = None
    context: int | None = None
    cache_dir: Path | None = None
    cache_size: str | None = None
    check_digests: bool = False
    guess: bool = True

    @property
    def is_streamed(self) -> bool:
        """Whether weights are read on demand."""
        return self.memory is not None or self.expert_memory is not None

    def sizes(self) -> dict[str, str]:
        """Return the size that was given, by its name; raises UsageError for one that is none, and for both."""
        given = {"memory": self.memory, "expert_memory": self.expert_memory}
        sizes = {name: size for name, size in given.items() if size is not None}
        if len(sizes) > 1:
            raise UsageError("--memory bounds the process and --expert-memory the experts alone; give one of them")
        for name, size in sizes.items():
            try:
                bytes_of(size)
            except ValueError:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} must be a size like 16GiB or 500MB, got {size!r:.60}") from None
        return sizes

    def keeping(self) -> dict[str, Any]:
        """Return what of `stream.load`'s arguments is about bytes that come from elsewhere."""
        return {"cache_dir": self.cache_dir, "cache_size": self.cache_size, "check_digests": self.check_digests}

    def options(self, config: Any) -> dict[str, Any]:
        """Return `streaming` for a model with this config; raises UsageError for what goes without a cap, or not."""
        chosen = {"policy": self.policy, "threads": self.threads, "context": self.context}
        options: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
        if self.profile is not None:
            options["hot"] = read_profile(self.profile).for_model(config).hot()
        if options and not self.is_streamed:
            name = "profile" if "hot" in options else next(iter(options))
            raise UsageError(f"--{name} is about weights read on demand: it goes with --memory or --expert-memory")
        return options if self.guess else {**options, "guess": False}


def folder_of(place: str, loading: Loading) -> Path | None:
    """Return a folder with the model's config, tokenizer and headers of shards: its own, or what stands for it here.

    None for a repository that is to be loaded whole, which transformers fetches. Raises UsageError for what is no place
    of a model, or one that cannot be read so, WeightsError for one that holds none.
    """
    try:
        store = open_place(place)
    except UsageError as error:
        raise UsageError(str(error).replace("PLACE", "MODEL", 1)) from None
    if isinstance(store, Folder):
        if not store.exists("config.json"):
            raise WeightsError(f"{place} has no config.json; `axk1 hub export` makes a folder that can be asked")
        return store.folder
    assert isinstance(store, HubRepository | WebFolder)
    if loading.is_streamed:
        return folder_for(store, loading.cache_dir or user_cache() / "stream", "checked" * loading.check_digests)
    if isinstance(store, WebFolder):
        raise UsageError("an address is read on demand alone: it goes with --memory or --expert-memory")
    return None


def open_model(place: str, loading: Loading) -> tuple[Any, Any]:
    """Return the model, ready to compute, and its tokenizer; what was asked for is checked before weights are read.

    The tokenizer comes first, as the plan of a memory counts what the process takes already. Raises UsageError for what
    contradicts itself and for too little memory, WeightsError for what is no sound checkpoint with a tokenizer.
    """
    from transformers import AutoTokenizer

    from modeling_axk1.model.configuration_axk1 import AXK1Config
    from modeling_axk1.model.modeling_axk1 import AXK1ForCausalLM

    sizes: dict[str, Any] = dict(loading.sizes())
    folder = folder_of(place, loading)
    if folder is not None and not (folder / "tokenizer.json").is_file():
        raise WeightsError(f"{place} has no tokenizer.json; `axk1 hub export` makes a folder that can be asked")
    name, _, revision = (str(folder), "", "") if folder is not None else place.partition("@")
    which = {"revision": revision} if revision else {}
    with one_line(place):
        streaming = loading.options(AXK1Config.from_pretrained(name, **which))
        tokenizer = AutoTokenizer.from_pretrained(name, **which)
        if sizes:
            model = load(place, **sizes, **loading.keeping(), streaming=streaming)
        else:
            model = AXK1ForCausalLM.from_pretrained(name, **which)
    return model.eval(), tokenizer


@contextmanager
def one_line(place: str) -> Iterator[None]:
    """Turn what loading raises into errors of this package, each one line; and keep transformers from talking."""
    from transformers.utils import logging as said

    level, bar = said.get_verbosity(), said.is_progress_bar_enabled()
    said.set_verbosity(logging.ERROR)
    said.disable_progress_bar()
    try:
        yield
    except ValueError as error:
        text = " ".join(str(error).split())
        if "memory must be" in text:
            raise UsageError(f"--{text.replace('expert_memory', 'expert-memory', 1)}") from None
        raise WeightsError(f"{place}: {text}") from None
    except OSError as error:
        if error.errno is not None:  # a system call's failure, which names its file
            raise
        raise WeightsError(f"{place}: {' '.join(str(error).split())}") from None
    finally:
        said.set_verbosity(level)
        if bar:
            said.enable_progress_bar()
