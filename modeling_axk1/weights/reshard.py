"""The same tensors in other shards: by size, layer or pipeline stage, or a folder for each rank; and joined again."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights.checkpoint import Checkpoint, open_checkpoint
from modeling_axk1.weights.cut import CUT_FILE, DIVISIONS, Cut, Division, Whole, cut_tensor, cut_to_json, rank_cut
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.execute import DEFAULT_MEMORY, Execution, execute
from modeling_axk1.weights.order import Sharding, base_of, in_order, together
from modeling_axk1.weights.plan import Plan, PlannedShard, lay_out, no_collection
from modeling_axk1.weights.runs import Run
from modeling_axk1.weights.steps import Bundle, Copy, Place
from modeling_axk1.weights.store import Store

DEFAULT_SHARDING = Sharding()

_RANK_FOLDER = re.compile(r"rank-([0-9]{5})-of-([0-9]{5})")
# What belongs to the weights of a source and is made anew, or no longer holds.
_NOT_COPIED = re.compile(
    r".*\.safetensors|.*\.safetensors\.index\.json|SHA256SUMS|MANIFEST\.json|model\.sig|cut\.json|\..*"
)
# What is looked for beside the weights where a place cannot be listed.
_USUAL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "LICENSE",
)


@dataclass(frozen=True)
class Planned:
    """A tensor of the result: its dtype and shape, and the steps that bring its bytes."""

    kind: tuple[str, tuple[int, ...]]
    steps: tuple[Copy, ...]


def reshard(
    source: Path | Store,
    out: Path,
    sharding: Sharding = DEFAULT_SHARDING,
    *,
    memory: int = DEFAULT_MEMORY,
    workers: int | None = None,
) -> Execution:
    """Write the checkpoint `source` into the new folder `out`, in other shards; see `execute` about interruptions.

    A source of rank folders, as `by="expert-rank"` and `by="tensor-rank"` make them, is joined.

    Example: reshard(Path("A.X-K1"), Path("A.X-K1-by-layer"), Sharding(by="layer"))
    """
    plan, stores = plan_reshard(source, sharding)
    return execute(plan, stores, out, memory=memory, workers=workers, description="resharding")


@no_collection()
def plan_reshard(source: Path | Store, sharding: Sharding = DEFAULT_SHARDING) -> tuple[Plan, list[Store]]:
    """Return what `reshard` will do, from headers alone, and the stores it reads."""
    ranks = _rank_folders(source) if isinstance(source, Path) else []
    if ranks:
        if sharding.by in ("expert-rank", "tensor-rank"):
            raise UsageError("folders of ranks are joined first: by size, layer or stage")
        parts = [open_checkpoint(rank) for rank in ranks]
        tensors, whole = _joined(parts)
    else:
        parts = [open_checkpoint(source)]
        tensors, whole = _single(parts[0])
        if parts[0].cut is not None:
            return _plan_again(tensors, whole, sharding, parts[0]), [parts[0].store]
        if sharding.by in ("expert-rank", "tensor-rank"):
            return _plan_ranks(tensors, whole, sharding, sharding.by, parts[0]), [parts[0].store]
    shards, files = _lay_out(tensors, whole, sharding)
    copied = {name: name for name in files_beside(parts[0].store)}
    return Plan(shards, copied, files), [part.store for part in parts]


def plan_part(checkpoint: Checkpoint, cut: Cut, sharding: Sharding = DEFAULT_SHARDING) -> Plan:
    """Return the plan for one part of a checkpoint, with the cut.json that says which part it is."""
    tensors, whole = _single(checkpoint)
    shards, files = _plan_cut(tensors, whole, sharding, cut, "")
    return Plan(shards, {name: name for name in files_beside(checkpoint.store)}, files)


def files_beside(store: Store) -> list[str]:
    """Return the files that go along with weights wherever they go: config, tokenizer, licence, code."""
    names = store.names()
    if names is None:
        return [name for name in _USUAL_FILES if store.exists(name)]
    return [name for name in names if not _NOT_COPIED.fullmatch(name)]


def _single(checkpoint: Checkpoint) -> tuple[dict[str, Planned], Whole]:
    tensors = {}
    for shard, name, info in checkpoint.tensors():
        place = Place(shard, Run(info.start, info.nbytes))
        tensors[name] = Planned((info.dtype, info.shape), (Copy(name, place, Run(0, info.nbytes)),))
    return tensors, Whole.of(checkpoint.config, {name: tensor.kind for name, tensor in tensors.items()})


def _lay_out(
    tensors: Mapping[str, Planned], whole: Whole, sharding: Sharding, folder: str = ""
) -> tuple[list[PlannedShard], dict[str, bytes]]:
    bundles = []
    for names, group in together(in_order(tensors, sharding.order, whole), sharding, whole):
        kinds = {name: tensors[name].kind for name in names}
        steps = tuple(step for name in names for step in tensors[name].steps)
        bundles.append(Bundle(kinds, steps, _parameters(kinds), group))
    return lay_out(bundles, sharding.most_bytes, folder)


def _parameters(kinds: Mapping[str, tuple[str, tuple[int, ...]]]) -> int:
    return sum(prod(shape) for name, (_, shape) in kinds.items() if base_of(name) == name)


def _plan_again(tensors: Mapping[str, Planned], whole: Whole, sharding: Sharding, part: Checkpoint) -> Plan:
    """A part of a model stays that part: names and shapes are the same, and so is its cut.json."""
    if sharding.by in DIVISIONS:
        raise UsageError(f"by {sharding.by} divides a whole model, and this is a part of one, as {CUT_FILE} says")
    shards, files = _lay_out(tensors, whole, sharding)
    return Plan(shards, {name: name for name in (CUT_FILE, *files_beside(part.store))}, files)


def _plan_ranks(
    tensors: Mapping[str, Planned], whole: Whole, sharding: Sharding, division: Division, checkpoint: Checkpoint
) -> Plan:
    """A folder for each rank, each a checkpoint in itself."""
    ranks = sharding.parts or 0
    shards: list[PlannedShard] = []
    files: dict[str, bytes] = {}
    copied: dict[str, str] = {}
    for rank in range(ranks):
        cut = rank_cut(whole, division, rank, ranks)
        folder = f"rank-{rank:05d}-of-{ranks:05d}/"
        of_rank, files_of_rank = _plan_cut(tensors, whole, sharding, cut, folder)
        shards += of_rank
        files |= files_of_rank
        copied |= {folder + name: name for name in files_beside(checkpoint.store)}
    return Plan(shards, copied, files)


def _plan_cut(
    tensors: Mapping[str, Planned], whole: Whole, sharding: Sharding, cut: Cut, folder: str
) -> tuple[list[PlannedShard], dict[str, bytes]]:
    held, whole_shapes = {}, {}
    for name, tensor in tensors.items():
        dtype, shape = tensor.kind
        part = cut_tensor(cut, whole, name, dtype, shape)
        if part is None:
            continue
        if part[0] != shape:
            whole_shapes[name] = shape
        (whole_step,) = tensor.steps
        steps, end = [], 0
        for run in part[1]:
            place = Place(whole_step.place.file, run.shifted(whole_step.place.run.start))
            steps.append(Copy(name, place, Run(end, run.nbytes)))
            end += run.nbytes
        held[name] = Planned((dtype, part[0]), tuple(steps))
    if not held:
        raise UsageError("a part must hold at least one tensor, and this one holds none")
    shards, index = _lay_out(held, whole, sharding, folder)
    return shards, {folder + CUT_FILE: cut_to_json(cut, whole_shapes), **index}


def _rank_folders(source: Path) -> list[Path]:
    """Return the folders of all ranks in their order; none when this is no folder of ranks."""
    found = {path.name: path for path in source.glob("rank-*-of-*") if _RANK_FOLDER.fullmatch(path.name)}
    if not found:
        return []
    count = int(next(iter(found)).rpartition("-")[2])
    wanted = [f"rank-{rank:05d}-of-{count:05d}" for rank in range(count)]
    if set(wanted) != found.keys():
        missing = sorted(set(wanted) - found.keys()) or sorted(found.keys() - set(wanted))
        raise WeightsError(f"{source} must hold a folder for each of {count:,} ranks, look at {missing[0]}")
    return [found[name] for name in wanted]


def _joined(parts: Sequence[Checkpoint]) -> tuple[dict[str, Planned], Whole]:
    """Put every tensor together from the ranks that hold parts of it; what all hold comes from the first."""
    cuts = [_cut_of_rank(part, number, len(parts)) for number, part in enumerate(parts)]
    if len({cut.division for cut in cuts}) > 1:
        raise WeightsError("all ranks must be of one division, and these are not")
    kinds = {
        name: (info.dtype, part.whole_shapes.get(name, info.shape))
        for part in parts
        for _, name, info in part.tensors()
    }
    whole = Whole.of(parts[0].config, kinds)
    tensors: dict[str, Planned] = {}
    for number, (part, cut) in enumerate(zip(parts, cuts, strict=True)):
        for shard, name, info in part.tensors():
            held = cut_tensor(cut, whole, name, *kinds[name])
            if held is None or held[0] != info.shape or kinds[name][0] != info.dtype:
                raise WeightsError(f"{name} of {part.store.name} is not what {CUT_FILE} says")
            before = tensors.get(name)
            if held[0] == kinds[name][1] and before:
                continue
            steps, start = [], info.start
            for run in held[1]:
                steps.append(Copy(name, Place(shard, Run(start, run.nbytes), number), run))
                start += run.nbytes
            tensors[name] = Planned(kinds[name], (before.steps if before else ()) + tuple(steps))
    for name, tensor in tensors.items():
        _check_covered(name, nbytes_of(*tensor.kind), (step.run for step in tensor.steps))
    return tensors, whole


def _cut_of_rank(part: Checkpoint, rank: int, ranks: int) -> Cut:
    """Return what a rank's cut.json says; raises WeightsError unless that is this rank."""
    if part.cut is None:
        raise WeightsError(f"{part.store.name} must have a {CUT_FILE} that says which part it is")
    if (part.cut.rank, part.cut.ranks) != (rank, ranks):
        raise WeightsError(
            f"{CUT_FILE} of {part.store.name} must be of rank {rank} of {ranks:,}, "
            f"got {part.cut.rank:,} of {part.cut.ranks:,}"
        )
    return part.cut


def _check_covered(name: str, nbytes: int, runs: Iterable[Run]) -> None:
    """Raise WeightsError unless the runs hold each of a tensor's bytes once."""
    runs = sorted(runs, key=lambda run: run.start)
    end = 0
    if all(run.count == runs[0].count and run.stride == runs[0].stride for run in runs):
        for run in runs:
            if run.start != end:
                break
            end += run.length
        else:
            whole_stride = runs[0].stride if runs and runs[0].count > 1 else nbytes
            if end == whole_stride and sum(run.nbytes for run in runs) == nbytes:
                return
    raise WeightsError(f"the ranks must hold each byte of {name} once, and they do not")
