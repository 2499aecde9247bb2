"""`axk1 hub quota` and `axk1 hub usage`: how much each namespace may keep, and what it keeps."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from modeling_axk1.cli.group import Group
from modeling_axk1.cli.hub.options import AsJson, Root

if TYPE_CHECKING:
    from modeling_axk1.hub.server.usage import Use

app = typer.Typer(
    cls=Group, help="Quotas: how many bytes a namespace may keep; set also while the hub runs.", no_args_is_help=True
)

Namespace = Annotated[str, typer.Argument(help="A namespace, or '*' for all that have no quota of their own.")]


@app.command("set")
def set_quota(
    namespace: Namespace,
    size: Annotated[str, typer.Argument(help="Like 50GB or 1TiB; none: no limit; default: whatever holds for '*'.")],
    root: Root,
) -> None:
    """Let a namespace keep so many bytes, from the next request on.

    Large files count once in each repository that names them, and git's
    objects count. Nothing is removed where there is more already.

    Example: axk1 hub quota set team 500GB --root ~/hub
    """
    from modeling_axk1.hub.server.limits import Limits
    from modeling_axk1.weights.plan import parse_size

    if size == "default":
        Limits(root).forget(namespace)
        typer.echo(f"{namespace} has no quota of its own")
        return
    limit = None if size == "none" else parse_size(size)
    Limits(root).set(namespace, limit)
    typer.echo(f"{namespace} may keep {_words(limit)}")


@app.command("list")
def list_quotas(root: Root, as_json: AsJson = False) -> None:
    """Print the quotas that were set. What is kept beside them: `axk1 hub usage`.

    Example: axk1 hub quota list --root ~/hub
    """
    from modeling_axk1.hub.server.limits import Limits

    limits = Limits(root).all()
    if as_json:
        typer.echo(json.dumps(limits))
        return
    for namespace, limit in sorted(limits.items()):
        typer.echo(f"{namespace}: {_words(limit)}")
    if not limits:
        typer.echo("no quotas: every namespace may keep any number of bytes")


def usage(root: Root, as_json: AsJson = False) -> None:
    """Print what each namespace and repository keeps, in bytes, beside its quota.

    A large file that two repositories share counts in both, as their quotas
    count it; the last line, what is stored, counts it once.

    Example: axk1 hub usage --root ~/hub
    """
    from modeling_axk1.hub.server.usage import report

    found = report(root)
    if as_json:
        typer.echo(json.dumps(found.as_dict()))
        return
    lines = [("", "files", "large", "git", "total", "quota")]
    for namespace in found.namespaces:
        limit = "-" if namespace.limit is None else f"{namespace.limit:,}"
        lines.append((namespace.name, *_columns(namespace.use), limit))
        lines += [
            (f"  {name} ({kind.removesuffix('s')})", *_columns(use), "") for kind, name, use in namespace.repositories
        ]
    lines.append(("stored", *_columns(found.stored), ""))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        typer.echo("  ".join(cells).rstrip())


def _columns(use: "Use") -> tuple[str, str, str, str]:
    return f"{use.files:,}", f"{use.large:,}", f"{use.git:,}", f"{use.total:,}"


def _words(limit: int | None) -> str:
    return "any number of bytes" if limit is None else f"{limit:,} bytes"
