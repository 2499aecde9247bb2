"""A checkpoint: its index, its shards' headers, its config, and whether they agree."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.cut import CUT_FILE, Cut, cut_from_json
from modeling_axk1.weights.header import Header, TensorInfo
from modeling_axk1.weights.plan import INDEX_FILE, SINGLE_FILE
from modeling_axk1.weights.store import Folder, Store, check_file_name, read_small
from modeling_axk1.weights.strict_json import check_name, parse_object

MAX_SHARDS = 10_000  # each of them is a request to a server


@dataclass
class Checkpoint:
    """What was found in a place: the shards that could be read, and one line for everything not as it must be."""

    store: Store
    shards: dict[str, Header] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    cut: Cut | None = None  # which part of a model this is, where it is one
    whole_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of the tensors that the cut went through
    problems: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)  # one line for each *.safetensors that does not belong here
    unread: set[str] = field(default_factory=set)  # tensors that the index places in shards that could not be read

    @property
    def complaints(self) -> list[str]:
        """The problems, and the strangers as problems too."""
        return [*self.problems, *self.strangers]

    def tensors(self) -> Iterator[tuple[str, str, TensorInfo]]:
        """Yield (shard, name, tensor) in the order of the shards' names and of the bytes in each."""
        for shard, header in self.shards.items():
            for name, tensor in header.tensors.items():
                yield shard, name, tensor


def scan_checkpoint(place: Path | Store) -> Checkpoint:
    """Read index, headers and config of `place`, collecting every problem; raises WeightsError for no folder at all.

    An index decides which shards belong here, and model.safetensors stands for itself without one. Any further
    *.safetensors file is a stranger: engines differ in which they load. No tensor's bytes are read.
    """
    store = Folder(place) if isinstance(place, Path) else place
    found = Checkpoint(store)
    if store.exists("config.json"):
        found.config = _read_object(found, "config.json")
    if store.exists(CUT_FILE):
        try:
            found.cut, found.whole_shapes = cut_from_json(read_small(store, CUT_FILE))
        except (WeightsError, OSError) as error:
            found.problems.append(reason(error, CUT_FILE))
    if store.exists(INDEX_FILE):
        _scan_indexed(found)
    elif store.exists(SINGLE_FILE):
        _scan_shards(found, Counter({SINGLE_FILE: 0}))
        _report_strangers(found, {SINGLE_FILE})
    else:
        found.problems.append(
            f"{store.name} must hold {INDEX_FILE} or {SINGLE_FILE}, and holds neither; is it a checkpoint?"
        )
    return found


def open_checkpoint(place: Path | Store, *, beside_others: bool = False) -> Checkpoint:
    """Like `scan_checkpoint`, for whoever needs a sound one: raises WeightsError with the first problem.

    Strangers are one too, unless the checkpoint may lie `beside_others`, as on a hub with another tool's format.
    """
    found = scan_checkpoint(place)
    problems = found.problems if beside_others else found.complaints
    if problems:
        more = len(problems) - 1
        raise WeightsError(problems[0] + (f" (and {more:,} more: `axk1 weights verify` lists them)" if more else ""))
    return found


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
    if len(placed) > MAX_SHARDS:
        found.problems.append(f"{INDEX_FILE} must name at most {MAX_SHARDS:,} files, got {len(placed):,}")
        return
    try:
        for name in (*weight_map, *placed):
            check_name(name, INDEX_FILE)
    except WeightsError as error:
        found.problems.append(str(error))
        return
    _scan_shards(found, placed)
    _compare_with_index(found, weight_map)
    _report_strangers(found, set(placed))
    total = index["metadata"].get("total_size") if isinstance(index.get("metadata"), dict) else None
    nbytes = sum(tensor.nbytes for _, _, tensor in found.tensors())
    if total is not None and total != nbytes and len(found.shards) == len(placed):
        found.problems.append(f"{INDEX_FILE}: total_size must be {nbytes:,}, the tensors' bytes, got {total!r:.60}")


def _scan_shards(found: Checkpoint, placed: Counter[str]) -> None:
    """Read the header of every shard, many at once from afar; results and problems come in the order of names."""
    shards = sorted(placed)
    with ThreadPoolExecutor(found.store.readers) as pool:
        headers = [pool.submit(_header, found.store, shard) for shard in shards]
        for shard, header in zip(shards, headers, strict=True):
            try:
                found.shards[shard] = header.result()
            except FileNotFoundError:
                found.problems.append(f"{shard} is missing; the index places {placed[shard]} tensors in it")
            except (WeightsError, OSError) as error:
                found.problems.append(reason(error, shard))


def _header(store: Store, shard: str) -> Header:
    check_file_name(shard, store.name)
    if "/" in shard or not shard.endswith(".safetensors"):
        raise WeightsError(f"a shard must be a .safetensors file in the folder itself, got {shard}")
    return store.header(shard)


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
    for file in found.store.names() or []:
        if file.endswith(".safetensors") and file not in named:
            found.strangers.append(f"{ascii(file)[1:-1]} lies in the folder and is no part of the checkpoint")


def _read_object(found: Checkpoint, name: str) -> dict[str, Any] | None:
    try:
        return parse_object(read_small(found.store, name), name)
    except (WeightsError, OSError) as error:
        found.problems.append(reason(error, name))
        return None
