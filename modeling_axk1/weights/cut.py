"""Which part of a model a rank, a range of layers or a list of experts is: of each tensor, which bytes.

layers        tensors of these layers; the first brings the embedding, the last the final norm and the output head
experts       of the routed experts only these; everything else is there as it was
tensor rank   attention heads, widths of MLPs and rows of the vocabulary divided among ranks, as Megatron and vLLM do
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any, Literal, get_args

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.header import MAX_DIMENSIONS
from modeling_axk1.weights.names import is_axk1
from modeling_axk1.weights.runs import Run, cut_axis
from modeling_axk1.weights.strict_json import parse_object

CUT_FILE = "cut.json"
MAX_PARTS = 99_999  # as many as fit into the name of a rank's folder
MAX_NUMBER = 4_096  # of layers and of experts, far above any model's: a hostile name must not ask for a list of 10^9

Division = Literal["stage", "expert-rank", "tensor-rank"]
DIVISIONS: tuple[Division, ...] = get_args(Division)

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.([0-9]{1,9})\.")
_EXPERT = re.compile(r"\.experts\.([0-9]{1,9})\.")
_FUSED = re.compile(r"\.experts\.(gate_up_proj|down_proj)$")
_FIRST = re.compile(r"(?:^|\.)(?:embed_tokens|wte|embeddings?)\.")
# Axis 0: what leaves a linear layer, or a row for each token; axis 1: what enters it. The rest every rank holds whole.
_ROWS = re.compile(r"(?:embed_tokens|lm_head|q_b_proj|kv_b_proj|gate_proj|up_proj)\.weight$")
_COLUMNS = re.compile(r"(?:o_proj|down_proj)\.weight$")
_DIVIDED_BY_TENSOR_RANK = ("num_attention_heads", "intermediate_size", "moe_intermediate_size", "vocab_size")


@dataclass(frozen=True)
class Cut:
    """A part of a model. `division`, `rank` and `ranks` say which of a set of parts it is, where it is one."""

    layers: tuple[int, ...] | None = None
    experts: tuple[int, ...] | None = None
    division: Division | None = None
    rank: int = 0
    ranks: int = 1

    def __str__(self) -> str:
        """Say which part, as in "expert-rank 1 of 8, experts 24-47"."""
        said = [f"{self.division} {self.rank} of {self.ranks}"] if self.division else []
        for what, numbers in (("layers", self.layers), ("experts", self.experts)):
            if numbers is not None:
                said.append(f"{what} {written_numbers(numbers)}")
        return ", ".join(said) or "everything"

    @property
    def by_tensor(self) -> bool:
        """Whether matrices themselves are divided."""
        return self.division == "tensor-rank"


@dataclass(frozen=True)
class Whole:
    """What must be known of a checkpoint to cut it."""

    config: Mapping[str, Any]
    layers: int
    experts: int

    @classmethod
    def of(cls, config: Mapping[str, Any] | None, tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> "Whole":
        """Count layers and experts by names and shapes of tensors; raises WeightsError for more than any model has."""
        layers = {layer + 1 for layer in map(layer_of, tensors) if layer is not None}
        of_experts = [name for name in tensors if ".experts." in name]
        experts = {int(match[1]) + 1 for match in map(_EXPERT.search, of_experts) if match}
        experts |= {shape[0] for name in of_experts if (shape := tensors[name][1]) and _FUSED.search(name)}
        whole = cls(config or {}, max(layers, default=0), max(experts, default=0))
        if max(whole.layers, whole.experts) > MAX_NUMBER:
            raise WeightsError(
                f"a model must have at most {MAX_NUMBER:,} layers and experts, "
                f"got {whole.layers:,} and {whole.experts:,} by its tensors"
            )
        return whole


def layer_of(name: str) -> int | None:
    """Return the layer that a tensor belongs to; None for what is before, after or beside the layers."""
    match = _LAYER.search(name)
    return int(match[1]) if match else None


def is_first(name: str) -> bool:
    """Whether a tensor beside the layers comes before them."""
    return bool(_FIRST.search(name))


def rank_cut(whole: Whole, division: Division, rank: int, ranks: int) -> Cut:
    """Return what rank `rank` of `ranks` holds; raises UsageError when the model cannot be divided so.

    Stages divide the layers, expert ranks the routed experts, into consecutive parts as equal as they can be.
    """
    if not 0 <= rank < ranks:
        raise UsageError(f"rank must be in [0, {ranks - 1}], got {rank}")
    cut = Cut(division=division, rank=rank, ranks=ranks)
    if division == "tensor-rank":
        if not is_axk1(whole.config):
            raise UsageError("tensor ranks are known for A.X K1's names only, and config.json is not of A.X K1")
        if whole.config.get("quantization_config") is not None:
            raise UsageError("tensor ranks cut weights through their scales: dequantise first (convert to bf16)")
        for key in _DIVIDED_BY_TENSOR_RANK:
            value = whole.config.get(key)
            if type(value) is not int or value % ranks:
                raise UsageError(f"tensor ranks must divide {key}, {value!r:.60}, got {ranks}")
        return cut
    count, what = (whole.layers, "layers") if division == "stage" else (whole.experts, "routed experts")
    if ranks > count:
        raise UsageError(f"there must be at most as many parts as {what}, {count:,}, got {ranks:,}")
    share = tuple(range(rank * count // ranks, (rank + 1) * count // ranks))
    return replace(cut, layers=share) if division == "stage" else replace(cut, experts=share)


def cut_tensor(
    cut: Cut, whole: Whole, name: str, dtype: str, shape: tuple[int, ...]
) -> tuple[tuple[int, ...], list[Run]] | None:
    """Return the shape of what a part holds of a tensor and where in the tensor those bytes lie; None for nothing.

    Example: expert rank 1 of 8 holds of `experts.down_proj` [192, D, F] the shape [24, D, F], one run of bytes.
    """
    everything = (shape, [Run(0, nbytes_of(dtype, shape))])
    if cut.layers is not None and not _in_layers(cut.layers, whole.layers, name):
        return None
    if cut.experts is not None:
        if match := _EXPERT.search(name):
            return everything if int(match[1]) in cut.experts else None
        if _FUSED.search(name):
            runs = [cut_axis(shape, dtype, 0, low, high) for low, high in _intervals(cut.experts)]
            return (len(cut.experts), *shape[1:]), runs
    if cut.by_tensor and (axis := _tensor_axis(name)) is not None:
        return _cut_for_tensor_rank(cut, name, dtype, shape, axis)
    return everything


def parse_numbers(text: str, what: str, count: int) -> tuple[int, ...]:
    """Read "0-9,40" as numbers, each once and in order; raises UsageError unless all are below `count`."""
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?\s*", part)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if low > high:
            raise UsageError(f'{what} must look like "0-9,40", got {text!r:.60}')
        if high >= count:
            raise UsageError(f"{what} must be in [0, {count - 1}], got {high}")
        numbers |= set(range(low, high + 1))
    return tuple(sorted(numbers))


def written_numbers(numbers: tuple[int, ...]) -> str:
    """Return rising numbers as `parse_numbers` reads them: "0-9,40"."""
    return ",".join(str(low) if high == low + 1 else f"{low}-{high - 1}" for low, high in _intervals(numbers))


def cut_to_json(cut: Cut, shapes: Mapping[str, Sequence[int]]) -> bytes:
    """Return what stands in a part's cut.json; `shapes` are those of the whole tensors that were cut."""
    record = {
        "version": 1,
        "division": cut.division,
        "rank": cut.rank,
        "ranks": cut.ranks,
        "layers": cut.layers,
        "experts": cut.experts,
        "whole_shapes": {name: list(shape) for name, shape in shapes.items()},
    }
    return (json.dumps(record, indent=2) + "\n").encode()


