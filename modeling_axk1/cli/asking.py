"""What `axk1 generate`, `axk1 chat` and `axk1 weights profile` take alike, and how it is read."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modeling_axk1.cli.completion import one_of

if TYPE_CHECKING:
    from modeling_axk1.stream.forecast import Forecast
    from modeling_axk1.stream.opening import Loading
    from modeling_axk1.stream.speaker import Answer, Speaker, Wish

_STREAMED = "Weights read on demand"
_ANSWER = "Answers"

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="Folder, owner/name[@revision] on a hub, or https://host/folder/.")
]
Memory = Annotated[
    str | None,
    typer.Option(help="Most memory for the whole process, like 16GiB.", metavar="SIZE", rich_help_panel=_STREAMED),
]
ExpertMemory = Annotated[
    str | None,
    typer.Option(help="Most memory for routed experts; all else is loaded.", metavar="SIZE", rich_help_panel=_STREAMED),
]
Profile = Annotated[
    Path | None,
    typer.Option(
        help="Hold the experts that this file calls hot (`axk1 weights profile`).",
        metavar="FILE",
        rich_help_panel=_STREAMED,
    ),
]
Policy = Annotated[
    str | None,
    typer.Option(
        help="Which expert makes room: lfu, lru or segmented.  [default: lfu]",
        metavar="NAME",
        autocompletion=one_of(("lfu", "lru", "segmented")),
        rich_help_panel=_STREAMED,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(help="Reads in flight.  [default: 4]", min=1, metavar="N", rich_help_panel=_STREAMED),
]
Context = Annotated[
    int | None,
    typer.Option(
        help="Tokens that memory is set aside for.  [default: 4096]", min=1, metavar="N", rich_help_panel=_STREAMED
    ),
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        help="Keep here what comes from a hub or an address.  [default: ~/.cache/axk1/stream]",
        metavar="FOLDER",
        rich_help_panel=_STREAMED,
    ),
]
CacheSize = Annotated[
    str | None, typer.Option(help="Most to keep there, like 200GB.", metavar="SIZE", rich_help_panel=_STREAMED)
]
CheckDigests = Annotated[
    bool,
    typer.Option(
        "--check-digests", help="Hold each tensor against MANIFEST.json when first read.", rich_help_panel=_STREAMED
    ),
]
MaxNewTokens = Annotated[
    int, typer.Option(help="Most tokens of an answer.", min=1, metavar="N", rich_help_panel=_ANSWER)
]
Temperature = Annotated[
    float | None,
    typer.Option(help="Sampling; 0 takes the likeliest.  [default: the model's]", rich_help_panel=_ANSWER, metavar="T"),
]
TopP = Annotated[
    float | None,
    typer.Option(
        help="Sample of the likeliest tokens with this share.  [default: the model's]",
        rich_help_panel=_ANSWER,
        metavar="P",
    ),
]
Greedy = Annotated[bool, typer.Option("--greedy", help="Always take the likeliest token.", rich_help_panel=_ANSWER)]
Seed = Annotated[
    int | None, typer.Option(help="Make sampling repeatable.", min=0, metavar="N", rich_help_panel=_ANSWER)
]
System = Annotated[str, typer.Option(help="What the model is told before all else.", rich_help_panel=_ANSWER)]
Thinking = Annotated[
    bool, typer.Option("--thinking/--no-thinking", help="Let it think before it answers.", rich_help_panel=_ANSWER)
]


def open_speaker(model: str, loading: "Loading", wish: "Wish") -> "Speaker":
    """Load what answers; what was asked for is checked first."""
    from modeling_axk1.stream.speaker import Speaker

    wish.for_generate()
    return Speaker(*open_loaded(model, loading))


def open_loaded(model: str, loading: "Loading") -> tuple[Any, Any]:
    """Load a model and its tokenizer, with a bar on a terminal."""
    from modeling_axk1.progress import progress_bar
    from modeling_axk1.stream.opening import open_model

    with progress_bar("loading", total=None):
        return open_model(model, loading)


def check_room(speaker: "Speaker", tokens: int, wish: "Wish", context: int | None) -> None:
    """Raise UsageError if a prompt and its answer take more than memory was set aside for, or than the model knows."""
    from modeling_axk1.errors import UsageError
    from modeling_axk1.model.memory_axk1 import DEFAULT_CONTEXT

    most, of = speaker.model.config.max_position_embeddings, "the model's context"
    planned = context or DEFAULT_CONTEXT
    if speaker.model.streamed is not None and speaker.model.streamed.plan is not None and planned < most:
        most, of = planned, "--context, for which memory is set aside,"
    if tokens + wish.max_new_tokens > most:
        raise UsageError(
            f"{of} holds {most:,} tokens, got {tokens:,} and up to {wish.max_new_tokens:,} new ones (--max-new-tokens)"
        )


def summary(answer: "Answer") -> str:
    """Return the line at the end: how much, how fast, what was read, the peak of memory."""
    from modeling_axk1.cli.live import duration, pace
    from modeling_axk1.stream.watch import peak_bytes
    from modeling_axk1.weights.sizes import counted, human_bytes

    said = [
        f"{counted(len(answer.ids), 'token')} in {duration(answer.seconds)}",
        f"the first after {duration(answer.prompt_seconds)}",
    ]
    if answer.tokens_per_second is not None:
        said.append(pace(answer.tokens_per_second))
    if answer.sums.hit_rate is not None:
        said.append(f"{human_bytes(answer.sums.bytes_read)} read, {answer.sums.hit_rate:.0%} of experts were in memory")
    said.append(f"peak {peak_bytes() / 2**30:.2f} GiB")
    return ("stopped: " if answer.stopped else "") + ", ".join(said)


def as_json(answer: "Answer") -> dict[str, object]:
    """Return an answer for machines; bytes, seconds, shares of 1."""
    from modeling_axk1.stream.watch import peak_bytes

    return {
        "text": answer.text,
        "tokens": len(answer.ids),
        "token_ids": answer.ids,
        "prompt_tokens": answer.prompt_tokens,
        "prompt_seconds": round(answer.prompt_seconds, 3),
        "seconds": round(answer.seconds, 3),
        "tokens_per_second": answer.tokens_per_second,
        "hit_rate": answer.sums.hit_rate,
        "reads": asdict(answer.sums),
        "bytes_read": answer.sums.bytes_read,
        "peak_bytes": peak_bytes(),
        "stopped": answer.stopped,
    }


def show_forecast(found: "Forecast", as_json: bool) -> None:
    """Print what a memory cap will give, and how long a token will take."""
    from modeling_axk1.cli.live import duration
    from modeling_axk1.cli.output import print_json
    from modeling_axk1.weights.sizes import human_bytes

    if as_json:
        print_json(found.as_json())
        return
    if found.plan is not None:
        typer.echo(found.plan)
    token, disk = found.token, "measured here" if found.read_measured else "as given"
    held = (
        f"{found.held.experts:,} of {found.experts:,} experts ({human_bytes(found.expert_bytes)} each) stay in memory"
    )
    typer.echo(f"{held}; a token meets {human_bytes(found.met)}")
    typer.echo(
        f"a token reads {human_bytes(round(token.bytes_read))} at {found.read / 1e9:.2f} GB/s ({disk}): "
        f"{duration(token.reading)}; it computes for {duration(token.computing)}"
    )
    typer.echo(f"about {duration(token.seconds)} a token, if a text visits all experts alike; most texts do better")
    for tokens, prompt in found.prompts.items():
        before = f"before the first token, for a prompt of {tokens}: {human_bytes(round(prompt.bytes_read))}"
        typer.echo(f"{before}, about {duration(prompt.seconds)}")
    typer.echo("nothing was loaded (dry run)")


def say(line: str) -> None:
    """Print a line for a person beside what goes to stdout."""
    print(line, file=sys.stderr, flush=True)
