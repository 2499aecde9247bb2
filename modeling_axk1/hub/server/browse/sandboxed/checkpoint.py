"""The tensors of a checkpoint, from its headers alone; of a plan, which has none, from its config."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from modeling_axk1.errors import WeightsError
from modeling_axk1.hub.server.browse.sandboxed import UnfitError
from modeling_axk1.weights.checkpoint import Checkpoint, reason, scan_checkpoint
from modeling_axk1.weights.coverage import coverage, layout_of
from modeling_axk1.weights.cut import is_first, layer_of
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.encodings import encoding_of, stored_tensors
from modeling_axk1.weights.header import Header, header_length, parse_header
from modeling_axk1.weights.names import TensorSpec, expected_tensors, is_axk1, layer_kinds, parameters
from modeling_axk1.weights.plan import INDEX_FILE, SINGLE_FILE
from modeling_axk1.weights.store import read_small
from modeling_axk1.weights.strict_json import parse_object

if TYPE_CHECKING:
    from typing_extensions import Buffer

PLAN_FILE = "results/plan.json"

# The 519B model in INT4, one tensor per expert and three for each, has 105 thousand in 16 MB of headers.
MOST_TENSORS = 250_000
MOST_HEADER_BYTES = 64_000_000
MOST_PROBLEMS = 20

# What a summary says where nothing more is known.
_NOTHING_KNOWN: dict[str, Any] = {
    "part": None, "strangers": [], "problems": [], "problem_count": 0, "missing": [], "missing_count": 0, "extra": [],
    "extra_count": 0, "active": None, "experts": None, "chosen": None, "layers": None, "encoding": None,
}  # fmt: skip

_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as it is shown; `parameters` are the weights it stands for, however they are stored."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    parameters: int
    nbytes: int
    shard: str


class RepositoryStore:
    """The files of a revision as a place of a checkpoint: {name: (path or None where its bytes are gone, size)}."""

    name = "the repository"
    readers = 1
    bytes_read = None

    def __init__(self, files: Mapping[str, tuple[str | None, int]]) -> None:
        """Open nothing yet."""
        self._files = files
        self._left = MOST_HEADER_BYTES

    def names(self) -> list[str]:
        """Return the names of the files in the root."""
        return sorted(name for name in self._files if "/" not in name)

    def exists(self, file: str) -> bool:
        """Whether the revision has a file of this name."""
        return file in self._files

    def size(self, file: str) -> int:
        """Return the bytes of a file."""
        return self._files[file][1]

    def header(self, file: str) -> Header:
        """Read and validate the header of a shard; raises UnfitError when all headers together are too much."""
        size = self._known(file)[1]
        first = bytearray(min(8, size))
        self.read_into(file, 0, first)
        length = header_length(bytes(first), size, file)
        self._left -= length
        if self._left < 0:
            raise UnfitError(f"the headers of its files must be at most {MOST_HEADER_BYTES:,} bytes together")
        raw = bytearray(length)
        self.read_into(file, 8, raw)
        return parse_header(bytes(raw), size, file)

    def read_into(self, file: str, start: int, buffer: "Buffer") -> None:
        """Fill `buffer` with the file's bytes from `start` on."""
        path, _ = self._known(file)
        if path is None:
            raise WeightsError(f"{file} is missing on this hub")
        view = memoryview(buffer).cast("B")
        with open(path, "rb", buffering=0) as opened:  # noqa: PTH123
            opened.seek(start)
            while view:
                count = opened.readinto(view)
                if not count:
                    raise WeightsError(f"{file} is shorter than it should be")
                view = view[count:]

    def expect(self, file: str, start: int, nbytes: int) -> None:
        """Nothing is brought nearer."""

    def identity(self, file: str) -> str:
        """Return the size: a revision's file never changes."""
        return str(self.size(file))

    def _known(self, file: str) -> tuple[str | None, int]:
        if file not in self._files:
            raise FileNotFoundError(2, "is missing", file)
        return self._files[file]


def checkpoint(files: dict[str, tuple[str | None, int]]) -> bytes:
    """Return a line of JSON that sums a checkpoint up, and a line for each tensor, tabs between its parts.

    The parts are name, dtype, sizes joined by "x", parameters, bytes and the number of its shard in the summary.
    """
    store = RepositoryStore({name: (path, size) for name, (path, size) in files.items()})
    planned = _plan(store)
    summary, tensors = planned or _scan(store)
    if len(tensors) > MOST_TENSORS:
        raise UnfitError(f"a page shows checkpoints of at most {MOST_TENSORS:,} tensors, got {len(tensors):,}")
    tensors.sort(key=_place)
    shards = {name: number for number, name in enumerate(sorted({tensor.shard for tensor in tensors}))}
    summary |= _counted(tensors) | {"shards": list(shards), "planned": planned is not None}
    lines = [json.dumps(summary, ensure_ascii=False)]
    for it in tensors:
        sizes = "x".join(map(str, it.shape))
        lines.append(f"{it.name}\t{it.dtype}\t{sizes}\t{it.parameters}\t{it.nbytes}\t{shards[it.shard]}")
    return "\n".join(lines).encode("utf-8", "replace")


# Where the tensors come from


