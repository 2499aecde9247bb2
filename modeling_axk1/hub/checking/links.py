"""Links: relative ones lead to a file of the repository, anchors to a heading, and none to a private host."""

import ipaddress
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from modeling_axk1.hub.checking.subject import Subject

_FENCED = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r'!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]*)>?(?:\s+"[^"]*")?\s*\)')
_BARE = re.compile(r"<?(https?://[^\s<>()\"'`]+)")
_HTML = re.compile(r"""\b(?:href|src)=["']([^"']*)["']""")
_HEADING = re.compile(r"^#{1,6} +(.*?) *#* *$", re.M)
_PRIVATE = (".local", ".localhost", ".internal", ".intranet", ".lan", ".home", ".corp", ".test", ".invalid", ".example")


def check_links(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield (file, what is wrong) of every link in the Markdown files."""
    for page, text in subject.pages.items():
        words = _CODE.sub("", _FENCED.sub("", text))
        targets = [*_LINK.findall(words), *_HTML.findall(words), *_BARE.findall(_LINK.sub("", words))]
        for target in dict.fromkeys(targets):
            if problem := _problem(subject, page, target):
                yield page, problem


def _problem(subject: Subject, page: str, target: str) -> str | None:
    parts = urlsplit(target)
    if parts.scheme in ("http", "https"):
        return _of_address(target)
    if parts.scheme or parts.netloc:
        return f"a link must be relative or http(s), got {target!r:.100}"
    if not target:
        return "a link must lead somewhere, got an empty one"
    path = PurePosixPath(page).parent / unquote(parts.path) if parts.path else PurePosixPath(page)
    if path.is_absolute() or ".." in path.parts:
        return f"a relative link must stay in the repository, got {target!r:.100}"
    place = subject.folder / path
    if not place.exists():
        return f"a relative link must lead to a file of the repository, got {target!r:.100}"
    if parts.fragment and place.suffix.lower() == ".md":
        headings = anchors(subject.text(path.as_posix()))
        if unquote(parts.fragment) not in headings:
            return f"an anchor must be a heading of {path}, got {target!r:.100}"
    return None


def _of_address(target: str) -> str | None:
    try:
        host = (urlsplit(target).hostname or "").rstrip(".").lower()
        _ = urlsplit(target).port
    except ValueError:
        return f"a link must be a well-formed address, got {target!r:.100}"
    if urlsplit(target).username is not None or urlsplit(target).password is not None:
        return "a link must not hold a user name or password"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if "." not in host or host == "localhost" or host.endswith(_PRIVATE):
            return f"a link must lead to a public host, got {host!r:.100}"
        return None
    return None if address.is_global else f"a link must lead to a public host, got {host}"


def anchors(text: str) -> set[str]:
    """Return the anchors of a page, made as hubs make them: lower case, spaces to hyphens, punctuation dropped."""
    found: dict[str, int] = {}
    result = set()
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        result.add(f"{slug}-{count}" if count else slug)
    return result
