"""reStructuredText: what a reader of the page sees, roughly. Headings lose their rules, directives their names."""

import re

from modeling_axk1.data.extract.block import Block, Text, decode
from modeling_axk1.data.extract.page_licence import page_licence

_SPDX = re.compile(r"^\.\. SPDX-License-Identifier:.+$", re.MULTILINE)
_DIRECTIVE = re.compile(r"^(\s*)\.\. (?:\|[^|]+\| )?([\w:+-]+)::(.*)$")
_COMMENT = re.compile(r"^(\s*)\.\.(?: (?!\[).*)?$")
_FOOTNOTE = re.compile(r"^(\s*)\.\. (\[[^\]]+\] )")
_RULE = re.compile(r"^\s*([=\-~^\"'`*+#.:_<>])\1{2,}\s*$")
_OPTION = re.compile(r"^\s*:[\w-]+:(?:\s.*)?$")
_ROLE = re.compile(r":[a-z][\w:+-]*:`([^`<]*?)(?:\s*<[^`>]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]+>`_{1,2}")
_REFERENCE = re.compile(r"(?<!`)`([^`\n]+)`_{1,2}")
_LITERAL = re.compile(r"``(.+?)``")
# The mark of a listing: alone it goes, behind a sentence it is a colon.
_COLONS = re.compile(r"^\s*::$", re.MULTILINE)
_COLONS_BEHIND = re.compile(r"(?<=\S)::$", re.MULTILINE)
# What follows these is shown; what follows any other (toctree, image, include, index, ...) is not text of the page.
_SHOWN = frozenset(
    {"note", "warning", "tip", "hint", "important", "caution", "danger", "attention", "admonition", "topic", "sidebar"}
    | {"code-block", "code", "sourcecode", "literalinclude", "parsed-literal", "table", "flat-table", "list-table"}
    | {"c:function", "c:type", "c:struct", "c:macro", "function", "class", "method", "describe", "rubric", "glossary"}
    | {"seealso", "versionadded", "versionchanged", "deprecated", "container", "only", "epigraph", "highlights"}
)


def restructured_text(name: str, data: bytes) -> list[Text]:
    """Take a page of documentation in UTF-8; a line `.. SPDX-License-Identifier:` gives its licence."""
    text = decode(name, data, "utf-8").replace("\r\n", "\n").expandtabs(8)
    stated = _SPDX.search(text)
    lines = _visible(text.split("\n"))
    paragraphs = re.split(r"\n(?:[ \t]*\n)+", _inline("\n".join(lines)).strip("\n"))
    return [
        Text(
            [Block(one, verbatim=True) for one in paragraphs if one.strip()],
            "",
            page_licence(stated[0]) if stated else None,
        )
    ]


def _visible(lines: list[str]) -> list[str]:
    visible: list[str] = []
    hidden: int | None = None  # the indentation of a comment or directive whose content is not shown
    options = False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if hidden is not None:
            if not line.strip() or indent > hidden:
                continue
            hidden = None
        if options and _OPTION.match(line):
            continue
        options = False
        if directive := _DIRECTIVE.match(line):
            if directive[2] not in _SHOWN:
                hidden = len(directive[1])
                visible.append("")
                continue
            options = True
            argument = directive[3].strip()
            code = directive[2] in {"code-block", "code", "sourcecode", "literalinclude", "only"}
            line = "" if code or not argument else f"{directive[1]}{argument}"
        elif footnote := _FOOTNOTE.match(line):
            line = f"{footnote[1]}{footnote[2]}{line[footnote.end() :]}"
        elif _COMMENT.match(line):
            hidden = indent
            visible.append("")
            continue
        elif _RULE.match(line):
            continue
        visible.append(line.rstrip())
    return visible


def _inline(text: str) -> str:
    text = _LITERAL.sub(r"\1", _REFERENCE.sub(r"\1", _LINK.sub(r"\1", _ROLE.sub(r"\1", text))))
    return _COLONS.sub("", _COLONS_BEHIND.sub(":", text))
