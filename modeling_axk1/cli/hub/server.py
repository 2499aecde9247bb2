"""`axk1 hub`: serve a hub."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class LogFormat(StrEnum):
    """How a line about a request is written."""

    json = "json"
    text = "text"


class Policy(StrEnum):
    """Whom a hub lets in."""

    open = "open"
    tokens = "tokens"
    public = "public"


def serve(
    root: Annotated[Path, typer.Option(help="Folder that holds the hub; made when missing.")],
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on; the default lets only this machine in.")] = (
        "127.0.0.1"
    ),
    access: Annotated[
        Policy | None,
        typer.Option(
            help="open: whoever reaches it may do everything. tokens: nothing without a token. "
            "public: what is not private can be read without one. Default: open on this machine, else tokens.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that serve; 0: one for each core, at most 4.")] = 0,
    log: Annotated[
        str | None, typer.Option(help="File for a line about each request; - is stderr.", show_default="none")
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="Of these lines.")] = LogFormat.json,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy",
            help="Believe X-Forwarded-Proto and X-Forwarded-Host; only for a hub that none but its proxy reaches. "
            "Then --access tokens is the default everywhere.",
        ),
    ] = False,
    max_file_size: Annotated[str, typer.Option(help="The largest file taken, from 10MiB to 1TiB.")] = "1TiB",
    quota: Annotated[
        str | None,
        typer.Option(
            help="What each namespace may keep, like 50GB, or none. Stays set; the same as `axk1 hub quota set '*'`.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve a hub that huggingface_hub, transformers and datasets use.

    Repositories are bare git repositories below ROOT; large files lie
    beside them by their SHA-256. Ctrl-C stops it. Tokens are made with
    `axk1 hub token add`, also while the hub runs.

    Example: axk1 hub serve --root ~/hub --port 8000
    """
    from ipaddress import ip_address

    from modeling_axk1.hub.server import default_workers, run
    from modeling_axk1.hub.server.accounts import EVERYWHERE, Accounts
    from modeling_axk1.hub.server.health import tell_systemd
    from modeling_axk1.hub.server.limits import Limits
    from modeling_axk1.weights.plan import parse_size

    largest_file = parse_size(max_file_size)
    if quota is not None:
        Limits(root).set(EVERYWHERE, None if quota == "none" else parse_size(quota))
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    policy = access or (Policy.open if loopback and not behind_proxy else Policy.tokens)

    def announce(endpoint: str) -> None:
        typer.echo(f"hub {root} at {endpoint}")
        token = "" if policy is Policy.open else " HF_TOKEN=..."
        typer.echo(f"clients: export HF_ENDPOINT={endpoint}{token}")
        tell_systemd("READY=1")

    if policy is Policy.open and not loopback:
        typer.echo(f"axk1: warning: whoever reaches {host} can read and change everything on this hub", err=True)
    elif policy is not Policy.open and not Accounts(root).all():
        typer.echo(f"axk1: note: no token yet; make one with `axk1 hub token add NAME --root {root}`", err=True)
    run(
        root,
        host,
        port,
        announce,
        policy=policy.value,
        workers=workers or default_workers(),
        log=log,
        log_format=log_format.value,
        behind_proxy=behind_proxy,
        largest_file=largest_file,
    )
