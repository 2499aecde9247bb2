"""Translations of a story told with Ren'Py: scripts in which each line stands below its original.

The format: https://www.renpy.org/doc/html/translation.html
"""

import re
from collections.abc import Iterator

from modeling_axk1.data.extract.block import Block, Text, decode

# What somebody says, what is told, or (new) what a choice is called; an original is a comment or stands after `old`.
_SAID = re.compile(r'^ +(?!old\b)(?:\w+ )*"((?:[^"\\]|\\.)*)"', re.MULTILINE)
# Marks of the typesetting: {i}, {/i}, {w=0.5}.
_MARKS = re.compile(r"\{[^{}\n]*\}")


def renpy(name: str, data: bytes) -> Iterator[Text]:
    """Yield what is told and said in a script, one line each."""
    lines = (re.sub(r"\\(.)", r"\1", _MARKS.sub("", said)) for said in _SAID.findall(decode(name, data, "utf-8")))
    yield Text([Block("\n".join(line for line in lines if line), verbatim=True)])
