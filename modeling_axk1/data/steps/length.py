"""Neither too short nor with endless lines."""

from modeling_axk1.data.document import Document, Drop, Step


def length(min_bytes: int, max_line_bytes: int) -> Step:
    """Drop texts too short to learn from, and texts with a line so long that it is data or minified code."""

    def decide(document: Document) -> Document | Drop:
        size = document.bytes
        if size < min_bytes:
            return Drop(f"shorter than {min_bytes} bytes")
        # A text that is short enough has no line that is too long.
        if size > max_line_bytes and max(len(line.encode()) for line in document.text.split("\n")) > max_line_bytes:
            return Drop(f"a line longer than {max_line_bytes} bytes")
        return document

    return Step("length", decide)
