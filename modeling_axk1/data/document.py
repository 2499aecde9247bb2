"""The document, and the contract of a step.

A step looks at one document and either keeps it (changed or not) or drops it with a reason. Nothing disappears
silently: what is dropped is counted by reason and written aside.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Document:
    """One text with its provenance; `steps` names the steps that changed the text, in order."""

    text: str
    language: str
    source: str
    source_version: str
    source_file: str
    license: str
    steps: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 of the text's UTF-8 bytes, lower-case hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def id(self) -> str:
        """The first 16 hex digits of `sha256`: the name to give when asking for a document's removal."""
        return self.sha256[:16]

    @property
    def bytes(self) -> int:
        """Length of the text in UTF-8."""
        return len(self.text.encode())


@dataclass(frozen=True, slots=True)
class Drop:
    """A step's decision not to keep a document. Reasons are counted, so they name the rule, not the document."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A document that a step dropped, as it was when it was dropped."""

    document: Document
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """A named decision about one document, made of this document alone: any process may make it, in any order.

    A step may count what it found in the document at hand ("e-mail": 2): it adds to `counts`, which whoever runs the
    steps empties before each document.
    """

    name: str
    decide: Callable[[Document], Document | Drop]
    counts: Counter[str] = field(default_factory=Counter)


def run_steps(steps: Sequence[Step], document: Document) -> Document | Dropped:
    """Send a document through the steps in order, recording those that changed its text."""
    for step in steps:
        outcome = step.decide(document)
        if isinstance(outcome, Drop):
            return Dropped(document, step.name, outcome.reason)
        if outcome.text != document.text:
            outcome = replace(outcome, steps=(*document.steps, step.name))
        document = outcome
    return document
