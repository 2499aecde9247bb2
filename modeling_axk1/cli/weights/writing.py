"""Commands that write a checkpoint from another: in other shards, another form, or a part of it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modeling_axk1.cli.completion import one_of
from modeling_axk1.cli.weights.options import (
    AsJson,
    By,
    DropMtp,
    DryRun,
    GroupSize,
    InOrder,
    LayoutOption,
    Memory,
    ModelType,
    MtpFrom,
    Out,
    Parts,
    Place,
    RouterBiasOption,
    ShardSize,
    To,
    Workers,
    conversion,
    sharding,
    source,
)
from modeling_axk1.cli.weights.reading import show_plan
from modeling_axk1.errors import UsageError
from modeling_axk1.weights.sizes import counted, human_bytes

if TYPE_CHECKING:
    from modeling_axk1.weights.execute import Execution
    from modeling_axk1.weights.names import Layout


def reshard(
    place: Place,
    out: Out,
    by: By = "size",
    parts: Parts = None,
    shard_size: ShardSize = None,
    order: InOrder = "model",
    memory: Memory = "1GiB",
    workers: Workers = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Write the same tensors into other shards; folders of ranks are joined again.

    OUT appears when it is whole. Interrupted, also by kill -9, the same command goes on where it stopped.

    Example: axk1 weights reshard ./A.X-K1 ./by-layer --by layer

    Example: axk1 weights reshard ./A.X-K1 ./ranks --by expert-rank --parts 8
    """
    from modeling_axk1.weights.execute import execute
    from modeling_axk1.weights.plan import parse_size
    from modeling_axk1.weights.reshard import plan_reshard

    planned, stores = plan_reshard(source(place), sharding(by, parts, shard_size, order))
    if dry_run:
        show_plan(planned, as_json)
        return
    _show_execution(
        execute(planned, stores, out, memory=parse_size(memory), workers=workers, description="resharding"), as_json
    )


