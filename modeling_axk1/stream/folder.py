"""The folder that stands here for a checkpoint on the web: small files, and shards that are all hole but their headers.

CACHE/NAME-KEY/      one for each version of the checkpoint: the key is made of addresses, sizes and digests
CACHE/.NAME-KEY.making   held while the folder is made, so that two processes do not both
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modeling_axk1.errors import WeightsError
from modeling_axk1.files import atomic_folder
from modeling_axk1.model.reading_axk1 import in_parallel
from modeling_axk1.weights.checkpoint import open_checkpoint
from modeling_axk1.weights.plan import INDEX_FILE, SINGLE_FILE
from modeling_axk1.weights.store import check_file_name, read_small
from modeling_axk1.weights.store_http import HubRepository, WebFolder
from modeling_axk1.weights.strict_json import parse_object

# What transformers may want beside the shards. Only these: a place may hold anything.
_SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    INDEX_FILE,
)


def folder_for(store: HubRepository | WebFolder, cache: Path, purpose: str = "") -> Path:
    """Return the folder below `cache` that stands for what `store` holds now, made if it is not there yet.

    Another `purpose` is another folder. Raises WeightsError for a checkpoint that is not sound, or whose files may
    change unnoticed.
    """
    versions: dict[str, tuple[str, str]] = {}

    def see(file: str) -> None:
        versions[file] = store.url(file), _version(store, file)

    in_parallel(see, _named_files(store), store.readers)
    key = hashlib.sha256(json.dumps([purpose, sorted(versions.items())]).encode()).hexdigest()[:16]
    label = re.sub(r"[^\w.-]+", "-", store.name.partition("@")[0].partition("://")[2] or store.name.partition("@")[0])
    folder = cache / f"{label.strip('-.')[:80]}-{key}"
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / f".{folder.name}.making"):
        if not folder.exists():
            _make(store, folder)
    return folder


def _named_files(store: HubRepository | WebFolder) -> list[str]:
    """Return config, index and shards."""
    if not store.exists(INDEX_FILE):
        return ["config.json", SINGLE_FILE]
    weight_map = parse_object(read_small(store, INDEX_FILE), INDEX_FILE).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise WeightsError(f"{INDEX_FILE}: weight_map must map tensors to file names")
    for shard in (shards := sorted(set(weight_map.values()))):
        check_file_name(shard, store.name)
    return ["config.json", INDEX_FILE, *shards]


def _version(store: HubRepository | WebFolder, file: str) -> str:
    try:
        version = store.identity(file)
    except FileNotFoundError:
        raise WeightsError(f"{file} is missing in {store.name}; is it a checkpoint?") from None
    if " " not in version and isinstance(store, WebFolder):
        raise WeightsError(
            f"{store.name} must say by an ETag or a Last-Modified which {file} it sends: "
            "without it a change would go unnoticed"
        )
    return version


def _make(store: HubRepository | WebFolder, folder: Path) -> None:
    checkpoint = open_checkpoint(store, beside_others=True)
    with atomic_folder(folder) as part:

        def take(file: str) -> None:
            if store.exists(file):
                (part / file).write_bytes(read_small(store, file))

        def stand_for(shard: str) -> None:
            header = bytearray(checkpoint.shards[shard].data_start)
            store.read_into(shard, 0, header)
            with (part / shard).open("wb") as file:
                file.write(header)
                file.truncate(checkpoint.shards[shard].file_size)

        in_parallel(take, _SMALL_FILES, store.readers)
        in_parallel(stand_for, checkpoint.shards, store.readers)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait for other processes that hold the lock `path`; where there are no locks, for nobody."""
    with path.open("wb") as file:
        try:
            import fcntl
        except ImportError:
            pass
        else:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
