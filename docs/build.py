"""Fill in what the documentation need not repeat by hand: tables between markers, and plots.

    python docs/build.py            write what the results and the code say
    python docs/build.py --check    exit 1 if a page or a plot says something else

What lies between `<!-- measured: NAME -->` and `<!-- /measured -->` comes from release/results; between
`<!-- generated: NAME -->` and `<!-- /generated -->`, from the code that reads and checks checkpoints. Plots are drawn
for both languages and for light and dark pages. Needs matplotlib, which the extra `test` brings.
"""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import api_page
import cli_page
import data_page
import hub_page
import index_page
import k1_page
import model_page
import pictures
import small_machine_page
import streaming_page
import tokenizer_page
import variants_page
import weights_page
from data_korean import KOREAN as DATA_KOREAN
from drawing import THEMES
from results import result
from weights_korean import KOREAN as WEIGHTS_KOREAN

DOCS = Path(__file__).resolve().parent
LANGUAGES = ("en", "ko")
MARKED = re.compile(r"(<!-- (measured|generated): (\w+) -->\n).*?(<!-- /\2 -->)", re.S)
# What the names of a page's tables begin with, and where the tables are made.
PAGES = (
    *(("", model_page), ("", weights_page), ("data_", data_page), ("tokenizer_", tokenizer_page), ("hub_", hub_page)),
    *(("index_", index_page), ("k1_", k1_page), ("memory_", variants_page)),
    ("stream_", streaming_page),
    ("small_", small_machine_page),
)

KOREAN = {
    "Measured by": "측정 명령",
    "on": "환경",
    "cores": "코어",
    "threads": "스레드",
    "commit": "커밋",
}
KOREAN |= model_page.KOREAN | WEIGHTS_KOREAN | DATA_KOREAN | tokenizer_page.KOREAN | hub_page.KOREAN
KOREAN |= index_page.KOREAN | k1_page.KOREAN | variants_page.KOREAN | pictures.KOREAN | streaming_page.KOREAN
KOREAN |= small_machine_page.KOREAN


def say(text: str, language: str) -> str:
    """A word of a table or plot in the page's language."""
    return text if language == "en" else KOREAN[text]


def grid(language: str, header: list[str], rows: list[list[str]], words: int = 0) -> str:
    """A table; its first `words` columns are words, the others numbers."""
    lines = [[say(name, language) for name in header], [":---"] * words + ["---:"] * (len(header) - words), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def table(language: str, source: str, header: list[str], rows: list[list[str]], words: int = 0) -> str:
    """A table and the line that says where its figures come from."""
    text = grid(language, header, rows, words)
    measured, machine = result(source), result(source)["machine"]
    versions = measured["versions"]
    origin = (
        f"{say('Measured by', language)}: `{measured['command']}` "
        f"([{source}.json](../../release/results/{source}.json)); {say('on', language)}: {machine['cpu']}, "
        f"{machine['cores']} {say('cores', language)}, torch {versions['torch']}, transformers "
        f"{versions['transformers']}, {say('commit', language)} {measured['commit'][:10]}."
    )
    return f"{text}\n{origin}\n"


def of_page(page: Any, name: str) -> Callable[[str], str]:
    """A table of a page, or text that is none; nothing where nobody has measured it yet."""

    def made(language: str) -> str:
        found = page.TABLES[name](lambda text: say(text, language))
        if found is None:
            return ""
        if isinstance(found, str):
            return found
        header, rows, words, source = found
        return table(language, source, header, rows, words) if source else grid(language, header, rows, words)

    return made


def data_corpus(language: str) -> str:
    """The released corpus, its table and its picture; nothing as long as nothing is released."""
    if data_page.corpus_stats() is None:
        return ""
    words = {"en": "Bytes of text by language and licence", "ko": "언어와 라이선스별 텍스트의 바이트"}[language]
    picture = (
        "<picture>\n"
        '  <source media="(prefers-color-scheme: dark)" srcset="figures/composition-dark.svg">\n'
        f'  <img alt="{words}" src="figures/composition-light.svg">\n'
        "</picture>\n"
    )
    return f"{of_page(data_page, 'corpus')(language)}\n{picture}"


TABLES = {f"{before}{name}": of_page(page, name) for before, page in PAGES for name in page.TABLES}
TABLES["data_corpus"] = data_corpus


def built() -> dict[Path, str]:
    """Every generated file and page, and what it must say."""
    files = {}
    for language in LANGUAGES:
        for page in sorted((DOCS / language).glob("*.md")):
            text = page.read_text("utf-8")
            files[page] = MARKED.sub(lambda found: found[1] + TABLES[found[3]](language) + found[4], text)  # noqa: B023
        files |= {DOCS / language / "cli" / name: text for name, text in cli_page.pages(language).items()}
        files[DOCS / language / "api.md"] = api_page.page(language)
        for theme in THEMES:
            for name, picture in pictures.PICTURES.items():
                drawn = picture(lambda text: say(text, language), theme)  # noqa: B023
                files[DOCS / language / "figures" / f"{name}-{theme}.svg"] = drawn
    return files


def main() -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is not up to date")
    only_check = parser.parse_args().check
    stale = []
    for path, text in built().items():
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(str(path.relative_to(DOCS.parent)))
            if not only_check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if only_check and stale:
        sys.exit(f"not what results and code say: {', '.join(stale)}; run `python docs/build.py`")
    print("\n".join(stale) or "everything was up to date")


if __name__ == "__main__":
    main()
