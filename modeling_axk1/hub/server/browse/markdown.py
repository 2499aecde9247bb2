"""A card's Markdown as HTML that is safe on a page of this hub, whoever wrote it.

markdown-it-py makes HTML of it, and nh3 (a real HTML parser, as in a browser) lets through what is listed here: no
scripts, styles, classes, forms or frames, no images but this repository's own. Text is rid of characters that turn its
direction or cannot be seen. The page's content security policy is a second wall, and hub.css keeps the card in its box.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from posixpath import normpath
from typing import Any
from urllib.parse import unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from modeling_axk1.hub.server.browse.shown import without_hidden

# Characters; a longer card is read as a file.
LONGEST_BODY = 256 * 1024
# Elements within elements. An HTML parser looks through all that are open at each tag, so depth costs its square.
_DEEPEST = 400
ID_PREFIX = "card-"
_DEEPEST_HEADING_LISTED = 3
_MOST_HEADINGS_LISTED = 60
_LONGEST_HEADING = 120

# fmt: off
_TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "cite", "code", "col", "colgroup", "dd", "del", "details", "dfn",
    "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd",
    "li", "mark", "ol", "p", "pre", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strong", "sub", "summary",
    "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul", "var", "wbr",
}
# Whose content is no text for people: it goes with the tag.
_DROPPED_WHOLE = {
    "script", "style", "iframe", "object", "embed", "noscript", "template", "math", "svg", "select", "textarea",
    "title", "xmp",
}
# fmt: on
_ATTRIBUTES = {
    "*": {"id", "lang"},
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "details": {"open"},
    "abbr": {"title"},
}
_HEADING_TAG = re.compile(r"(</?h)([1-5])(?=[\s>])", re.IGNORECASE)
_WORDLESS_IMAGE = re.compile(r"<img\b(?![^>]*\balt\s*=)", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
# Empty, or ended by the next of their kind: these add no depth of their own.
_NOT_DEEP = {"br", "hr", "img", "wbr", "col", "input", "link", "meta", "p", "li", "td", "th", "tr", "dt", "dd"}
_NUMBERS = {"width", "height", "start", "colspan", "rowspan"}
# Written by the renderer below; whoever writes them in a card gets no more than a card has anyway.
_CLASSES = {"div": {"scroll"}, "td": {"number", "middle"}, "th": {"number", "middle"}}
_VALUES = {"pre": {"tabindex": {"0"}}, "div": {"tabindex": {"0"}, "align": {"center", "left", "right"}}}
_VALUES |= {tag: {"align": {"center", "left", "right"}} for tag in ("p", "h1", "h2", "h3", "h4", "h5", "h6", "img")}


@dataclass(frozen=True)
class Heading:
    """A heading of a card: its level on the page, the id that leads to it, its words."""

    level: int
    id: str
    text: str


@dataclass(frozen=True)
class Rendered:
    """A card as HTML, and its table of contents."""

    html: Markup
    headings: tuple[Heading, ...]


@dataclass(frozen=True)
class Links:
    """Where a card's relative addresses lead: `page` and `image` make an address of a path in the repository."""

    page: Callable[[str], str]
    image: Callable[[str], str]


def render(text: str, links: Links) -> Rendered | None:
    """Return Markdown as HTML, headings one level lower: the page has a first-level heading of its own.

    None for what is too long or too deeply nested to be a card.
    """
    if len(text) > LONGEST_BODY:
        return None
    tokens = _parser().parse(without_hidden(text))
    headings = _number_headings(tokens)
    html = _parser().renderer.render(tokens, _parser().options, {})
    if _depth(html) > _DEEPEST:
        return None

    def filtered(tag: str, name: str, value: str) -> str | None:
        if name in _NUMBERS:
            return value if re.fullmatch("[0-9]{1,4}", value) else None
        if (tag, name) == ("a", "href"):
            return _href(value, links)
        if (tag, name) == ("img", "src"):
            path = _path_of(value)
            return links.image(path) if path is not None else None
        return value

    safe = nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags=_DROPPED_WHOLE,
        attributes=_ATTRIBUTES,
        attribute_filter=filtered,
        tag_attribute_values=_VALUES,
        set_tag_attribute_values={"img": {"loading": "lazy"}},
        allowed_classes=_CLASSES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        id_prefix=ID_PREFIX,
    )
    if [heading.level for heading in headings].count(2) == 1:
        headings = [heading for heading in headings if heading.level > 2]  # the card's title is no part of itself
    return Rendered(Markup(safe), tuple(headings))  # noqa: S704  # this is what all the above is for


