"""`axk1 hub`: serve a hub and look after it."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    root: Annotated[Path, typer.Option(help="Folder that holds the hub; made when missing.")],
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on; the default lets only this machine in.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Serve a hub that huggingface_hub, transformers and datasets use.

    Repositories are bare git repositories below ROOT; large files lie
    beside them by their SHA-256. There are no accounts: whoever reaches
    the port may read and change everything. Ctrl-C stops it.

    Example: axk1 hub serve --root ~/hub --port 8000
    """
    from ipaddress import ip_address

    from modeling_axk1.hub.server import run

    def announce(endpoint: str) -> None:
        typer.echo(f"hub {root} at {endpoint}")
        typer.echo(f"clients: export HF_ENDPOINT={endpoint} HF_HUB_DISABLE_XET=1")

    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        typer.echo(f"axk1: warning: whoever reaches {host} can read and change everything on this hub", err=True)
    run(root, host, port, announce)
