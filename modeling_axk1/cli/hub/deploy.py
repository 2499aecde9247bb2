"""`axk1 hub deploy`: what stands around a hub in operation."""

from pathlib import Path
from typing import Annotated

import typer

from modeling_axk1.cli.group import Group

app = typer.Typer(cls=Group, help="Print the files for nginx with TLS and for systemd.", no_args_is_help=True)

Port = Annotated[int, typer.Option(help="TCP port of the hub on this machine.")]


@app.command()
def nginx(
    name: Annotated[str, typer.Argument(help="The hub's host name, for which the certificate is.")],
    certificate: Annotated[Path, typer.Option(help="Certificate with its chain, PEM.")],
    key: Annotated[Path, typer.Option(help="Its private key, PEM.")],
    port: Port = 8000,
    tls_port: Annotated[int, typer.Option(help="TCP port for clients.")] = 443,
) -> None:
    """Print a configuration for nginx: TLS in front of `axk1 hub serve --behind-proxy`.

    Example: axk1 hub deploy nginx hub.example.org --certificate /etc/ssl/hub.pem --key /etc/ssl/private/hub.pem
    """
    from modeling_axk1.hub.server import deploy

    typer.echo(deploy.nginx(name, certificate, key, port=port, tls_port=tls_port), nl=False)


@app.command()
def systemd(port: Port = 8000) -> None:
    """Print a hardened unit that serves /var/lib/axk1-hub on this machine, for a proxy.

    Example: axk1 hub deploy systemd > axk1-hub.service
    """
    from modeling_axk1.hub.server import deploy

    typer.echo(deploy.systemd(port=port), nl=False)
