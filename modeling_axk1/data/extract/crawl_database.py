"""Descriptions of the game Dungeon Crawl: entries apart by lines of `%%%%`, each a key and, below it, its text."""

import re

from modeling_axk1.data.extract.block import Block, decode

_COMMENT = re.compile(r"^#.*\n?", re.MULTILINE)
_PROGRAM = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_COLOUR = re.compile(r"</?[a-z]+>")


def crawl_database(name: str, data: bytes) -> list[Block]:
    """Take the texts of all entries, in file order, without their keys and the programs within them."""
    text = _COMMENT.sub("", decode(name, data, "utf-8").replace("\r\n", "\n"))
    entries = (_PROGRAM.sub("", entry).strip().partition("\n")[2] for entry in re.split(r"^%%%%.*$", text, flags=re.M))
    return [Block(_COLOUR.sub("", entry).strip(), verbatim=True) for entry in entries if entry.strip()]
