"""What a person sees while a model answers: the text as it comes, and below it one line that says what goes on.

On a terminal only. Text that is not for a terminal goes out as it comes, letter by letter the same.
"""

import sys
from types import TracebackType

from rich.cells import chop_cells
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from modeling_axk1.stream.watch import Sight, Watch
from modeling_axk1.weights.sizes import human_bytes


def status(sight: Sight, most: int) -> str:
    """Return the line: where it is, what is read, what is held, how long it will take."""
    where = f"token {sight.tokens} of {most}" if sight.tokens else f"reading the prompt {sight.prompt:.0%}"
    said = [f"{where}, layer {sight.layer} of {sight.layers}"]
    if sight.room:
        said.append(f"{sight.speed / 1e9:.2f} GB/s")
        said.append(f"{human_bytes(sight.held)} of {human_bytes(sight.room)} held")
        if sight.sums.hit_rate is not None:
            said.append(f"{sight.sums.hit_rate:.0%} found there")
        if sight.sums.guessed:
            said.append(f"{sight.sums.guessed_right / sight.sums.guessed:.0%} guessed right")
    if sight.tokens_per_second is not None:
        said.append(pace(sight.tokens_per_second))
    if sight.left is not None:
        said.append(f"{duration(sight.left)} left" + ("" if sight.tokens else " before the first token"))
    return " · ".join(said)


def pace(tokens_per_second: float) -> str:
    """Return "3.2 tokens/s", or "41 s a token" where one is slow in coming."""
    return (
        f"{tokens_per_second:.1f} tokens/s" if tokens_per_second >= 1 else f"{duration(1 / tokens_per_second)} a token"
    )


def duration(seconds: float) -> str:
    """Return a time for a person: 4.2 s, 41 s, 3 min, 2.5 h."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Screen:
    """Writes an answer to stdout; with a line of status on stderr where that is a terminal.

    Where both are one terminal, the answer's last line and the status are drawn together, and lines that are full go
    up and stay.

    Example:
        with Screen(most=100) as screen:
            speaker.say(ids, wish, screen.write, watching=screen.watches)

    """

    def __init__(self, most: int, quiet: bool = False) -> None:
        self._console, self._most, self._quiet = Console(stderr=True, highlight=False, soft_wrap=False), most, quiet
        self._watch: Watch | None = None
        self._line = ""  # of the answer, not yet full
        self._live: Live | None = None
        self._together = False

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._together = sys.stdout.isatty() and not self._quiet
            self._live = Live(
                get_renderable=self._draw,
                console=self._console,
                transient=True,
                refresh_per_second=4,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            last, self._line = self._line, ""
            self._live.stop()
            if last:
                sys.stdout.write(last)
        if not self._quiet:
            sys.stdout.write("\n")
            sys.stdout.flush()

    def watches(self, watch: Watch) -> None:
        """Show what this watch sees."""
        self._watch = watch

    def write(self, text: str) -> None:
        """Show a further piece of the answer."""
        if self._quiet:
            return
        if not self._together or self._live is None:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        *full, self._line = [
            line for given in (self._line + text).split("\n") for line in chop_cells(given, self._console.width) or [""]
        ]
        for line in full:
            self._live.console.print(Text(line), soft_wrap=True)
        self._live.refresh()

    def _draw(self) -> RenderableType:
        seen = status(self._watch.look(), self._most) if self._watch is not None else "loading"
        shown = Text(seen, style="dim", no_wrap=True, overflow="ellipsis")
        return Group(Text(self._line), shown) if self._line else shown
