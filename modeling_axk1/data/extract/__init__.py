"""From a file's bytes to plain text, one file per format.

An extractor takes a file's path and content and gives its texts, mostly one. A text's blocks, joined by blank lines,
are what the document says. Whatever cannot be read with certainty (a character set that does not fit, broken markup)
is a DataError, never a guess.
"""

from collections.abc import Callable, Iterable

from modeling_axk1.data.extract.block import Block, Text
from modeling_axk1.data.extract.court_opinions import court_opinions
from modeling_axk1.data.extract.gettext_catalogue import gettext_catalogue
from modeling_axk1.data.extract.json_strings import json_strings
from modeling_axk1.data.extract.man_page import man_page
from modeling_axk1.data.extract.markup import docbook_html, html, mallard, sphinx_html
from modeling_axk1.data.extract.plain_text import plain_text
from modeling_axk1.data.extract.restructured_text import restructured_text
from modeling_axk1.data.extract.source_code import source_code

Extractor = Callable[[str, bytes], Iterable[Text]]


def _whole(blocks: Callable[[str, bytes], list[Block]]) -> Extractor:
    """Make an extractor of a function that takes a file as one text."""
    return lambda name, data: [Text(blocks(name, data))]


EXTRACTORS: dict[str, Extractor] = {
    "court-opinions": court_opinions,
    "docbook-html": _whole(docbook_html),
    "gettext": gettext_catalogue,
    "html": _whole(html),
    "json-strings": json_strings,
    "mallard": _whole(mallard),
    "man": man_page,
    "restructured-text": restructured_text,
    "source-code": _whole(source_code),
    "sphinx-html": _whole(sphinx_html),
    "text": _whole(plain_text),
}
