"""Program text."""

from modeling_axk1.data.extract.block import Block, decode


def source_code(name: str, data: bytes) -> list[Block]:
    """Take a program as it stands."""
    return [Block(decode(name, data, "utf-8"), verbatim=True)]
