"""Markdown as it is written, without the table of keys (YAML between lines of `---`) that some pages begin with."""

import re

from modeling_axk1.data.extract.block import Block, decode
from modeling_axk1.data.extract.plain_text import plain_text

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def markdown(name: str, data: bytes) -> list[Block]:
    """Take a page in UTF-8, paragraph by paragraph."""
    text = decode(name, data, "utf-8").replace("\r\n", "\n")
    return plain_text(name, _FRONT_MATTER.sub("", text).encode())
