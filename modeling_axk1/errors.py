"""Every error this package raises on purpose.

    AXK1Error            one clear line for a person; the command line prints it and exits with `exit_code`
    ├── UsageError       the command was used wrongly (exit 2)
    ├── DataError        a document, a recipe or a dataset is not what it must be
    ├── TokenizerError   a tokenizer cannot be trained, loaded, or does not fit
    ├── WeightsError     a checkpoint is missing something, is damaged, or does not fit its config
    ├── TrainError       training cannot start or go on
    └── HubError         a hub refused, was not reached, or holds something else than was published
        └── ReleasedTagError  the tag names something else already, and a released tag never moves

A message states the rule and the value got: "port must be in [1, 65535], got 70000". The modeling files
(model/*_axk1.py) travel to the hub alone and raise plain ValueError.
"""


class AXK1Error(Exception):
    """Base of the tree; its text is one line that a person can act on."""

    exit_code = 1


class UsageError(AXK1Error):
    """The command was used wrongly."""

    exit_code = 2


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
