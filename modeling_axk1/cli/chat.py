"""`axk1 chat`: question after question, what was said before kept in the cache."""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
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
from modeling_axk1.errors import UsageError

_HELP = """\
/reset   forget what was said and begin anew
/help    this list
/exit    leave, as Ctrl-D does; Ctrl-C stops an answer"""


def chat(
    model: Model,
    memory: Memory = None,
    expert_memory: ExpertMemory = None,
    max_new_tokens: MaxNewTokens = 512,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line for every answer.")] = False,
) -> None:
    """Talk with a model, a question a line; what was said stays in its cache.

    So a further question costs its own tokens and no others. Weights are read
    on demand with --memory or --expert-memory, as `axk1 generate` does. Ctrl-C
    stops an answer and not the program; /help lists what else can be typed.
    Thinking stays in the conversation, which a template would leave out: to take
    it out, all that came behind it would have to pass the model again.

    Example: axk1 chat ./A.X-K1 --memory 16GiB --context 8192
    """
    from modeling_axk1.stream.opening import Loading
    from modeling_axk1.stream.speaker import Conversation, Wish

    loading = Loading(memory, expert_memory, profile, policy, threads, context, cache_dir, cache_size, check_digests)
    wish = Wish(max_new_tokens, temperature, top_p, greedy, seed)
    conversation = Conversation(asking.open_speaker(model, loading, wish), system, thinking)
    for line in _lines():
        match line.split():
            case []:
                continue
            case ["/exit"]:
                return
            case ["/reset"]:
                conversation.reset()
            case ["/help"]:
                asking.say(_HELP)
            case [word] if word.startswith("/"):
                asking.say(f"unknown command {word!r}; /help lists what there is")
            case _:
                _answer(conversation, line, wish, context, as_json)


def _answer(conversation: Any, question: str, wish: Any, context: int | None, as_json: bool) -> None:
    """Ask, and show the answer; one that has no room left is refused, and the conversation goes on."""
    from modeling_axk1.cli.live import Screen
    from modeling_axk1.cli.stopping import stopping

    try:
        asking.check_room(conversation.speaker, len(conversation.with_question(question)), wish, context)
    except UsageError as error:
        asking.say(f"{error}; /reset begins anew")
        return
    with Screen(wish.max_new_tokens, quiet=as_json) as screen, stopping(screen.watches) as watching:
        answer = conversation.ask(question, wish, screen.write, watching)
    if as_json:
        typer.echo(json.dumps(asking.as_json(answer), ensure_ascii=False))
    else:
        asking.say(asking.summary(answer))


def _lines() -> Iterator[str]:
    """Yield what is typed, or piped in, line by line; Ctrl-C at the prompt does not end what took long to come to."""
    if not sys.stdin.isatty():
        yield from (line.rstrip("\n") for line in sys.stdin)
        return
    with suppress(ImportError):  # on Windows, which edits lines by itself
        import readline  # noqa: F401

    asking.say("/help lists what can be typed")
    while True:
        try:
            yield input("> ")
        except KeyboardInterrupt:
            asking.say("\n/exit or Ctrl-D leaves")
        except EOFError:
            asking.say("")
            return