def convert(
    place: Place,
    out: Out,
    layout: LayoutOption = None,
    to: To = None,
    group_size: GroupSize = None,
    model_type: ModelType = None,
    router_bias: RouterBiasOption = "keep",
    drop_mtp: DropMtp = False,
    mtp_from: MtpFrom = None,
    by: By = "size",
    parts: Parts = None,
    shard_size: ShardSize = None,
    order: InOrder = "model",
    memory: Memory = "1GiB",
    workers: Workers = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Store the same weights otherwise: layout of the experts, dtype, FP8, INT8 or INT4; and back.

    Says how far weights are off by rounding, all together and each (--json).
    Interrupted, also by kill -9, the same command goes on where it stopped.

    Example: axk1 weights convert ./A.X-K1 ./A.X-K1-FP8 --to fp8

    Example: axk1 weights convert ./A.X-K1 ./for-vllm --layout per-expert --router-bias zeros
    """
    from modeling_axk1.weights.convert import Conversion, plan_convert
    from modeling_axk1.weights.execute import execute
    from modeling_axk1.weights.plan import parse_size

    wanted = conversion(layout, to, group_size, model_type, router_bias, drop_mtp, mtp_from)
    if wanted == Conversion():
        raise UsageError("convert needs to know what shall be otherwise, such as --to fp8")
    planned, stores = plan_convert(source(place), wanted, sharding(by, parts, shard_size, order))
    if dry_run:
        show_plan(planned, as_json)
        return
    _show_execution(
        execute(planned, stores, out, memory=parse_size(memory), workers=workers, description="converting"), as_json
    )


def fetch(
    place: Place,
    out: Out,
    layers: Annotated[str | None, typer.Option("--layers", help='These layers, like "0-9,60".', metavar="LIST")] = None,
    experts: Annotated[
        str | None, typer.Option("--experts", help='These routed experts, like "0-23".', metavar="LIST")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="stage, expert-rank or tensor-rank, of which one --rank.",
            metavar="WHAT",
            autocompletion=one_of(("stage", "expert-rank", "tensor-rank")),
        ),
    ] = None,
    rank: Annotated[int | None, typer.Option("--rank", help="Which rank, from 0.", min=0, metavar="N")] = None,
    parts: Parts = None,
    shard_size: ShardSize = None,
    memory: Memory = "1GiB",
    workers: Workers = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Bring only what a rank, some layers or some experts need, by HTTP ranges.

    PLACE is a repository of a hub (at $HF_ENDPOINT), an http address or a folder.
    Interrupted, also by kill -9, the same command goes on where it stopped.

    Example: axk1 weights fetch skt/A.X-K1 ./rank-3 --by expert-rank --rank 3 --parts 32

    Example: axk1 weights fetch skt/A.X-K1@main ./experts --layers 5 --experts 0-7
    """
    from modeling_axk1.weights.execute import execute
    from modeling_axk1.weights.fetch import Part, bytes_to_read, plan_fetch
    from modeling_axk1.weights.plan import parse_size

    part = Part(layers, experts, by, rank, parts)  # type: ignore[arg-type]
    planned, store = plan_fetch(place, part, sharding("size", None, shard_size, "model"))
    if dry_run:
        show_plan(planned, as_json)
        if not as_json:
            typer.echo(f"{bytes_to_read(planned):,} bytes would be transferred")
        return
    _show_execution(
        execute(planned, [store], out, memory=parse_size(memory), workers=workers, description="fetching"), as_json
    )


def rehearse(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A config.json, or a place that has one.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write into; it must hold no checkpoint.")],
    shards: Annotated[int, typer.Option("--shards", help="Number of files.")] = 260,
    per_expert: Annotated[bool, typer.Option("--per-expert", help="One tensor for each expert.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Write a checkpoint of holes: true names, headers and sizes, no weights, a few MB of disk.

    With it you can try storage and tools on the release's terabyte
    before you move it. All its weights read as zeros.

    Example: axk1 weights rehearse skt/A.X-K1 ./rehearsal
    """
    from modeling_axk1.weights.place import open_place
    from modeling_axk1.weights.sparse import write_sparse_checkpoint
    from modeling_axk1.weights.store import read_small
    from modeling_axk1.weights.strict_json import parse_object

    raw = Path(config).read_bytes() if Path(config).is_file() else read_small(open_place(config), "config.json")
    layout: Layout = "per-expert" if per_expert else "fused"
    report = write_sparse_checkpoint(out, parse_object(raw, "config.json"), shards, layout, dry_run=dry_run)
    if as_json:
        facts = {"tensors": report.tensors, "parameters": report.parameters, "bytes": report.nbytes, "shards": shards}
        typer.echo(json.dumps({"out": None if dry_run else str(out), **facts}, indent=2))
        return
    holes = f"{counted(report.tensors, 'tensor')} in {counted(shards, 'shard')}, {human_bytes(report.nbytes)} of holes"
    typer.echo(f"{holes}: {'nothing written (dry run)' if dry_run else out}")


def _show_execution(done: "Execution", as_json: bool) -> None:
    from modeling_axk1.weights.errorsum import ErrorSum

    errors = done.errors or {}
    overall = sum(errors.values(), ErrorSum())
    if as_json:
        facts = {**asdict(done), "errors": {name: error.as_dict() for name, error in errors.items()}}
        typer.echo(json.dumps({**facts, "overall_error": overall.as_dict() if errors else None}, indent=2))
        return
    resumed = f", {done.resumed_bytes:,} of them from an earlier run" if done.resumed_bytes else ""
    if done.errors is None:
        resumed = ", all there already"
    typer.echo(
        f"{done.out}: {counted(done.tensors, 'tensor')}, {counted(done.shards, 'shard')}, {done.bytes:,} bytes{resumed}"
    )
    if errors and overall.squared_error:
        typer.echo(f"rounding: {overall}")
        for name in sorted(errors, key=lambda name: -errors[name].relative_rms)[:3]:
            typer.echo(f"  most in {name}: {errors[name]}")
    elif errors:
        typer.echo("rounding: none, every value is exactly the same")
