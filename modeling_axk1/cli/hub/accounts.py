"""`axk1 hub token`: who may use a hub that asks for tokens."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from modeling_axk1.cli.group import Group
from modeling_axk1.cli.hub.options import AsJson, Root, seconds

app = typer.Typer(cls=Group, help="Tokens: make, list and revoke them, also while the hub runs.", no_args_is_help=True)


class Right(StrEnum):
    """What a token may do; each includes the ones before it."""

    read = "read"
    write = "write"
    admin = "admin"


Name = Annotated[str, typer.Argument(help="The person or machine that the token is for.")]


@app.command()
def add(
    name: Name,
    root: Root,
    right: Annotated[
        Right, typer.Option(help="read; write (also make repositories); admin (also delete, move, hide).")
    ] = (Right.read),
    namespace: Annotated[
        list[str] | None,
        typer.Option(help="Where the right holds besides the namespace NAME; '*' is everywhere. May be repeated."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it is valid, like 12h or 30d; default: for ever.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it: now, and never again.

    The hub keeps only its SHA-256. The right holds in the namespace NAME and
    those of --namespace; elsewhere the token reads what is public. One to
    administer holds everywhere unless namespaces are given.

    Example: axk1 hub token add minji --right write --namespace team --root ~/hub
    """
    from modeling_axk1.hub.server.accounts import Accounts

    account, token = Accounts(root).add(
        name, right.value, tuple(namespace or ()), None if expires is None else seconds(expires)
    )
    if as_json:
        typer.echo(json.dumps({**asdict(account), "token": token}))
        return
    typer.echo(f"{name} may {right.value} in {', '.join(account.namespaces)}; it is shown this once:", err=True)
    typer.echo(token)


@app.command("list")
def list_tokens(root: Root, as_json: AsJson = False) -> None:
    """Print who has a token, and what it may do.

    Example: axk1 hub token list --root ~/hub
    """
    from modeling_axk1.hub.server.accounts import Accounts

    accounts = Accounts(root).all()
    if as_json:
        typer.echo(json.dumps([asdict(account) for account in accounts]))
        return
    for account in accounts:
        until = (
            ""
            if account.expires is None
            else f", until {datetime.fromtimestamp(account.expires, UTC):%Y-%m-%d %H:%M} UTC"
        )
        note = " (expired)" if account.has_expired() else ""
        typer.echo(f"{account.name}: {account.right} in {', '.join(account.namespaces)}{until}{note}")
    if not accounts:
        typer.echo("no tokens yet")


@app.command()
def revoke(name: Name, root: Root) -> None:
    """Take a token back: it opens nothing from the next request on.

    Example: axk1 hub token revoke minji --root ~/hub
    """
    from modeling_axk1.hub.server.accounts import Accounts

    Accounts(root).revoke(name)
    typer.echo(f"the token of {name} is revoked")
