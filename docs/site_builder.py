"""Build the documentation site, English and Korean, to be read from a folder without a server or a network.

    python docs/site_builder.py                        with mkdocs-material, into site/
    python docs/site_builder.py --builder zensical     the same pages and settings with Zensical

The pages are written to be read on any forge. Here they are put together as a site: pictures follow the reader's choice
of light or dark, links to files of the repository lead to copies beside the pages, each page links the other
language's. docs/site.toml says which pages there are and in which order. Needs the extra `docs`.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import yaml

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
STAGE = ROOT / "build" / "docs"
LANGUAGES = {"en": "English", "ko": "한국어"}
NAME = {"en": "A.X K1, the open release", "ko": "A.X K1 공개판"}
SEARCHED = {"en": ["en"], "ko": ["ko", "en"]}
OTHER = {"en": ("ko", "이 페이지를 한국어로"), "ko": ("en", "This page in English")}
# The one page that is not in docs/, and is in English for everybody.
CHANGELOG = "changelog.md"
ONLY_ENGLISH = {"en": "", "ko": "# 변경 기록\n\n변경 기록은 영어로만 씁니다.\n\n"}
BUILDERS = {"mkdocs": ["mkdocs", "build", "--strict", "--quiet"], "zensical": ["zensical", "build", "--strict"]}

_PICTURE = re.compile(r'<picture>\s*<source [^>]*srcset="([^"]+)">\s*<img alt="([^"]*)" src="([^"]+)">\s*</picture>')
# Marks of generated parts and of the Korean pages; Python-Markdown takes what stands beside them for HTML.
_COMMENT = re.compile(r"^<!--.*?-->\n", re.M | re.S)
# What tests read behind a block's language: no highlighter knows these words.
_FENCE = re.compile(r"^(```\w+) .*$", re.M)
_OUTSIDE = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")
# What a browser would save instead of showing.
_SHOWN = {".json", ".svg", ".png", ".txt", ".html"}
_FRAME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A.X K1, the open release</title>
<link rel="stylesheet" href="en/site.css">
<main class="choose"><h1>A.X K1</h1>
<p><a href="en/index.html" lang="en" hreflang="en">English</a> ·
<a href="ko/index.html" lang="ko" hreflang="ko">한국어</a></p>
</main>
"""


class SiteError(Exception):
    """The pages and docs/site.toml do not fit together."""


def sections() -> list[dict[str, object]]:
    """Return the navigation: sections with a title in each language and their pages."""
    found: list[dict[str, object]] = tomllib.loads((DOCS / "site.toml").read_text("utf-8"))["section"]
    return found


def check_pages(language: str) -> None:
    """Raise SiteError naming the pages that the navigation lacks or has too much."""
    pages = [page for section in sections() for page in section["pages"]]  # type: ignore[attr-defined]
    listed = [page for page in pages if page != CHANGELOG]
    there = {path.relative_to(DOCS / language).as_posix() for path in (DOCS / language).rglob("*.md")}
    twice = {page for page in listed if listed.count(page) > 1}
    wrong = sorted(there ^ set(listed) | twice)
    if wrong:
        raise SiteError(f"docs/site.toml and docs/{language} must hold the same pages, each once: {', '.join(wrong)}")


def staged(text: str, page: str, language: str) -> tuple[str, set[Path]]:
    """Return a page as the site shows it, and the files of the repository that it links.

    `page` is its path below docs/LANGUAGE. Raises SiteError for a link to what is not there.
    """
    depth = page.count("/")
    files: set[Path] = set()

    def pictured(found: re.Match[str]) -> str:
        dark, words, light = found.groups()
        return f"![{words}]({light}#only-light)\n![{words}]({dark}#only-dark)"

    def copied(found: re.Match[str]) -> str:
        target = (DOCS / language / page).parent.joinpath(found[1]).resolve()
        if DOCS / language in target.parents:
            return found[0]
        if not target.is_file():
            raise SiteError(f"docs/{language}/{page} links {found[1]}, which is not a file of the repository")
        files.add(target)
        return f"]({'../' * depth}files/{shown_as(target)})"

    text = _FENCE.sub(r"\1", _COMMENT.sub("\n", text).lstrip())
    text = _OUTSIDE.sub(copied, _PICTURE.sub(pictured, text))
    other, words = OTHER[language]
    link = (
        f'<a class="language" href="{"../" * (depth + 1)}{other}/{Path(page).with_suffix(".html")}" hreflang="{other}"'
    )
    head, _, rest = text.partition("\n")
    if not head.startswith("# "):
        raise SiteError(f"docs/{language}/{page} must begin with its title, got {head[:60]!r}")
    return f'{head}\n\n{link} lang="{other}">{words}</a>\n{rest}', files


