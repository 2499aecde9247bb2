"""One look for every long piece of work: a bar on a terminal, silence elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class Advance(Protocol):
    """Move the bar by `amount` and, if given, change the note shown behind it."""

    def __call__(self, amount: float = 1, note: str | None = None) -> None: ...  # noqa: D102


@contextmanager
def progress_bar(description: str, total: float | None, *, in_bytes: bool = False) -> Iterator[Advance]:
    """Show a bar on stderr while the block runs; draws nothing when stderr is not a terminal.

    `in_bytes` says that `total` and every amount count bytes: the bar then shows how many, and how many a second.

    Example:
        with progress_bar("reading", total=len(files)) as advance:
            for file in files:
                advance(1, note=file.name)

    """
    console = Console(stderr=True)
    amount_columns: tuple[ProgressColumn, ...] = (
        (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (TextColumn("{task.percentage:>3.0f}%"),)
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        *amount_columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(description, total=total, note="")

        def advance(amount: float = 1, note: str | None = None) -> None:
            if note is None:
                bar.advance(task, amount)
            else:
                bar.update(task, advance=amount, note=note)

        yield advance
