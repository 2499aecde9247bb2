"""Plain text."""

import re

from modeling_axk1.data.extract.block import Block, decode

_SPLIT = re.compile(r"\n\s*\n")


def plain_text(name: str, data: bytes) -> list[Block]:
    """Take a text in UTF-8 as it stands, paragraph by paragraph."""
    text = decode(name, data, "utf-8").replace("\r\n", "\n")
    return [Block(part.strip("\n"), verbatim=True) for part in _SPLIT.split(text) if part.strip()]
