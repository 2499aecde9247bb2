"""The order of tensors in shards, and what stays together: what is read together should lie together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal, get_args

from modeling_axk1.errors import UsageError, did_you_mean
from modeling_axk1.weights.coverage import layout_of
from modeling_axk1.weights.cut import DIVISIONS, MAX_PARTS, Whole, is_first, layer_of
from modeling_axk1.weights.names import Layout, expected_tensors, is_axk1
from modeling_axk1.weights.plan import DEFAULT_SHARD_BYTES

By = Literal["size", "layer", "stage", "expert-rank", "tensor-rank"]
BYS: tuple[By, ...] = get_args(By)
Order = Literal["model", "stored", "name"]
ORDERS: tuple[Order, ...] = get_args(Order)

# What a quantised weight is stored in, beside `weight` itself.
_PARTS = frozenset(("packed", "scale_inv", "scale", "shape", "zero_point", "g_idx"))


@dataclass(frozen=True)
class Sharding:
    """How tensors are put into shards.

    by          "size" fills shards up to `shard_bytes`; "layer" and "stage" let none cross a layer or a pipeline
                stage; "expert-rank" and "tensor-rank" make a folder for each rank, with what that rank loads
    parts       how many stages or ranks
    shard_bytes most bytes of tensors in a shard, None for 5 GB, or for whole layers by layer
    order       "model" as a forward pass meets them, so that a reader can stream; "stored" as the source has them;
                "name" alphabetical
    """

    by: By = "size"
    parts: int | None = None
    shard_bytes: int | None = None
    order: Order = "model"

    def __post_init__(self) -> None:
        """Raise UsageError for what contradicts itself."""
        for value, known, what in ((self.by, BYS, "by"), (self.order, ORDERS, "order")):
            if value not in known:
                raise UsageError(
                    f"{what} must be one of {', '.join(known)}, got {value!r:.60}{did_you_mean(value, known)}"
                )
        if self.by in DIVISIONS and self.parts is None:
            raise UsageError(f"by {self.by} needs the number of parts")
        if self.by not in DIVISIONS and self.parts is not None:
            raise UsageError(f"by {self.by} takes no number of parts, got {self.parts}")
        if self.parts is not None and not 1 <= self.parts <= MAX_PARTS:
            raise UsageError(f"parts must be in [1, {MAX_PARTS:,}], got {self.parts:,}")
        if self.shard_bytes is not None and self.shard_bytes < 1:
            raise UsageError(f"shard_bytes must be at least 1, got {self.shard_bytes}")

    @property
    def most_bytes(self) -> int | None:
        """The limit of a shard, None for none."""
        return self.shard_bytes or (None if self.by == "layer" else DEFAULT_SHARD_BYTES)


def in_order(names: Iterable[str], order: Order, whole: Whole) -> list[str]:
    """Return `names`, which come as they are stored, in another order.

    Model order is known for A.X K1's names; of other models only that embeddings come first, then layer by layer.
    """
    names = list(names)
    if order == "stored":
        return names
    if order == "name":
        return sorted(names)
    config = whole.config
    known: dict[str, int] = {}
    if is_axk1(config):
        layout: Layout = "per-expert" if layout_of(names) == "per-expert" else "fused"
        known = {name: number for number, name in enumerate(expected_tensors(config, layout))}
    stored = {name: number for number, name in enumerate(names)}

    def place(name: str) -> tuple[int, int, str]:
        layer = layer_of(name)
        if layer is None:
            layer = -1 if is_first(name) else whole.layers
        return layer, known.get(base_of(name), len(known) + stored[name]), name

    return sorted(names, key=place)


def together(names: Iterable[str], sharding: Sharding, whole: Whole) -> Iterator[tuple[list[str], int]]:
    """Yield (tensors that must lie in one shard, their group) for names in their order, but group after group.

    A layer or a stage is a group where these are asked for, so that each is together whatever the order. Raises
    UsageError for more stages than layers.
    """
    if sharding.by == "stage" and (sharding.parts or 0) > whole.layers:
        raise UsageError(f"there must be at most as many stages as layers, {whole.layers:,}, got {sharding.parts:,}")
    # A weight's parts are of several dtypes, and so not always neighbours in the file they come from.
    bundles: dict[str, list[str]] = {}
    for name in names:
        bundles.setdefault(base_of(name), []).append(name)
    grouped = [(bundle, _group(bundle[0], sharding, whole)) for bundle in bundles.values()]
    yield from sorted(grouped, key=itemgetter(1))


def base_of(name: str) -> str:
    """Return the weight that a tensor is a part of: its own name, unless it holds scales, packed words or a shape."""
    stem, _, part = name.rpartition(".weight_")
    return f"{stem}.weight" if part in _PARTS else name


def _group(name: str, sharding: Sharding, whole: Whole) -> int:
    if sharding.by not in ("layer", "stage"):
        return 0
    layer = layer_of(name)
    if sharding.by == "layer":
        return layer if layer is not None else -1 if is_first(name) else whole.layers
    if layer is None:
        layer = 0 if is_first(name) else whole.layers - 1
    # The inverse of [k * layers // parts, (k + 1) * layers // parts).
    return ((layer + 1) * (sharding.parts or 1) - 1) // whole.layers
