"""From a file's bytes to plain text, one function per format.

An extractor returns blocks; joined by blank lines they are the text.
"""

from collections.abc import Callable

from modeling_axk1.data.extract.block import Block
from modeling_axk1.data.extract.markup import html, mallard
from modeling_axk1.data.extract.source_code import source_code

EXTRACTORS: dict[str, Callable[[str, bytes], list[Block]]] = {
    "html": html,
    "mallard": mallard,
    "source-code": source_code,
}
