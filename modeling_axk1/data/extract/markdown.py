"""Markdown as it is written, without what is no text.

That is the table of keys (YAML between lines of `---`) that some pages begin with, and lines outside of listings that
are nothing but comments and tags: pages made for a web site put `<div class="hint">` and `</div>` around their
paragraphs. A component's tag with words in it, as `<Note title="Before you begin" />`, stays.
"""

import re
from collections.abc import Iterator

from modeling_axk1.data.extract.block import Block, decode
from modeling_axk1.data.extract.plain_text import plain_text

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FENCE = re.compile(r"[ \t]*(```|~~~)")
_ELEMENT = r"""</?[a-z][\w-]*(?:\s+[\w:@-]+(?:=(?:"[^"]*"|'[^']*'|\{[^{}]*\}))?)*\s*/?>"""
# Names of components begin with a capital; what they say may stand in their attributes.
_COMPONENT = r"""</?[A-Z][\w.]*(?:\s+\w+(?:=(?:"[^"\s]*"|'[^'\s]*'|\{[^{}\s]*\}))?)*\s*/?>"""
_TAGS = re.compile(rf"\s*(?:(?:{_ELEMENT}|{_COMPONENT}|<!--[^<>]*-->)\s*)+")


def markdown(name: str, data: bytes) -> list[Block]:
    """Take a page in UTF-8, paragraph by paragraph."""
    text = decode(name, data, "utf-8").replace("\r\n", "\n")
    return plain_text(name, "\n".join(_lines(_FRONT_MATTER.sub("", text))).encode())


def _lines(text: str) -> Iterator[str]:
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if fence or found:
            # A listing, up to a fence like the one that it begins with.
            if found and not fence:
                fence = found[1]
            elif found and found[1] == fence:
                fence = ""
            yield line
        elif not _TAGS.fullmatch(line):
            yield line
