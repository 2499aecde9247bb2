"""Commands of one noun, or all nouns: what is not among them is answered with what is near."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperGroup

from modeling_axk1.errors import UsageError, did_you_mean


class Group(TyperGroup):
    """A group that says which command was meant, and which one was used wrongly."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; wrong use leaves with the name of the command that was used wrongly."""
        try:
            return super().invoke(ctx)
        except (UsageError, typer.TyperException) as error:
            if getattr(error, "command", None) is None:  # else a group within this one knows better
                error.command = " ".join(filter(None, (ctx.command_path, ctx.invoked_subcommand)))  # type: ignore
            raise

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; raises UsageError with the near one when there is none of this name.

        Example: `axk1 wieghts` means `weights`, `axk1 publish` means `axk1 hub publish`.
        """
        name = args[0]
        if name in self.commands or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        meant = did_you_mean(name, self.commands) or _elsewhere(name, ctx.find_root().command)
        raise UsageError(f"unknown command {name!r}{meant}")


def _elsewhere(name: str, root: Any) -> str:
    """Return "; did you mean 'axk1 hub publish'?" where a noun has a verb of that name, or a near one."""
    paths: dict[str, list[str]] = {}
    for path in _verbs(root, "axk1"):
        paths.setdefault(path.rpartition(" ")[2], []).append(path)
    found = [path for verb in get_close_matches(name, paths, n=1) for path in paths[verb]]
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""


def _verbs(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _verbs(command, f"{path} {name}")
        else:
            yield f"{path} {name}"
