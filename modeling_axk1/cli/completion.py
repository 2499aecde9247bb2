"""`axk1 completion`: what makes Tab complete commands, options and their values in a shell."""

import os
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Annotated

import typer

_VARIABLE = "_AXK1_COMPLETE"


class Shell(StrEnum):
    """Shells whose Tab can be taught."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell that you use.")]) -> None:
    """Print the script that lets Tab complete nouns, verbs, options and values.

    The script asks `axk1` at each Tab, so it needs no renewal. To have it:

    bash: source <(axk1 completion bash), here and in ~/.bashrc.

    zsh: source <(axk1 completion zsh), here and in ~/.zshrc, after compinit.

    fish: axk1 completion fish > ~/.config/fish/completions/axk1.fish

    Example: axk1 completion bash
    """
    from typer.completion import get_completion_script

    typer.echo(get_completion_script(prog_name="axk1", complete_var=_VARIABLE, shell=shell.value))


def answer_shells() -> None:
    """Let a shell that asks for completions be answered; costs nothing in a run that is none of that."""
    if _VARIABLE in os.environ:
        from typer.completion import completion_init

        completion_init()


def presets() -> list[str]:
    """Return the names of the sizes of models."""
    from modeling_axk1.model.presets import PRESETS

    return list(PRESETS)


def one_of(known: Iterable[str] | Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return what completes an option that takes one of these names; a function is asked only when Tab is."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in (known() if callable(known) else known) if name.startswith(incomplete)]

    return complete
