"""HTML and Mallard: text between elements, with what each element means in a table."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

from modeling_axk1.data.extract.block import Block, decode
from modeling_axk1.errors import DataError

_CHARSET_SUFFIX = re.compile(r"\.html?\.[a-z-]+\.([A-Za-z0-9_-]+)$")
_CHARSET_META = re.compile(rb"<meta[^>]*charset=[\"']?([A-Za-z0-9_-]+)", re.IGNORECASE)
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class _Markup:
    """What the elements of a format mean. Elements not named here are inline: their text flows on."""

    paragraphs: frozenset[str]
    lines: frozenset[str]
    cells: frozenset[str]
    verbatim: frozenset[str]
    skip: frozenset[str]
    skip_marked: frozenset[str] = frozenset()
    void: frozenset[str] = frozenset()
    # Put between two elements of the same name that touch: Ctrl and P are two keys of one shortcut, Ctrl+P.
    joints: Mapping[str, str] = field(default_factory=dict)


_HTML = _Markup(
    paragraphs=frozenset({"p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote"}),
    lines=frozenset({"li", "dt", "dd", "tr", "br", "hr"}),
    cells=frozenset({"td", "th"}),
    verbatim=frozenset({"pre"}),
    skip=frozenset({"head", "script", "style", "button", "svg"}),
    # Navigation of the Apache manual, then of a Publican book: ids and classes of what is not the text itself.
    skip_marked=frozenset(
        {"page-header", "path", "up", "quickview", "toplang", "bottomlang", "outofdate", "top", "footer", "permalink"}
        | {"comments_section", "banner", "docnav", "toc", "legalnotice", "indexterm", "footnotes"}
    ),
    void=frozenset({"br", "hr", "img", "input", "link", "meta", "col", "area", "base", "wbr", "source"}),
)
# Navigation of the pages that the DocBook stylesheets make, of those of Sphinx, and of those of Texinfo.
_DOCBOOK_HTML = replace(
    _HTML,
    skip_marked=frozenset({"navheader", "navfooter", "toc", "indexterm", "legalnotice", "footnotes", "affiliation"}),
)
_SPHINX_HTML = replace(
    _HTML,
    skip=_HTML.skip | {"nav", "footer"},
    skip_marked=frozenset(
        {"sphinxsidebar", "related", "headerlink", "mobile-nav", "footer", "wy-nav-side", "wy-breadcrumbs", "linenos"}
        | {"rst-footer-buttons", "toctree-wrapper", "contents", "topic-title", "inline-search", "viewcode-link"}
    ),
)
_TEXINFO_HTML = replace(
    _HTML,
    skip_marked=frozenset(
        {"nav_table", "nav-panel", "header", "footer", "menu", "contents", "summarycontents", "tocframe"}
    ),
)
_MDBOOK_HTML = replace(
    _HTML, skip=_HTML.skip | {"nav", "noscript"}, skip_marked=frozenset({"sidebar", "menu-bar", "searchbar-outer"})
)
_LIBREOFFICE_HTML = replace(_HTML, skip=_HTML.skip | {"header", "footer", "aside", "nav", "noscript"})
_MALLARD = _Markup(
    paragraphs=frozenset({"page", "section", "title", "subtitle", "p", "list", "steps", "terms", "table", "note"}),
    lines=frozenset({"item", "tr"}),
    cells=frozenset({"td"}),
    verbatim=frozenset({"screen"}),
    skip=frozenset({"info", "media", "links", "comment"}),
    joints={"key": "+", "gui": " > "},
)


class _Collector:
    """Turns the events of a parser (start, data, end) into blocks; xml.etree takes it as its target as it is."""

    def __init__(self, markup: _Markup) -> None:
        self._markup = markup
        self._blocks: list[Block] = []
        self._lines: list[str] = []
        self._line = ""
        # How many elements deep we are inside one that is skipped, or taken verbatim, and inside how many items.
        self._skipping = 0
        self._verbatim = 0
        self._items = 0
        self._just_ended = ""

    def start(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        tag, markup = _local(tag), self._markup
        if tag in markup.void:
            if tag in markup.lines:
                self._end_line()
            return
        marks = f"{attributes.get('id') or ''} {attributes.get('class') or ''}".split()
        if self._skipping or tag in markup.skip or markup.skip_marked.intersection(marks):
            self._skipping += 1
        elif self._verbatim or tag in markup.verbatim:
            if not self._verbatim:
                self._end_block()
            self._verbatim += 1
        elif tag in markup.paragraphs:
            self._end_paragraph()
        elif tag in markup.lines:
            self._end_line()
            self._items += 1
        elif tag in markup.cells and self._line.strip():
            self._line += " | "
        elif tag == self._just_ended and tag in markup.joints:
            self._line += markup.joints[tag]

    def data(self, text: str) -> None:
        self._just_ended = ""
        if not self._skipping:
            self._line += text if self._verbatim else _SPACES.sub(" ", text)

    def end(self, tag: str) -> None:
        tag, markup = _local(tag), self._markup
        if tag in markup.void:
            return
        if self._skipping:
            self._skipping -= 1
        elif self._verbatim:
            if self._verbatim == 1:
                self._end_block(verbatim=True)
            self._verbatim -= 1
        elif tag in markup.paragraphs:
            self._end_paragraph()
        elif tag in markup.lines:
            self._end_line()
            self._items -= 1
        self._just_ended = tag

    def close(self) -> list[Block]:
        self._end_block()
        return self._blocks

    def _end_paragraph(self) -> None:
        # A paragraph of a list item or a table row is a line of the list or the table.
        if self._items:
            self._end_line()
        else:
            self._end_block()

    def _end_line(self) -> None:
        line = self._line.strip("\n") if self._verbatim else _SPACES.sub(" ", self._line).strip()
        if line.strip():
            self._lines.append(line)
        self._line = ""

    def _end_block(self, verbatim: bool = False) -> None:
        self._end_line()
        if self._lines:
            self._blocks.append(Block("\n".join(self._lines), verbatim))
        self._lines = []


def _local(tag: str) -> str:
    # xml.etree writes a name of a namespace as {namespace}name.
    return tag.rpartition("}")[2]


class _HTMLEvents(HTMLParser):
    def __init__(self, collector: _Collector) -> None:
        super().__init__(convert_charrefs=True)
        self._collector = collector

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._collector.start(tag, dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._collector.start(tag, dict(attrs))
        self._collector.end(tag)

    def handle_endtag(self, tag: str) -> None:
        self._collector.end(tag)

    def handle_data(self, data: str) -> None:
        self._collector.data(data)


def html(name: str, data: bytes) -> list[Block]:
    """Extract an HTML page (the Apache manual, a Publican book) in the character set that it declares."""
    return _html(name, data, _HTML)


def docbook_html(name: str, data: bytes) -> list[Block]:
    """Extract an HTML page that the DocBook stylesheets made, without its navigation."""
    return _html(name, data, _DOCBOOK_HTML)


def sphinx_html(name: str, data: bytes) -> list[Block]:
    """Extract an HTML page that Sphinx made, without its navigation."""
    return _html(name, data, _SPHINX_HTML)


def texinfo_html(name: str, data: bytes) -> list[Block]:
    """Extract an HTML page that Texinfo made, without its navigation."""
    return _html(name, data, _TEXINFO_HTML)


def mdbook_html(name: str, data: bytes) -> list[Block]:
    """Extract an HTML page of a book that mdBook made, without its navigation."""
    return _html(name, data, _MDBOOK_HTML)


def libreoffice_html(name: str, data: bytes) -> list[Block]:
    """Extract an HTML page of LibreOffice's help, without the frame around it."""
    return _html(name, data, _LIBREOFFICE_HTML)


def _html(name: str, data: bytes, markup: _Markup) -> list[Block]:
    collector = _Collector(markup)
    events = _HTMLEvents(collector)
    events.feed(decode(name, data, html_charset(name, data)))
    events.close()
    return collector.close()


def html_charset(name: str, data: bytes) -> str:
    """Return the page's character set: from the suffix (`index.html.ko.euc-kr`), else its <meta>, else UTF-8."""
    if suffix := _CHARSET_SUFFIX.search(name):
        return suffix[1]
    if meta := _CHARSET_META.search(data):
        return meta[1].decode()
    return "utf-8"


def mallard(name: str, data: bytes) -> list[Block]:
    """Extract a page of GNOME's help (Mallard XML)."""
    parser: ElementTree.XMLParser[list[Block]] = ElementTree.XMLParser(target=_Collector(_MALLARD))  # noqa: S314 (the package's sha256 is pinned)
    try:
        parser.feed(decode(name, data, "utf-8"))
        return parser.close()
    except ElementTree.ParseError as error:
        raise DataError(f"{name}: not well-formed XML: {error}") from None
