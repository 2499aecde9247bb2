"""A dataset at a revision, as its pages need it: its configurations, and the files of the split that is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from starlette.requests import Request

from modeling_axk1.hub.server.browse.on_disk import digest, on_disk
from modeling_axk1.hub.server.browse.splits import Configuration, Split, configurations
from modeling_axk1.hub.server.cache import Cache
from modeling_axk1.hub.server.cards import card_of
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import File, Repository
from modeling_axk1.hub.server.store import BlobStore

# Pages read the beginning of a split of more files than this, and say so.
MOST_FILES = 2000
# Of each process: what the cards of some thousand commits say.
_cache = Cache(128 << 20)


@dataclass(frozen=True)
class Chosen:
    """What a request asks for; `problem` is what the card says wrongly, and then the files' names decide."""

    configurations: list[Configuration]
    configuration: Configuration | None
    split: Split | None
    files: list[File]
    problem: str | None

    @property
    def query(self) -> dict[str, str]:
        """What an address must say to mean the same."""
        if self.configuration is None or self.split is None:
            return {}
        stated = {} if self.configuration.is_default else {"config": self.configuration.name}
        return stated if self.split is self.configuration.splits[0] else stated | {"split": self.split.name}

    def about(self) -> list[Any]:
        """What settles the rows for good."""
        return [self.split.format if self.split else "", [digest(file) for file in self.files]]


def choose(request: Request, repository: Repository, commit: str) -> Chosen:
    """Return what a request's `config` and `split` mean; refuses a configuration or split that is not there (404)."""
    listed = {it.path: it for it in repository.listing(commit, recursive=True) if isinstance(it, File)}
    found, problem = _cache.get(
        (str(repository.path), commit), lambda: _configurations(repository, listed), lambda it: 100 * len(listed)
    )
    wanted, split_wanted = request.query_params.get("config"), request.query_params.get("split")
    default = next((one for one in found if one.is_default), None)
    configuration = default if wanted is None else next((one for one in found if one.name == wanted), None)
    if configuration is None and wanted is not None:
        raise Refusal(404, f"no configuration {wanted[:80]!r} in this dataset")
    splits = configuration.splits if configuration else ()
    split = splits[0] if splits else None
    if split_wanted is not None:
        # A form that changes the configuration sends the split of the one before.
        split = next((one for one in splits if one.name == split_wanted), split)
    files = [listed[path] for path in split.files[:MOST_FILES]] if split else []
    return Chosen(found, configuration, split, files, problem)


def _configurations(repository: Repository, listed: dict[str, File]) -> tuple[list[Configuration], str | None]:
    try:
        return configurations(card_of(repository, list(listed.values())), list(listed)), None
    except ValueError as error:
        problem = str(error)
    try:
        return configurations({}, list(listed)), problem
    except ValueError:
        return [], problem


@contextmanager
def given(
    repository: Repository, blobs: BlobStore, files: list[File], needed: list[bool] | None = None
) -> Iterator[list[dict[str, Any]]]:
    """Yield files as tasks of the sandbox take them, those that are `needed` (None: all) with their bytes.

    As many of the first as can be had at once.
    """
    wanted = [it for it, is_needed in zip(files, needed or [True] * len(files), strict=True) if is_needed]
    with on_disk(repository, blobs, wanted) as places:
        left_out = {it.path for it in wanted} - places.keys()
        yield [
            {"path": places.get(it.path), "compressed": is_compressed(it)}
            for it in takewhile(lambda it: it.path not in left_out, files)
        ]


def is_compressed(file: File) -> bool:
    """Tell whether a file is to be unpacked (gzip)."""
    return file.path.lower().endswith(".gz")
