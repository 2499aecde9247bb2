"""`axk1 weights`: the commands, in the order in which people need them."""

import typer

from modeling_axk1.cli.group import Group
from modeling_axk1.cli.weights.checking import check, keygen, manifest, sign, verify
from modeling_axk1.cli.weights.profile import profile
from modeling_axk1.cli.weights.reading import diff, inspect, plan
from modeling_axk1.cli.weights.writing import convert, fetch, rehearse, reshard

app = typer.Typer(
    cls=Group, help="Check, move, convert and shrink safetensors checkpoints of any size.", no_args_is_help=True
)

for panel, commands in (
    ("Look", (inspect, plan, diff, profile)),
    ("Write", (reshard, convert, fetch, rehearse)),
    ("Trust", (verify, manifest, keygen, sign, check)),
):
    for command in commands:
        app.command(rich_help_panel=panel)(command)
