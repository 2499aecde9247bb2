"""Manual pages: roff with the man macros, read roughly as a terminal shows them.

What the macros mean: man(7). Pages in mdoc(7), and pages that only point to another one, are refused.
"""

import re

from modeling_axk1.data.extract.block import Block, Text, decode
from modeling_axk1.data.extract.page_licence import page_licence
from modeling_axk1.data.extract.roff import arguments, plain
from modeling_axk1.errors import DataError

_CHARSET = re.compile(rb"coding:\s*([A-Za-z0-9._-]+)")
_COMMENT = re.compile(r"^[.']\s*\\[\"#]|^\\\"")
_REQUEST = re.compile(r"^[.']\s*([^\s\\]+|\\\})\s*(.*)$")
_MDOC = re.compile(r"^\.\s*(?:Dd|Sh)\s", re.MULTILINE)

_FONTS = frozenset({"B", "I", "SM", "SB", "R", "CW"})
_ALTERNATING = frozenset({"BR", "RB", "IR", "RI", "BI", "IB"})
_BREAKS = frozenset({"PP", "P", "LP", "HP", "sp", "RS", "RE", "br"})
_LISTINGS = {"nf": "fi", "EX": "EE", "Vb": "Ve"}
# Behind these nothing is text of the page up to a closing request.
_CLOSED = frozenset({"de", "de1", "am", "ig"})
_CONDITIONS = frozenset({"if", "ie", "el"})


def man_page(name: str, data: bytes) -> list[Text]:
    """Take a manual page in the character set that its first line names, else UTF-8.

    Its licence is the one that its comments or its text state, if they do.
    """
    declared = _CHARSET.search(data.partition(b"\n")[0])
    source = decode(name, data, declared[1].decode() if declared else "utf-8")
    if _MDOC.search(source):
        raise DataError(f"{name}: a page with mdoc macros")
    if not re.search(r"^\.\s*TH\s", source, re.MULTILINE):
        raise DataError(f"{name}: not a manual page, it has no .TH")
    page = _Page(source)
    license = page_licence("\n".join(page.comments)) or page_licence("\n".join(block.text for block in page.blocks))
    return [Text(page.blocks, "", license)]


class _Page:
    """Turns the lines of a page into blocks."""

    def __init__(self, source: str) -> None:
        self.comments: list[str] = []
        self.blocks: list[Block] = []
        self._strings = {"lq": "“", "rq": "”", "R": "®", "Tm": "™", "Aq": "'", "C+": "C++", "--": "—"}
        self._lines = iter(source.split("\n"))
        self._words: list[str] = []
        self._listing: list[str] | None = None
        # The tag of an item, and whether the next text is one.
        self._tag = ""
        self._tag_follows = False
        self._link = ""
        for line in self._lines:
            self._read(line)
        self._end()

    def _read(self, line: str) -> None:
        while line.endswith("\\") and not line.endswith("\\\\"):
            line = line[:-1] + next(self._lines, "")
        if _COMMENT.match(line):
            self.comments.append(line.lstrip(".'\\\" "))
        elif request := _REQUEST.match(line):
            self._request(request[1], request[2])
        elif not line.startswith((".", "'")):
            self._show(self._plain(line))

    def _request(self, name: str, rest: str) -> None:
        if name in _FONTS or name in _ALTERNATING:
            words = [self._plain(one) for one in arguments(rest)] or [self._plain(next(self._lines, ""))]
            self._show(("" if name in _ALTERNATING else " ").join(words))
        elif name in {"SH", "SS"}:
            self._end()
            heading = " ".join(arguments(rest)) or next(self._lines, "")
            self.blocks.append(Block(self._plain(heading).strip()))
        elif name in _BREAKS:
            self._break()
        elif name in {"TP", "IP"}:
            self._end()
            self._tag_follows = name == "TP"
            if name == "IP":
                self._tag = "".join(self._plain(one) for one in arguments(rest)[:1])
        elif name in _LISTINGS:
            self._end()
            self._listing = []
        elif name in _LISTINGS.values():
            self._end()
        elif name in {"UR", "MT"}:
            self._link = self._plain(rest)
        elif name in {"UE", "ME"}:
            self._show(f"<{self._link}>{self._plain(rest)}")
        elif name == "TS":
            self._end()
            self._table()
        elif name == "ds":
            key, _, value = rest.partition(" ")
            self._strings.setdefault(key, self._plain(value.lstrip().removeprefix('"')))
        elif name in _CLOSED:
            self._pass_over(rest.split()[-1:] if name == "ig" else rest.split()[1:])
        elif name in _CONDITIONS and "\\{" in rest:
            depth = rest.count("\\{") - rest.count("\\}")
            while depth > 0 and (line := next(self._lines, None)) is not None:
                depth += line.count("\\{") - line.count("\\}")

    def _plain(self, text: str) -> str:
        return plain(text, self._strings)

    def _show(self, text: str) -> None:
        if self._tag_follows:
            self._tag, self._tag_follows = text.strip(), False
        elif self._listing is not None:
            self._listing.append(text.rstrip())
        elif not text.strip():
            self._end()
        else:
            self._words.append(text.strip())

    def _break(self) -> None:
        if self._listing is None:
            self._end()
        elif self._listing:
            self._listing.append("")

    def _end(self) -> None:
        if self._listing is not None:
            if any(self._listing):
                self.blocks.append(Block("\n".join(self._listing).strip("\n"), verbatim=True))
            self._listing = None
        text = _joined(self._words)
        if self._tag and text:
            # A bullet stands before its text, a term above it.
            text = f"{self._tag} {text}" if len(self._tag) < 3 else f"{self._tag}\n    {text}"
        if text or self._tag:
            self.blocks.append(Block(text or self._tag))
        self._words, self._tag, self._tag_follows = [], "", False

    def _pass_over(self, closing: list[str]) -> None:
        end = f".{closing[0]}" if closing else ".."
        for line in self._lines:
            if line.strip() == end:
                return
            # Notices stand in `.ig` too.
            self.comments.append(line)

    def _table(self) -> None:
        """Read a table of tbl(1): options up to `;`, formats up to `.`, then rows of cells apart by tabs."""
        rows: list[str] = []
        in_format = True
        separator = "\t"
        for line in self._lines:
            if line.startswith(".TE"):
                break
            if in_format:
                if option := re.search(r"tab\s*\(?(.)\)?", line) if ";" in line else None:
                    separator = option[1]
                in_format = not line.rstrip().endswith(".")
            elif line.startswith(".T&"):
                in_format = True
            elif not line.startswith((".", "'")) and line.strip() not in {"_", "=", "T}"}:
                cells = (self._plain(cell).strip() for cell in line.split(separator))
                rows.append(" | ".join(cell for cell in cells if cell not in {"", "T{", "T}"}))
        if any(rows):
            self.blocks.append(Block("\n".join(row for row in rows if row), verbatim=True))


def _joined(words: list[str]) -> str:
    """Join lines as roff fills them, but without a space between two East Asian letters or marks."""
    text = ""
    for word in words:
        gap = "" if not text or (_wide(text[-1]) and _wide(word[0])) else " "
        text += gap + word
    return text


def _wide(character: str) -> bool:
    # Kana, Han and full-width marks; Korean writes spaces.
    return "\u2e80" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff" or "\uff00" <= character <= "\uffef"
