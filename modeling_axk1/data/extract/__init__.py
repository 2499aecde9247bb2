"""From a file's bytes to plain text, one file per format.

An extractor takes a file's path and content and gives its texts, mostly one. A text's blocks, joined by blank lines,
are what the document says. Whatever cannot be read with certainty (a character set that does not fit, broken markup)
is a DataError, never a guess.
"""

from collections.abc import Callable, Iterable

from modeling_axk1.data.extract.block import Block, Text
from modeling_axk1.data.extract.chatterbot import chatterbot
from modeling_axk1.data.extract.chitchat import chitchat
from modeling_axk1.data.extract.court_opinions import court_opinions
from modeling_axk1.data.extract.crawl_database import crawl_database
from modeling_axk1.data.extract.few_shot import few_shot
from modeling_axk1.data.extract.gettext_catalogue import gettext_catalogue
from modeling_axk1.data.extract.gettext_source import gettext_source
from modeling_axk1.data.extract.human_eval import human_eval
from modeling_axk1.data.extract.javascript_strings import javascript_strings
from modeling_axk1.data.extract.json_strings import json_strings
from modeling_axk1.data.extract.json_texts import json_texts
from modeling_axk1.data.extract.man_page import man_page
from modeling_axk1.data.extract.markdown import markdown
from modeling_axk1.data.extract.markup import (
    docbook_html,
    html,
    libreoffice_html,
    mallard,
    mdbook_html,
    sphinx_html,
    texinfo_html,
)
from modeling_axk1.data.extract.plain_text import plain_text
from modeling_axk1.data.extract.pod import pod
from modeling_axk1.data.extract.properties import properties
from modeling_axk1.data.extract.qt_catalogue import qt_catalogue
from modeling_axk1.data.extract.renpy import renpy
from modeling_axk1.data.extract.restructured_text import restructured_text
from modeling_axk1.data.extract.source_code import source_code
from modeling_axk1.data.extract.writing_bench import writing_bench

Extractor = Callable[[str, bytes], Iterable[Text]]


def _whole(blocks: Callable[[str, bytes], list[Block]]) -> Extractor:
    """Make an extractor of a function that takes a file as one text."""
    return lambda name, data: [Text(blocks(name, data))]


EXTRACTORS: dict[str, Extractor] = {
    "chatterbot": chatterbot,
    "chitchat": chitchat,
    "court-opinions": court_opinions,
    "crawl": _whole(crawl_database),
    "docbook-html": _whole(docbook_html),
    "few-shot": few_shot,
    "gettext": gettext_catalogue,
    "gettext-source": gettext_source,
    "html": _whole(html),
    "human-eval": human_eval,
    "javascript-strings": javascript_strings,
    "json-strings": json_strings,
    "json-texts": json_texts,
    "libreoffice-html": _whole(libreoffice_html),
    "mallard": _whole(mallard),
    "man": man_page,
    "markdown": _whole(markdown),
    "mdbook-html": _whole(mdbook_html),
    "pod": _whole(pod),
    "properties": properties,
    "renpy": renpy,
    "qt": qt_catalogue,
    "restructured-text": restructured_text,
    "source-code": _whole(source_code),
    "sphinx-html": _whole(sphinx_html),
    "texinfo-html": _whole(texinfo_html),
    "text": _whole(plain_text),
    "writing-bench": writing_bench,
}
