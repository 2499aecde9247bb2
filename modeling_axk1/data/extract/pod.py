"""Perl's plain old documentation: perlpod(1)."""

import re

from modeling_axk1.data.extract.block import Block, decode

_CHARSET = re.compile(rb"^=encoding\s+(\S+)", re.MULTILINE | re.IGNORECASE)
# One level of nesting at a time, the innermost first: B<code and C<$x>>.
_FORMAT = re.compile(r"([A-Z])(?:<<\s(.+?)\s>>|<([^<>]*)>)", re.DOTALL)
_NAMED = {"lt": "<", "gt": ">", "verbar": "|", "sol": "/", "quot": '"', "amp": "&"}


def pod(name: str, data: bytes) -> list[Block]:
    """Take the paragraphs of a page in the character set that it declares, else UTF-8."""
    declared = _CHARSET.search(data)
    text = decode(name, data, declared[1].decode() if declared else "utf-8")
    blocks: list[Block] = []
    hidden = not name.endswith(".pod")  # in a program, text begins at the first command
    for paragraph in re.split(r"\n\s*\n", text):
        command, _, rest = paragraph.partition(" ") if paragraph.startswith("=") else ("", "", paragraph)
        command = command.partition("\n")[0]
        if command in {"=cut", "=begin"}:
            hidden = True
        elif command in {"=pod", "=end"} or command.startswith("=head"):
            hidden = False
        if hidden or command in {"=for", "=end", "=encoding", "=over", "=back", "=pod", "=begin"}:
            continue
        if paragraph[:1].isspace() and paragraph.strip():
            blocks.append(Block(paragraph.strip("\n"), verbatim=True))
        elif plain := " ".join(_plain(rest).split()):
            blocks.append(Block(plain))
    return blocks


def _plain(text: str) -> str:
    while (shown := _FORMAT.sub(_shown, text)) != text:
        text = shown
    return text.replace("\x01", "<").replace("\x02", ">")


def _shown(found: re.Match[str]) -> str:
    code, inner = found[1], found[2] if found[2] is not None else found[3]
    if code in "XZ":
        return ""
    if code == "E":
        inner = _NAMED.get(inner, chr(int(inner)) if inner.isdecimal() else inner)
    elif code == "L":
        inner = inner.partition("|")[0].lstrip("/")
    # Angles that are text must not be taken for a format of the next round.
    return inner.replace("<", "\x01").replace(">", "\x02")
