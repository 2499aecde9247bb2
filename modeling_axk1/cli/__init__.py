"""The command `axk1`: noun, then verb. A command parses, calls one function and prints; rooms are imported inside it.

Failed checks exit 1, wrong use exits 2, each with one clear line on stderr.
"""

import sys

import typer

from modeling_axk1.cli import data, front, hub, tokenizer, train, weights
from modeling_axk1.cli.chat import chat
from modeling_axk1.cli.completion import answer_shells, completion
from modeling_axk1.cli.docs import docs
from modeling_axk1.cli.failures import failure
from modeling_axk1.cli.generate import generate
from modeling_axk1.cli.group import Group
from modeling_axk1.cli.quickstart import quickstart
from modeling_axk1.cli.serve import FORWARD, serve

app = typer.Typer(
    name="axk1",
    cls=Group,
    help="A.X K1, the open release: from raw text to a published model that from_pretrained loads.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (quickstart, docs, completion):
    app.command(rich_help_panel="Start here")(command)
for noun, room in (("data", data), ("tokenizer", tokenizer), ("train", train)):
    app.add_typer(room.app, name=noun, rich_help_panel="From text to a model")
for noun, room in (("weights", weights), ("hub", hub)):
    app.add_typer(room.app, name=noun, rich_help_panel="Checkpoints, releases and hubs")
app.command(rich_help_panel="Use a model")(generate)
app.command(rich_help_panel="Use a model")(chat)
app.command(context_settings=FORWARD, rich_help_panel="Use a model")(serve)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version and exit.")
) -> None:
    if version:
        from modeling_axk1 import __version__

        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        front.show()


def main() -> None:
    """Run the command line; every expected failure becomes one line on stderr and an exit code."""
    answer_shells()
    try:
        # Not standalone: the framework's own boxes for wrong use are many lines, a person and a log want one.
        sys.exit(typer.main.get_command(app).main(prog_name="axk1", standalone_mode=False))
    except (Exception, KeyboardInterrupt) as error:
        message, code = failure(error)
    if message:
        print(f"axk1: error: {message}", file=sys.stderr)
    sys.exit(code)
