"""Only what a rank, a range of layers or a list of experts needs of a checkpoint elsewhere, by ranges of its files."""

from dataclasses import dataclass, replace
from pathlib import Path

from modeling_axk1.errors import UsageError
from modeling_axk1.weights.checkpoint import Checkpoint, open_checkpoint
from modeling_axk1.weights.cut import Cut, Division, Whole, parse_numbers, rank_cut
from modeling_axk1.weights.execute import DEFAULT_MEMORY, Execution, execute
from modeling_axk1.weights.order import Sharding
from modeling_axk1.weights.place import open_place
from modeling_axk1.weights.plan import Plan
from modeling_axk1.weights.reshard import DEFAULT_SHARDING, plan_part
from modeling_axk1.weights.store import Store


@dataclass(frozen=True)
class Part:
    """What is wanted: layers and experts by their numbers ("0-9,40"), or one rank of several; nothing said is all.

    Of an expert or tensor rank some layers alone can be wanted too.
    """

    layers: str | None = None
    experts: str | None = None
    by: Division | None = None
    rank: int | None = None
    parts: int | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for what contradicts itself."""
        said = [value is not None for value in (self.by, self.rank, self.parts)]
        if any(said) and not all(said):
            raise UsageError("a rank needs all three: by what, which rank, and of how many parts")
        if self.by == "stage" and self.layers is not None:
            raise UsageError("a stage is a range of layers already: layers cannot be given too")
        if self.by is not None and self.experts is not None:
            raise UsageError("a part is either a rank or a list of experts")

    def cut(self, checkpoint: Checkpoint) -> Cut:
        """Return the cut that this is of a checkpoint; raises UsageError where it has no such part."""
        whole = Whole.of(checkpoint.config, {name: (info.dtype, info.shape) for _, name, info in checkpoint.tensors()})
        layers = None if self.layers is None else parse_numbers(self.layers, "layers", whole.layers)
        if self.by is not None and self.rank is not None and self.parts is not None:
            cut = rank_cut(whole, self.by, self.rank, self.parts)
            return cut if layers is None else replace(cut, layers=layers)
        experts = None if self.experts is None else parse_numbers(self.experts, "experts", whole.experts)
        return Cut(layers, experts)


def fetch(
    place: str | Store,
    out: Path,
    part: Part = Part(),
    sharding: Sharding = DEFAULT_SHARDING,
    *,
    memory: int = DEFAULT_MEMORY,
    workers: int | None = None,
) -> Execution:
    """Write a part of the checkpoint at `place` into the new folder `out`; see `execute` about interruptions.

    `place` is a folder, an address, or a repository like "owner/name@revision". The result has a cut.json that says
    which part it is, and `verify` knows by it what must be there.

    Example: fetch("skt/A.X-K1", Path("rank-3"), Part(by="expert-rank", rank=3, parts=32))
    """
    plan, store = plan_fetch(place, part, sharding)
    return execute(plan, [store], out, memory=memory, workers=workers, description="fetching")


def plan_fetch(place: str | Store, part: Part, sharding: Sharding = DEFAULT_SHARDING) -> tuple[Plan, Store]:
    """Return what `fetch` will write, from headers alone, and the store it reads."""
    store = open_place(place) if isinstance(place, str) else place
    checkpoint = open_checkpoint(store)
    return plan_part(checkpoint, part.cut(checkpoint), sharding), store


def bytes_to_read(plan: Plan) -> int:
    """Return how many bytes of tensors are transferred for a plan: short pieces come with what lies between them."""
    runs = {(place.file, place.run) for shard in plan.shards for step in shard.steps for place in step.places}
    return sum(run.end - run.start for _, run in runs)
