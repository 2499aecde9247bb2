"""`axk1 weights profile`: which experts one's own text visits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modeling_axk1.cli.asking import CacheDir, ExpertMemory, Memory, Model, Threads
from modeling_axk1.cli.output import print_json
from modeling_axk1.errors import UsageError

if TYPE_CHECKING:
    from modeling_axk1.stream.profile import Profile

_BAR = 40


def profile(
    model: Model,
    texts: Annotated[
        list[Path], typer.Argument(metavar="TEXT...", help='Text files; of a .jsonl file the "text" of each line.')
    ],
    to: Annotated[Path, typer.Option("--to", help="File to write, to keep and to share.", metavar="FILE")],
    memory: Memory = None,
    expert_memory: ExpertMemory = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", help="Count no more tokens than these, from the beginning.", min=1)
    ] = None,
    threads: Threads = None,
    cache_dir: CacheDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, show, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Count which experts your text visits; `--profile` of generate and chat holds the hottest in memory.

    The text passes the model in parts of 4,096 tokens, each of which reads
    nearly all experts once: a few parts say enough. The file holds counts and
    a digest of the model's config, and nothing of the text; it serves every
    precision of the same model.

    Example: axk1 weights profile ./A.X-K1 my-mails.txt --to mails.json --memory 16GiB
    """
    from modeling_axk1.cli.asking import open_loaded
    from modeling_axk1.progress import progress_bar
    from modeling_axk1.stream.opening import Loading
    from modeling_axk1.stream.profile import PART, Profile, count_visits, read_texts

    loading = Loading(
        memory, expert_memory, threads=threads, cache_dir=cache_dir, guess=memory is None is expert_memory
    )
    said = read_texts(texts)
    loaded, tokenizer = open_loaded(model, loading)
    # Documents behind one another, as in training.
    ids = [token for text in said for token in (*tokenizer(text)["input_ids"], tokenizer.bos_token_id)][:tokens]
    if not ids:
        raise UsageError("TEXT must hold some text, got none")
    with progress_bar("counting", total=len(ids)) as advance:
        visits = count_visits(loaded, ids, min(PART, loaded.config.max_position_embeddings), advance)
    found = Profile.of(loaded.config, visits, len(ids))
    if not found.visits:
        raise UsageError("a profile needs a model with routed experts")
    if not dry_run:
        found.write(to)
    _show(found, loaded.config, None if dry_run else to, as_json)


def _show(found: "Profile", config: Any, to: Path | None, as_json: bool) -> None:
    experts = len(found.visits) * config.n_routed_experts
    shares = found.concentration(experts)
    visited = sum(len(of_layer) for of_layer in found.visits.values())
    if as_json:
        concentration = {f"{share:g}": part for share, part in shares.items()}
        facts = {"model": found.model, "tokens": found.tokens, "experts": experts, "visited": visited}
        print_json({"to": str(to) if to else None, **facts, "concentration": concentration})
        return
    typer.echo(f"{found.tokens:,} tokens visited {visited:,} of {experts:,} experts")
    for share, part in shares.items():
        bar = "█" * round(_BAR * part)
        typer.echo(f"the hottest {share:>4.0%} take {part:>4.0%} of visits  {bar:·<{_BAR}}")
    typer.echo(f"-> {to}" if to else "nothing written (dry run)")
