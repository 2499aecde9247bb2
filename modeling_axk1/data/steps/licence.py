"""The licence gate."""

from collections.abc import Mapping

from modeling_axk1.data.document import Document, Drop, Step


def licence(allowed: Mapping[str, str], forbidden: Mapping[str, str]) -> Step:
    """Keep documents whose licence the recipe allows; say of every other whether it is forbidden or unknown."""

    def decide(document: Document) -> Document | Drop:
        if document.license in forbidden:
            return Drop(f"licence forbidden: {document.license} ({forbidden[document.license]})")
        if document.license not in allowed:
            return Drop(f"licence unknown: {document.license or 'none stated'}")
        return document

    return Step("licence", decide)
