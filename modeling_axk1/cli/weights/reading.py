"""Commands that look at checkpoints and write nothing."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modeling_axk1.cli.weights.options import (
    AsJson,
    By,
    DropMtp,
    GroupSize,
    InOrder,
    LayoutOption,
    ModelType,
    MtpFrom,
    Parts,
    Place,
    RouterBiasOption,
    ShardSize,
    To,
    conversion,
    sharding,
    source,
)
from modeling_axk1.errors import UsageError
from modeling_axk1.weights.sizes import counted, human_bytes, human_count

if TYPE_CHECKING:
    from modeling_axk1.weights.inspect import Inspection
    from modeling_axk1.weights.plan import Plan

_SHOWN = 20  # names of missing or extra tensors: a screen of them


def inspect(
    place: Place,
    shards: Annotated[bool, typer.Option("--shards", help="List the shards, with tensors and bytes of each.")] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor: dtype, shape, shard.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a checkpoint holds, and what is missing or extra by its config.

    Only headers are read, so a terabyte takes a moment, on the hub as well as here.

    Example: axk1 weights inspect skt/A.X-K1 --shards
    """
    from modeling_axk1.weights.checkpoint import open_checkpoint
    from modeling_axk1.weights.inspect import describe
    from modeling_axk1.weights.place import open_place

    checkpoint = open_checkpoint(open_place(place), beside_others=True)
    found = describe(checkpoint)
    shard_list: list[dict[str, Any]] = [
        {"file": file, "tensors": len(header.tensors), "bytes": header.file_size}
        for file, header in checkpoint.shards.items()
    ]
    tensor_list: list[dict[str, Any]] = [
        {"name": name, "dtype": tensor.dtype, "shape": tensor.shape, "bytes": tensor.nbytes, "shard": file}
        for file, name, tensor in checkpoint.tensors()
    ]
    if as_json:
        lists = ({"shard_list": shard_list} if shards else {}) | ({"tensor_list": tensor_list} if tensors else {})
        typer.echo(json.dumps({**asdict(found), **lists}, indent=2))
        return
    _show_inspection(found)
    if shards:
        for shard in shard_list:
            size = human_bytes(shard["bytes"])
            typer.echo(f"{shard['file']}  {shard['tensors']:>6,} tensors  {size:>7}  {shard['bytes']:>15,} bytes")
    if tensors:
        for tensor in tensor_list:
            shape = "x".join(map(str, tensor["shape"])) or "scalar"
            typer.echo(f"{tensor['name']}  {tensor['dtype']}  {shape}  {tensor['shard']}")


def _show_inspection(found: "Inspection") -> None:
    parameters = f"{human_count(found.parameters)} parameters ({found.parameters:,})"
    if found.active_parameters is not None:
        parameters += f", {human_count(found.active_parameters)} active per token ({found.active_parameters:,})"
    typer.echo(found.place)
    if found.part:
        typer.echo(f"part of a model: {found.part}")
    typer.echo(parameters)
    typer.echo(f"{counted(found.tensors, 'tensor')} in {counted(found.shards, 'shard')}, layout {found.layout}")
    typer.echo(f"{human_bytes(found.bytes)} of weights ({found.bytes:,} bytes)")
    typer.echo("dtypes: " + ", ".join(f"{dtype} ({count:,})" for dtype, count in found.dtypes.items()))
    if found.bytes_read is not None:
        typer.echo(f"fetched: {human_bytes(found.bytes_read)} ({found.bytes_read:,} bytes)")
    for stranger in found.strangers:
        typer.echo(f"note: {stranger}")
    if found.missing is None or found.extra is None:
        typer.echo("no config.json of A.X K1 here: missing and extra tensors are not known")
        return
    for title, names in (("missing", found.missing), ("extra", found.extra)):
        more = len(names) - _SHOWN
        listed = [*names[:_SHOWN], *([f"... and {more:,} more: --json lists them"] if more > 0 else [])]
        typer.echo(f"{title}: {len(names):,}" + "".join(f"\n  {name}" for name in listed))