def _depth(html: str) -> int:
    """Return how many elements are open at once, at most, in HTML that need not be well-formed."""
    left: Counter[str] = Counter()
    depth = deepest = 0
    for closes, name in _TAG.findall(html):
        if closes:
            # A tag that closes nothing is ignored by a parser, too.
            depth -= min(left[name], 1)
            left[name] -= min(left[name], 1)
        elif name not in _NOT_DEEP:
            left[name] += 1
            depth += 1
            deepest = max(deepest, depth)
    return deepest


def _href(value: str, links: Links) -> str | None:
    """Return where a link leads: below the page, to a file of the repository, or to where it said."""
    if value.startswith("#"):
        return f"#{ID_PREFIX}{value[1:]}"
    if urlsplit(value).scheme in {"http", "https", "mailto"}:
        return value
    path = _path_of(value)
    if path is None:
        return value if value.startswith("/") and not unquote(value).startswith(("//", "/\\")) else None
    return links.page(path)


def _path_of(value: str) -> str | None:
    """Return the path in the repository that a relative address names; None when it names anything else."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    path = unquote(parts.path)
    if parts.scheme or parts.netloc or not path or path.startswith("/") or "\\" in path:
        return None
    path = normpath(path)
    return None if path == "." or path.startswith("../") or path == ".." else path


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for rule, write in {
        "table_open": _open_table,
        "table_close": lambda *_: "</table></div>",
        "fence": _code,
        "code_block": _code,
        "html_block": _own_html,
        "html_inline": _own_html,
    }.items():
        parser.renderer.rules[rule] = write  # type: ignore[attr-defined]
    for cell in ("td_open", "th_open"):
        parser.renderer.rules[cell] = _open_cell  # type: ignore[attr-defined]
    return parser


def _number_headings(tokens: Sequence[Token]) -> list[Heading]:
    """Lower every heading by one level and give it an id; return those for the table of contents."""
    found: list[Heading] = []
    taken: dict[str, int] = {}
    for position, token in enumerate(tokens):
        if token.type not in {"heading_open", "heading_close"}:
            continue
        level = min(int(token.tag[1]) + 1, 6)
        token.tag = f"h{level}"
        if token.type == "heading_close":
            continue
        text = "".join(
            child.content for child in tokens[position + 1].children or [] if child.type in {"text", "code_inline"}
        )
        slug = slug_of(text)
        taken[slug] = taken.get(slug, 0) + 1
        token.attrSet("id", slug if taken[slug] == 1 else f"{slug}-{taken[slug] - 1}")
        if level <= _DEEPEST_HEADING_LISTED and len(found) < _MOST_HEADINGS_LISTED and text.strip():
            found.append(Heading(level, f"{ID_PREFIX}{token.attrGet('id')}", text[:_LONGEST_HEADING]))
    return found


def slug_of(text: str) -> str:
    """Return a heading's id as GitHub and Hugging Face make it, so that links written for them lead here too.

    Example: "Measured here (as stored)" is "measured-here-as-stored".
    """
    kept = (
        character if character in "-_" or unicodedata.category(character)[0] in "LNM" else " " * character.isspace()
        for character in text.strip().lower()
    )
    return "".join(kept).replace(" ", "-")[:_LONGEST_HEADING] or "section"


# Rules of the renderer. What they write passes the filter above like everything else.


def _open_table(tokens: Sequence[Token], position: int, options: Any, env: Any) -> str:
    return '<div class="scroll" tabindex="0"><table>\n'


def _open_cell(tokens: Sequence[Token], position: int, options: Any, env: Any) -> str:
    """Say by a class what markdown-it says by a style, which the policy of the pages forbids."""
    token = tokens[position]
    classes = {"text-align:right": ' class="number"', "text-align:center": ' class="middle"'}
    return f"<{token.tag}{classes.get(str(token.attrGet('style')), '')}>"


def _code(tokens: Sequence[Token], position: int, options: Any, env: Any) -> str:
    return f'<pre tabindex="0"><code>{Markup.escape(tokens[position].content)}</code></pre>\n'


def _own_html(tokens: Sequence[Token], position: int, options: Any, env: Any) -> str:
    """Lower the headings that a card writes as HTML, too, and let pictures without words be silent."""
    lowered = _HEADING_TAG.sub(lambda match: f"{match[1]}{int(match[2]) + 1}", tokens[position].content)
    return _WORDLESS_IMAGE.sub('<img alt="" ', lowered)
