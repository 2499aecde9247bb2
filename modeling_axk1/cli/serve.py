"""`axk1 serve`: transformers' own server, with this package's model in it."""

from pathlib import Path
from typing import Annotated

import typer

from modeling_axk1.errors import HubError, UsageError

# Everything that this command does not know goes on to `transformers serve`.
FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True}


def serve(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A checkpoint folder, or a model's name on a hub.", metavar="MODEL")],
    continuous_batching: Annotated[
        bool, typer.Option(help="Requests join and leave a running batch; latents lie in pages.")
    ] = True,
) -> None:
    r"""Answer requests over HTTP, as OpenAI's API does.

    This is `transformers serve` with the model of this package in it: alone, that
    command takes transformers' native class of the same name, whatever code lies
    beside the weights, and its continuous batching fails. All other options
    (--host, --port, --dtype, --cb-num-blocks ...) are those of that command; see
    `transformers serve --help`. Needs `pip install 'axk1\[serve]'`.

    Example: axk1 serve axk1-quickstart/export --port 8000
    """
    try:
        import fastapi  # noqa: F401
    except ImportError as error:
        raise UsageError(f"a server needs more packages, such as {error.name}: pip install 'axk1[serve]'") from None
    _check_there(model)
    import transformers
    from transformers.cli.transformers import app

    from modeling_axk1 import AXK1ForCausalLM

    # The server asks the package transformers for the class that config.json names.
    transformers.AXK1ForCausalLM = AXK1ForCausalLM
    local = str(Path(model).resolve()) if Path(model).is_dir() else model
    batching = ["--continuous-batching"] if continuous_batching else []
    # Not standalone: its wrong use becomes one line too.
    ended = app(["serve", local, *batching, *context.args], prog_name="axk1", standalone_mode=False)
    if isinstance(ended, int):
        raise typer.Exit(ended)


def _check_there(model: str) -> None:
    """Raise a line for what the server would end in a traceback about, after a minute of asking a hub for it."""
    folder = Path(model)
    if folder.is_dir():
        for name in ("config.json", "tokenizer.json"):
            if not (folder / name).is_file():
                raise HubError(f"{folder} has no {name}; `axk1 hub export` makes a folder that can be served")
    elif model.count("/") != 1 or folder.exists():
        raise UsageError(f"MODEL must be a folder, or NAMESPACE/NAME on a hub, got {model}")