def plan(
    place: Place,
    by: By = "size",
    parts: Parts = None,
    shard_size: ShardSize = None,
    order: InOrder = "model",
    layout: LayoutOption = None,
    to: To = None,
    group_size: GroupSize = None,
    model_type: ModelType = None,
    router_bias: RouterBiasOption = "keep",
    drop_mtp: DropMtp = False,
    mtp_from: MtpFrom = None,
    as_json: AsJson = False,
) -> None:
    """Show the shards that reshard or convert would write, with the same options, and write nothing.

    Example: axk1 weights plan ./A.X-K1 --shard-size 20GB
    """
    from modeling_axk1.weights.convert import Conversion, plan_convert
    from modeling_axk1.weights.reshard import plan_reshard

    wanted = conversion(layout, to, group_size, model_type, router_bias, drop_mtp, mtp_from)
    shards = sharding(by, parts, shard_size, order)
    if wanted == Conversion():
        planned, _ = plan_reshard(source(place), shards)
    else:
        planned, _ = plan_convert(source(place), wanted, shards)
    show_plan(planned, as_json)


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A checkpoint's folder, address or repository.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The one to compare it with.")],
    tolerance: Annotated[
        float | None,
        typer.Option(help="Weights cast or quantised are equal up to this relative RMS; 0: the same values."),
    ] = None,
    allow_renamed: Annotated[
        bool, typer.Option("--allow-renamed", help="Weights are equal under another name too.")
    ] = False,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Compare names, shapes and dtypes, and read no weights.")
    ] = False,
    tensors: Annotated[
        bool, typer.Option("--tensors", help="A line for each weight, not for a group of layers and experts.")
    ] = False,
    memory: Annotated[str, typer.Option(help="Most memory to use, like 1GiB.")] = "1GiB",
    as_json: AsJson = False,
) -> None:
    """Compare two checkpoints weight by weight; exit 0 when they are equal and 1 when they are not.

    Equal are the same bytes under the same names in the same dtype, whatever the shards and the layout of experts.
    Differences of config.json are shown and do not count.

    Example: axk1 weights diff ./A.X-K1 ./A.X-K1-FP8 --tolerance 0.03
    """
    from modeling_axk1.weights.diff import diff
    from modeling_axk1.weights.diff_report import check_tolerance
    from modeling_axk1.weights.plan import parse_size

    check_tolerance(tolerance)
    if headers_only and tolerance is not None:
        raise UsageError("a tolerance is about values, and --headers-only reads none")
    report = diff(source(a), source(b), headers_only=headers_only, memory=parse_size(memory))
    unequal = report.unequal(tolerance, allow_renamed=allow_renamed)
    if as_json:
        typer.echo(json.dumps({"equal": not unequal, **report.to_json()}, indent=2))
    else:
        found = report.remarkable() if tensors else report.groups()
        for line in (f"A {report.a}", f"B {report.b}", *report.notes, *report.differences_of_config(), *found):
            typer.echo(line)
        verdict = "not equal" if unequal else "equal by their headers" if headers_only else "equal"
        typer.echo(f"{verdict}: {report.summary()}")
    if unequal:
        raise typer.Exit(1)


def show_plan(plan: "Plan", as_json: bool) -> None:
    """Show what would be written, shard by shard."""
    if as_json:
        shards = [
            {"file_name": shard.file_name, "tensors": list(shard.starts), "nbytes": shard.nbytes}
            for shard in plan.shards
        ]
        typer.echo(json.dumps({"shards": shards, "tensors": plan.tensors, "bytes": plan.nbytes}, indent=2))
        return
    width = max(len(shard.file_name) for shard in plan.shards)
    for shard in plan.shards:
        typer.echo(f"{shard.file_name:{width}}  {len(shard.starts):>6,} tensors  {shard.nbytes:>17,} bytes")
    total = f"{counted(len(plan.shards), 'shard')}, {counted(plan.tensors, 'tensor')}, {plan.nbytes:,} bytes"
    typer.echo(f"{total}; nothing was written")
