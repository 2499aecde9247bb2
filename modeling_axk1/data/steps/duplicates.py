"""Every text once."""

from modeling_axk1.data.document import Document, Drop, Step


def duplicates() -> Step:
    """Drop every text seen before, byte for byte; the first one stays."""
    seen: set[str] = set()

    def decide(document: Document) -> Document | Drop:
        digest = document.sha256
        if digest in seen:
            return Drop("exact duplicate")
        seen.add(digest)
        return document

    return Step("duplicates", decide)
