"""`axk1 hub`: the commands, in the order in which people need them."""

import typer

from modeling_axk1.cli.group import Group
from modeling_axk1.cli.hub import accounts, deploy, quota
from modeling_axk1.cli.hub.proof import verify
from modeling_axk1.cli.hub.quota import usage
from modeling_axk1.cli.hub.release import card, check, export
from modeling_axk1.cli.hub.server import serve
from modeling_axk1.cli.hub.transport import bundle, mirror, publish
from modeling_axk1.cli.hub.upkeep import backup, fsck, gc, restore

app = typer.Typer(
    cls=Group, help="Export, check, publish and verify a release; serve a hub of one's own.", no_args_is_help=True
)

for panel, commands in (
    ("Make a release", (export, card, check)),
    ("Move and prove it", (publish, verify, mirror, bundle)),
    ("Serve a hub", (serve,)),
    ("Look after a hub", (usage, gc, fsck, backup, restore)),
):
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(accounts.app, name="token", rich_help_panel="Serve a hub")
app.add_typer(deploy.app, name="deploy", rich_help_panel="Look after a hub")
app.add_typer(quota.app, name="quota", rich_help_panel="Serve a hub")
