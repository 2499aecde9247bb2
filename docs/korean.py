"""Korean pages say which English text they follow, so that nobody reads one that lags without knowing.

    python docs/korean.py                   exit 1 and name the pages that lag, and the parts that changed
    python docs/korean.py --follow PAGE...  say that these Korean pages follow the English ones as they are now

The first line of a Korean page holds a digest of each part of the English page, from heading to heading. What
docs/build.py fills in does not count: it is written in both languages at once.
"""

import argparse
import hashlib
import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
_FILLED = re.compile(r"(<!-- (?:measured|generated): \w+ -->\n).*?(<!-- /)", re.S)
_FENCED = re.compile(r"^```.*?^```", re.M | re.S)
_FOLLOWS = re.compile(r"\A<!-- follows the English page of (.*) -->\n")
_HEADING = re.compile(r"^#{1,3} .*$", re.M)


def parts(text: str) -> dict[str, str]:
    """Return {heading: digest of what stands below it} of an English page."""
    text = _FILLED.sub(r"\1\2", text)
    headings = list(_HEADING.finditer(_FENCED.sub(lambda block: " " * len(block[0]), text)))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    return {
        heading[0].lstrip("# "): hashlib.sha256(text[heading.start() : end].encode()).hexdigest()[:8]
        for heading, end in zip(headings, ends, strict=True)
    }


def lag(english: str, korean: str) -> list[str]:
    """Return what a Korean page does not follow: headings of parts that changed or are new, or that it says nothing."""
    said = _FOLLOWS.match(korean)
    if not said:
        return ["its first line does not say which English text it follows"]
    now, followed = parts(english), said[1].split()
    changed = [heading for heading, digest in now.items() if digest not in followed]
    gone = len(set(followed) - set(now.values())) - len(changed)
    return changed + (["a part that is gone"] if not changed and gone > 0 else [])


def following(english: str, korean: str) -> str:
    """Return the Korean page with its first line set to the English page."""
    return f"<!-- follows the English page of {' '.join(parts(english).values())} -->\n{_FOLLOWS.sub('', korean)}"


def lagging() -> dict[str, list[str]]:
    """Return {page: what it does not follow} of all Korean pages that people write."""
    found = {}
    for korean in sorted((DOCS / "ko").glob("*.md")):
        if korean.name not in WRITTEN_BY_CODE:
            english = (DOCS / "en" / korean.name).read_text("utf-8")
            if problems := lag(english, korean.read_text("utf-8")):
                found[korean.name] = problems
    return found


WRITTEN_BY_CODE = {"api.md"}


def main() -> None:
    """Check, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--follow", nargs="+", metavar="PAGE", help="names such as hub.md, after reading both")
    for name in parser.parse_args().follow or []:
        english, korean = (DOCS / language / name for language in ("en", "ko"))
        korean.write_text(following(english.read_text("utf-8"), korean.read_text("utf-8")), "utf-8")
    if problems := lagging():
        lines = (f"docs/ko/{page}: {'; '.join(what)}" for page, what in problems.items())
        sys.exit("Korean pages that lag behind the English ones:\n" + "\n".join(lines))
    print("every Korean page follows its English one")


if __name__ == "__main__":
    main()