def cut_from_json(raw: bytes) -> tuple[Cut, dict[str, tuple[int, ...]]]:
    """Read a cut.json; raises WeightsError when it is none."""
    record = parse_object(raw, CUT_FILE)
    version, division, rank, ranks = (record.get(key) for key in ("version", "division", "rank", "ranks"))
    numbers = {key: record.get(key) for key in ("layers", "experts")}
    shapes = record.get("whole_shapes")
    if (
        version != 1
        or division not in (None, *DIVISIONS)
        or not (type(rank) is type(ranks) is int and 0 <= rank < ranks <= MAX_PARTS)
        or not all(value is None or _are_numbers(value) for value in numbers.values())
        or not isinstance(shapes, dict)
        or not all(_is_shape(shape) for shape in shapes.values())
    ):
        raise WeightsError(f"{CUT_FILE} must say which part of a model this is, in the form of version 1")
    ranges = {key: None if value is None else tuple(value) for key, value in numbers.items()}
    cut = Cut(**ranges, division=division, rank=rank, ranks=ranks)
    return cut, {name: tuple(shape) for name, shape in shapes.items()}


def _in_layers(layers: tuple[int, ...], count: int, name: str) -> bool:
    layer = layer_of(name)
    if layer is None:
        layer = 0 if is_first(name) else count - 1
    return layer in layers


def _tensor_axis(name: str) -> int | None:
    if match := _FUSED.search(name):
        return 1 if match[1] == "gate_up_proj" else 2
    return 0 if _ROWS.search(name) else 1 if _COLUMNS.search(name) else None


def _cut_for_tensor_rank(
    cut: Cut, name: str, dtype: str, shape: tuple[int, ...], axis: int
) -> tuple[tuple[int, ...], list[Run]]:
    # Gate rows lie before up rows, and each rank holds its share of both.
    halves = 2 if name.endswith("gate_up_proj") else 1
    if len(shape) <= axis or shape[axis] % (halves * cut.ranks):
        raise WeightsError(f"{name} must divide by {cut.ranks:,} ranks along axis {axis}, got {list(shape)}")
    size = shape[axis] // halves
    share = size // cut.ranks
    seen_as = (prod(shape[:axis]) * halves, size, prod(shape[axis + 1 :]))
    run = cut_axis(seen_as, dtype, 1, cut.rank * share, (cut.rank + 1) * share)
    return (*shape[:axis], share * halves, *shape[axis + 1 :]), [run]


def _intervals(numbers: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return rising numbers as [low, high) intervals: (1, 2, 3, 7) are (1, 4) and (7, 8)."""
    intervals: list[tuple[int, int]] = []
    for number in numbers:
        if intervals and intervals[-1][1] == number:
            intervals[-1] = (intervals[-1][0], number + 1)
        else:
            intervals.append((number, number + 1))
    return intervals


def _are_numbers(value: Any) -> bool:
    """Whether these are layers or experts as we write them: rising, each once."""
    if not isinstance(value, list) or not all(type(number) is int and 0 <= number < MAX_NUMBER for number in value):
        return False
    return all(low < high for low, high in pairwise(value))


def _is_shape(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > MAX_DIMENSIONS:
        return False
    return all(type(size) is int and 0 <= size < 2**63 for size in value)
