"""`axk1 generate`: one prompt, one answer."""

import sys
from typing import Annotated, Any

import typer

from modeling_axk1.cli import asking
from modeling_axk1.cli.asking import (
    CacheDir,
    CacheSize,
    CheckDigests,
    Context,
    ExpertMemory,
    Greedy,
    MaxNewTokens,
    Memory,
    Model,
    Policy,
    Profile,
    Seed,
    System,
    Temperature,
    Thinking,
    Threads,
    TopP,
)
from modeling_axk1.cli.output import print_json
from modeling_axk1.errors import UsageError


def generate(
    model: Model,
    prompt: Annotated[
        str | None, typer.Argument(metavar="[PROMPT]", help="What to ask; - or nothing reads it from stdin.")
    ] = None,
    memory: Memory = None,
    expert_memory: ExpertMemory = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Go on with PROMPT as it stands, without the chat template.")
    ] = False,
    max_new_tokens: MaxNewTokens = 256,
    temperature: Temperature = None,
    top_p: TopP = None,
    greedy: Greedy = False,
    seed: Seed = None,
    system: System = "",
    thinking: Thinking = False,
    profile: Profile = None,
    policy: Policy = None,
    threads: Threads = None,
    context: Context = None,
    cache_dir: CacheDir = None,
    cache_size: CacheSize = None,
    check_digests: CheckDigests = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show where memory would go and how long a token takes; load nothing.")
    ] = False,
    disk_speed: Annotated[
        str | None,
        typer.Option(
            help="With --dry-run: what the disk reads a second, like 2GB, instead of measuring.", metavar="SIZE"
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with the answer and its cost.")
    ] = False,
) -> None:
    """Answer one prompt; with --memory, a model that is larger than memory too.

    With --memory or --expert-memory weights are read from the published shards
    when a token needs them: nothing is converted and no second copy is written.
    Without, the model is loaded whole. The answer goes to stdout as it comes;
    on a terminal a line below it says what is read, how fast, and how long it
    will take. Ctrl-C ends the answer and exits 130.

    Examples:
      axk1 generate axk1-quickstart/export "The server" --raw --greedy
      axk1 generate ./A.X-K1 "왜 하늘은 파란가요?" --memory 16GiB
      axk1 generate ./A.X-K1 --memory 16GiB --dry-run --disk-speed 2GB
      axk1 generate ./A.X-K1-INT4 - --memory 16GiB --max-new-tokens 40 < question.txt

    """
    from modeling_axk1.stream.opening import Loading
    from modeling_axk1.stream.speaker import Wish

    loading = Loading(memory, expert_memory, profile, policy, threads, context, cache_dir, cache_size, check_digests)
    if raw and (system or thinking):
        raise UsageError("--raw goes on with a text: it goes with neither --system nor --thinking")
    if dry_run or disk_speed is not None:
        _dry_run(model, loading, disk_speed, dry_run, as_json)
        return
    text = _prompt(prompt)
    wish = Wish(max_new_tokens, temperature, top_p, greedy, seed)
    speaker = asking.open_speaker(model, loading, wish)
    if raw:
        ids = speaker.continued(text)
    else:
        messages = [{"role": "system", "content": system}] if system else []
        ids = speaker.asked([*messages, {"role": "user", "content": text}], thinking)
    asking.check_room(speaker, len(ids), wish, context)
    from modeling_axk1.cli.live import Screen
    from modeling_axk1.cli.stopping import stopping

    with Screen(max_new_tokens, quiet=as_json) as screen, stopping(screen.watches, at_once=True) as watching:
        answer = speaker.say(ids, wish, screen.write, watching=watching)
    if as_json:
        print_json(asking.as_json(answer))
    else:
        asking.say(asking.summary(answer))
    if answer.stopped:
        raise typer.Exit(130)


def _prompt(given: str | None) -> str:
    if given is None and sys.stdin.isatty():
        raise UsageError("PROMPT is missing: give it, or - to read it from stdin; `axk1 chat` asks for it")
    text = sys.stdin.read() if given in (None, "-") else given
    assert text is not None
    if not text.strip():
        raise UsageError("PROMPT must hold some text, got none")
    return text.removesuffix("\n") if given in (None, "-") else text


def _dry_run(model: str, loading: Any, disk_speed: str | None, dry_run: bool, as_json: bool) -> None:
    if not dry_run:
        raise UsageError("--disk-speed goes with --dry-run")
    from modeling_axk1.model.memory_axk1 import bytes_of
    from modeling_axk1.stream.forecast import forecast

    try:
        speed = None if disk_speed is None else bytes_of(disk_speed.removesuffix("/s"))
    except ValueError:
        speed = 0
    if speed == 0:
        raise UsageError(f"--disk-speed must be bytes a second like 2GB or 500MB, got {disk_speed!r:.60}")
    asking.show_forecast(forecast(model, loading, speed), as_json)
