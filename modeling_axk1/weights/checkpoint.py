"""A checkpoint folder: its index, its shards' headers, its config, and whether they agree.

File names come from an index that nobody vouches for, so every path is proven to lie inside the folder first.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.header import MAX_HEADER_BYTES, Header, TensorInfo, read_header
from modeling_axk1.weights.plan import INDEX_FILE, SINGLE_FILE
from modeling_axk1.weights.strict_json import check_name, parse_object


@dataclass
class Checkpoint:
    """A folder as found: the shards that could be read, and one line for everything that is not as it must be."""

    folder: Path
    shards: dict[str, Header] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    problems: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)  # tensors that the index places in shards that could not be read

    def tensors(self) -> Iterator[tuple[str, str, TensorInfo]]:
        """Yield (shard, name, tensor) in the order of the shards' names and of the bytes in each."""
        for shard, header in self.shards.items():
            for name, tensor in header.tensors.items():
                yield shard, name, tensor


def scan_checkpoint(folder: Path) -> Checkpoint:
    """Read index, headers and config of `folder`, collecting every problem; raises WeightsError for no folder at all.

    An index decides which shards belong here, and model.safetensors stands for itself without one. Any further
    *.safetensors file is a problem: engines differ in which they load. No tensor's bytes are read.
    """
    if not folder.is_dir():
        raise WeightsError(f"a checkpoint must be a folder, got {folder}")
    found = Checkpoint(folder)
    if (folder / "config.json").exists():
        found.config = _read_object(found, "config.json")
    if (folder / INDEX_FILE).exists():
        _scan_indexed(found)
    elif (folder / SINGLE_FILE).exists():
        _scan_shard(found, SINGLE_FILE)
        _report_strangers(found, {SINGLE_FILE})
    else:
        found.problems.append(f"{folder} must hold {INDEX_FILE} or {SINGLE_FILE}, and holds neither")
    return found


def open_checkpoint(folder: Path) -> Checkpoint:
    """Like `scan_checkpoint`, for whoever needs a sound folder: raises WeightsError with the first problem."""
    found = scan_checkpoint(folder)
    if found.problems:
        more = len(found.problems) - 1
        raise WeightsError(found.problems[0] + (f" (and {more} more: axk1 weights verify lists them)" if more else ""))
    return found


def safe_path(folder: Path, relative: str) -> Path:
    """Return the path of `relative` below `folder`; raises WeightsError when it would lead outside.

    Symbolic links may point into the folder, and from a snapshot of the hub's cache into that cache's blobs.
    """
    check_name(relative, folder.name)
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts or "\\" in relative:
        raise WeightsError(f"a file name must stay inside the folder, got {relative}")
    path = folder / pure
    target = Path(os.path.realpath(path))  # Path.resolve would raise RuntimeError for a link to itself
    home = folder.resolve()
    roots = [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]
    if not any(target.is_relative_to(root) for root in roots):
        raise WeightsError(f"{relative} must stay inside the folder, and is a link that leads out of it")
    return path


def read_small(folder: Path, name: str) -> bytes:
    """Return the bytes of a JSON or text file of the folder; raises WeightsError when it is too big to be one."""
    path = safe_path(folder, name)
    if not path.is_file():
        raise WeightsError(f"{name} must be a regular file")
    with path.open("rb") as file:
        raw = file.read(MAX_HEADER_BYTES + 1)
    if len(raw) > MAX_HEADER_BYTES:
        raise WeightsError(f"{name} must be at most {MAX_HEADER_BYTES:,} bytes")
    return raw


def reason(error: WeightsError | OSError, file_name: str) -> str:
    """Return the one line that says what went wrong with a file."""
    return f"{file_name}: {error.strerror or error}" if isinstance(error, OSError) else str(error)


def _scan_indexed(found: Checkpoint) -> None:
    index = _read_object(found, INDEX_FILE)
    if index is None:
        return
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        found.problems.append(f"{INDEX_FILE}: weight_map must map tensors to file names")
        return
    placed = Counter(weight_map.values())
    try:
        for name in (*weight_map, *placed):
            check_name(name, INDEX_FILE)
    except WeightsError as error:
        found.problems.append(str(error))
        return
    for shard in sorted(placed):
        _scan_shard(found, shard, placed[shard])
    _compare_with_index(found, weight_map)
    _report_strangers(found, set(placed))
    total = index["metadata"].get("total_size") if isinstance(index.get("metadata"), dict) else None
    nbytes = sum(tensor.nbytes for _, _, tensor in found.tensors())
    if total is not None and total != nbytes and len(found.shards) == len(placed):
        found.problems.append(f"{INDEX_FILE}: total_size must be {nbytes:,}, the tensors' bytes, got {total!r:.60}")


def _scan_shard(found: Checkpoint, shard: str, placed: int = 0) -> None:
    try:
        path = safe_path(found.folder, shard)
        if "/" in shard or not shard.endswith(".safetensors"):
            raise WeightsError(f"a shard must be a .safetensors file in the folder itself, got {shard}")
        if not path.exists():
            raise WeightsError(f"{shard} is missing; the index places {placed} tensors in it")
        found.shards[shard] = read_header(path)
    except (WeightsError, OSError) as error:
        found.problems.append(reason(error, shard))


def _compare_with_index(found: Checkpoint, weight_map: dict[str, str]) -> None:
    for name, shard in weight_map.items():
        if shard not in found.shards:
            found.unread.add(name)
        elif name not in found.shards[shard].tensors:
            found.problems.append(f"{name} is not in {shard}, where the index places it")
    for shard, name, _ in found.tensors():
        if name not in weight_map:
            found.problems.append(f"{name} in {shard} is not in the index")
        elif weight_map[name] != shard:
            found.problems.append(f"{name} in {shard} does not belong there: the index places it in {weight_map[name]}")


def _report_strangers(found: Checkpoint, named: set[str]) -> None:
    # Some engines load every *.safetensors file they see, so that an old shard overwrites a right tensor.
    for path in sorted(found.folder.glob("*.safetensors")):
        if path.name not in named:
            found.problems.append(f"{ascii(path.name)[1:-1]} lies in the folder and is no part of the checkpoint")


def _read_object(found: Checkpoint, name: str) -> dict[str, Any] | None:
    try:
        return parse_object(read_small(found.folder, name), name)
    except (WeightsError, OSError) as error:
        found.problems.append(reason(error, name))
        return None
