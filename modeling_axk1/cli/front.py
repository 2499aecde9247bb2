"""What `axk1` alone says: who can do what, and what each would type first; one screen of 80 x 24."""

import typer

_TITLE = "A.X K1, the open release: models, data, cards and hubs that can be proved."

# Who, what for, the command.
FIRST = (
    (
        "On a laptop",
        "go from raw text to a published model, in minutes",
        "axk1 quickstart",
    ),
    (
        "Fine-tuner, distiller",
        "bring only the layers and experts you need, by ranges",
        "axk1 weights fetch skt/A.X-K1 part --layers 0-3",
    ),
    (
        "Release engineer",
        "see what a terabyte of shards holds by fetching 4 MB",
        "axk1 weights inspect skt/A.X-K1",
    ),
    (
        "Reader of cards",
        "browse cards, tensors, data and results on a hub here",
        "axk1 hub serve --root axk1-quickstart/hub",
    ),
    (
        "Air-gapped site",
        "prove a release that came as one file, then publish it",
        "axk1 hub verify release.tar --key release.pub.pem",
    ),
)

_MORE = """\
axk1 docs               opens the documentation in a browser, with no network
axk1 --help             lists all commands, `axk1 hub` those of the hub
axk1 COMMAND --help     teaches one command, with an example
axk1 docs               opens the documentation; --language ko in Korean
axk1 completion bash    lets Tab complete them all; zsh and fish too"""


def show() -> None:
    """Print the page; headings are bold on a terminal and plain elsewhere."""
    typer.echo(_TITLE)
    for who, what, command in FIRST:
        typer.echo(f"\n{typer.style(who, bold=True)}: {what}\n    {command}")
    typer.echo(f"\n{_MORE}")
