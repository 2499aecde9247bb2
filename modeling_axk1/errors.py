"""Every error this package raises on purpose.

    AXK1Error            one clear line for a person; the command line prints it and exits with `exit_code`
    ├── UsageError       the command was used wrongly (exit 2)
    ├── DataError        a document, a recipe or a dataset is not what it must be
    ├── TokenizerError   a tokenizer cannot be trained, loaded, or does not fit
    ├── WeightsError     a checkpoint is missing something, is damaged, or does not fit its config
    ├── TrainError       training cannot start or go on
    └── HubError         a hub refused, was not reached, or holds something else than was published
        └── ReleasedTagError  the tag names something else already, and a released tag never moves

A message states the rule and the value got, and where there is one the next step: a command, an option, a file to look
at ("port 8000 on 127.0.0.1 is taken; choose another with --port"). The modeling files (model/*_axk1.py) travel to the
hub alone and raise plain ValueError.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class AXK1Error(Exception):
    """Base of the tree; its text is one line that a person can act on."""

    exit_code = 1


class UsageError(AXK1Error):
    """The command was used wrongly."""

    exit_code = 2
    command: str | None = None  # which one, such as "axk1 hub serve", once the command line knows it


class DataError(AXK1Error):
    """A document, a recipe or a dataset is not what it must be."""


class TokenizerError(AXK1Error):
    """A tokenizer cannot be trained or loaded, or does not fit."""


class WeightsError(AXK1Error):
    """A checkpoint is missing something, is damaged, or does not fit its config."""


class TrainError(AXK1Error):
    """Training cannot start or go on."""


class HubError(AXK1Error):
    """A hub refused, was not reached, or holds something else than was published."""


class ReleasedTagError(HubError):
    """The tag names something else already, and a released tag never moves."""


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return "; did you mean 'weights'?" for the known name nearest to what was given, "" where none is near."""
    near = get_close_matches(str(given), list(known), n=3)
    near.sort(key=lambda name: sorted(name) != sorted(str(given)))  # letters exchanged, the most common slip, first
    return f"; did you mean {near[0]!r}?" if near else ""
