"""A text must be worth learning from, as far as counting tells."""

from modeling_axk1.data.document import Document, Drop, Step
from modeling_axk1.data.quality import code
from modeling_axk1.data.quality.limits import LIMITS, OTHERS
from modeling_axk1.data.quality.rules import broken


def quality() -> Step:
    """Drop texts that break a rule of quality: quality/limits.py for prose, quality/code.py for programs.

    A language without limits of its own is held to what has nothing to do with words.
    """

    def decide(document: Document) -> Document | Drop:
        if document.language == "code":
            reason = code.broken(document.text)
        else:
            reason = broken(document.text, LIMITS.get(document.language, OTHERS))
        return Drop(reason) if reason else document

    return Step("quality", decide)