def _scan(store: RepositoryStore) -> tuple[dict[str, Any], list[Tensor]]:
    is_whole = store.exists(INDEX_FILE) or store.exists(SINGLE_FILE)
    found = scan_checkpoint(store) if is_whole else _without_index(store)
    config = found.config if found.config and is_axk1(found.config) else None
    summary = _NOTHING_KNOWN | {"part": str(found.cut) if found.cut else None, "strangers": found.strangers}
    specs: dict[str, TensorSpec] = {}
    if config is not None:
        try:
            summary |= _by_config(config)
            differences = coverage(found)
            summary |= {"missing": differences.missing[:MOST_PROBLEMS], "missing_count": len(differences.missing)}
            summary |= {"extra": differences.extra[:MOST_PROBLEMS], "extra_count": len(differences.extra)}
            specs = stored_tensors(config) if encoding_of(config) else {}
        except WeightsError as error:
            found.problems.append(f"config.json: {error}")
    if found.cut is not None:
        summary["active"] = None  # how many of a part's experts a token meets depends on the token
    tensors = [
        Tensor(name, it.dtype, it.shape, _parameters(it.elements, specs.get(name)), it.nbytes, shard)
        for shard, name, it in found.tensors()
    ]
    if not tensors and not found.problems:
        raise UnfitError("the files hold no tensors")
    return summary | {"problems": found.problems[:MOST_PROBLEMS], "problem_count": len(found.problems)}, tensors


def _without_index(store: RepositoryStore) -> Checkpoint:
    """Return every *.safetensors of a repository that holds no model of its own: an adapter, or pieces."""
    found = Checkpoint(store)
    for name in sorted(name for name in store._files if name.endswith(".safetensors")):
        try:
            found.shards[name] = store.header(name)
        except (WeightsError, OSError) as error:
            found.problems.append(reason(error, name))
    return found


def _plan(store: RepositoryStore) -> tuple[dict[str, Any], list[Tensor]] | None:
    """Return what a plan's config asks for, None where there are weights or no plan."""
    if not all(map(store.exists, (PLAN_FILE, "config.json"))) or any(
        name.endswith(".safetensors") for name in store.names()
    ):
        return None
    config = parse_object(read_small(store, "config.json"), "config.json")
    index = parse_object(read_small(store, INDEX_FILE), INDEX_FILE) if store.exists(INDEX_FILE) else {}
    placed = index.get("weight_map")
    places: dict[Any, Any] = placed if isinstance(placed, dict) else {}
    fused = layout_of(map(str, places)) != "per-expert"
    specs = (
        stored_tensors(config) if encoding_of(config) else expected_tensors(config, "fused" if fused else "per-expert")
    )
    usual = _DTYPES.get(str(config.get("dtype", config.get("torch_dtype", "bfloat16"))), "BF16")
    tensors = []
    for name, spec in specs.items():
        dtype = spec.dtype or usual
        size = nbytes_of(dtype, spec.shape)
        shard = str(places.get(name, SINGLE_FILE))
        tensors.append(Tensor(name, dtype, spec.shape, _parameters(prod(spec.shape), spec), size, shard))
    return _NOTHING_KNOWN | _by_config(config), tensors


def _by_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what only A.X K1's config tells."""
    encoding = encoding_of(config)
    return {
        "active": parameters(config).active,
        "experts": config["n_routed_experts"],
        "chosen": config["num_experts_per_tok"],
        "layers": len(layer_kinds(config)),
        "encoding": encoding.name if encoding else None,
    }


def _parameters(elements: int, spec: TensorSpec | None) -> int:
    return elements if spec is None or spec.parameters is None else spec.parameters


# What is counted


def _counted(tensors: list[Tensor]) -> dict[str, Any]:
    by_dtype: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    groups: dict[tuple[str, int | None], dict[str, int]] = {}
    for it in tensors:
        for place, amount in enumerate((1, it.parameters, it.nbytes)):
            by_dtype[it.dtype][place] += amount
        group = groups.setdefault(_group(it.name), {"tensors": 0, "parameters": 0, "routed": 0, "bytes": 0})
        group["tensors"] += 1
        group["parameters"] += it.parameters
        group["bytes"] += it.nbytes
        if ".experts." in it.name:
            group["routed"] += it.parameters
    total = {key: sum(group[key] for group in groups.values()) for key in ("tensors", "parameters", "routed", "bytes")}
    dtypes = sorted(by_dtype.items(), key=lambda item: -item[1][2])
    listed = [{"prefix": prefix, "layer": layer, **counts} for (prefix, layer), counts in groups.items()]
    return {**total, "dtypes": [[dtype, *counts] for dtype, counts in dtypes], "groups": listed}


def _group(name: str) -> tuple[str, int | None]:
    """Return (what comes before the number, the layer); ("first" or "last", None) for what is beside the layers."""
    layer = layer_of(name)
    if layer is None:
        return "first" if is_first(name) else "last", None
    return re.split(rf"\.0*{layer}\.", name, maxsplit=1)[0], layer


def _place(tensor: Tensor) -> tuple[int, int, str, list[int | str]]:
    """Order tensors as a model runs: what is before the layers, each layer, the rest; experts by their numbers."""
    prefix, layer = _group(tensor.name)
    stage = 1 if layer is not None else 0 if prefix == "first" else 2
    return stage, layer or 0, prefix, list(_natural(tensor.name))


def _natural(name: str) -> Iterator[int | str]:
    # Text and numbers take turns, so that like is compared with like.
    for number, part in enumerate(re.split(r"([0-9]{1,18})", name)):
        yield int(part) if number % 2 else part