def shown_as(file: Path) -> str:
    """Return where a file of the repository lies below files/: as text where a browser would not show it."""
    path = file.relative_to(ROOT).as_posix()
    return path if file.suffix in _SHOWN else f"{path}.txt"


def stage(language: str) -> Path:
    """Write the pages of a language and their configuration; return the configuration's path."""
    folder = STAGE / language
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files: set[Path] = set()
    for source in sorted((DOCS / language).rglob("*")):
        target = folder / source.relative_to(DOCS / language)
        if source.is_dir():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".md":
            shutil.copyfile(source, target)
            continue
        text, linked = staged(source.read_text("utf-8"), target.relative_to(folder).as_posix(), language)
        target.write_text(text, "utf-8")
        files |= linked
    changes = f"{ONLY_ENGLISH[language]}{(ROOT / 'CHANGELOG.md').read_text('utf-8')}"
    (folder / CHANGELOG).write_text(changes, "utf-8")
    for file in files:
        target = folder / "files" / shown_as(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    shutil.copyfile(DOCS / "site.css", folder / "site.css")
    return configured(language)


def configured(language: str) -> Path:
    """Write what docs/mkdocs.yml leaves open for a language."""
    config = STAGE / f"{language}.yml"
    settings = {
        "INHERIT": os.path.relpath(DOCS / "mkdocs.yml", STAGE),
        "site_name": NAME[language],
        "docs_dir": language,
        "site_dir": f"site/{language}",
        "theme": {"language": language},
        "plugins": {"search": {"lang": SEARCHED[language]}},
        "nav": [{section[language]: section["pages"]} for section in sections()],
    }
    config.write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False), "utf-8")
    return config


def build(builder: str, out: Path) -> None:
    """Build both languages and put them at `out`, whole or not at all; raises SiteError with the builder's words."""
    built = STAGE / "site"
    shutil.rmtree(built, ignore_errors=True)
    for language in LANGUAGES:
        check_pages(language)
    for language in LANGUAGES:
        config = stage(language)
        command = [sys.executable, "-m", *BUILDERS[builder], "-f", config]
        told = {**os.environ, "NO_MKDOCS_2_WARNING": "true", "DISABLE_MKDOCS_2_WARNING": "true"}
        result = subprocess.run(command, capture_output=True, text=True, env=told)
        if result.returncode != 0:
            raise SiteError(f"{builder} cannot build {language}:\n{(result.stderr + result.stdout).strip()}")
        _bring_home(built / language)
    (built / "index.html").write_text(_FRAME, "utf-8")
    (built / "built_by.txt").write_text(f"{builder} {metadata.version(_DISTRIBUTION[builder])}\n", "utf-8")
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(built, out)


def _bring_home(folder: Path) -> None:
    """Let every page fetch what it needs from beside itself: the one script that the theme takes from elsewhere."""
    shutil.copyfile(DOCS / "worker.js", folder / "worker.js")
    for page in folder.rglob("*.html"):
        depth = len(page.relative_to(folder).parts) - 1
        text = page.read_text("utf-8").replace(_ELSEWHERE, f"{'../' * depth}worker.js")
        if "unpkg.com" in text:
            raise SiteError(f"{page.name} fetches something from unpkg.com that this program does not know of")
        page.write_text(text, "utf-8")


_ELSEWHERE = "https://unpkg.com/iframe-worker/shim"
_DISTRIBUTION = {"mkdocs": "mkdocs-material", "zensical": "zensical"}


def main() -> None:
    """Build, and say where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builder", choices=BUILDERS, default="mkdocs")
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="where the site is put (default: site/)")
    arguments = parser.parse_args()
    try:
        build(arguments.builder, arguments.out)
    except SiteError as error:
        sys.exit(f"docs: {error}")
    print(arguments.out / "index.html")


if __name__ == "__main__":
    main()
