"""Every block of the documentation is run by a test, or is of a kind that says that it is not."""

import re
from pathlib import Path

import pytest

from tests.docs.conftest import DOCS

BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
TESTS = DOCS.parent / "tests"
# Which test runs the blocks of a page; a block of these kinds on another page is one that nobody runs.
RUN = ("sh", "sh serve", "sh packages", "python", "python torchrun")
RUN_BY = {
    "air-gapped.md": "hub/release/test_receiving_pages.py",
    "check-what-you-downloaded.md": "hub/release/test_receiving_pages.py",
    "data.md": "data/test_page.py",
    "hub-server.md": "test_docs.py",
    "hub.md": "test_docs.py",
    "index.md": "test_docs.py",
    "model.md": "test_docs.py",
    "quickstart.md": "test_docs.py",
    "run-it-on-a-small-machine.md": "stream/test_page.py",
    "tokenizer.md": "tokenizer/test_page.py",
    "training.md": "train/test_page.py",
    "weights.md": "test_docs.py",
}
# What a program prints or a file says; `bash` and `console` are commands that wait for a person: they want root, hours,
# a network, or are the examples of the reference, whose commands the other pages run.
NOT_RUN = ("bash", "console", "json", "text", "toml")
PAGES = sorted((DOCS / "en").rglob("*.md"))


def kinds(page: Path) -> set[str]:
    return {mark for mark, _ in BLOCK.findall(page.read_text("utf-8"))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_known_kind(page):
    assert kinds(page) <= {*RUN, *NOT_RUN}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_can_run_is_run(page):
    if kinds(page) & set(RUN):
        assert page.name in (TESTS / RUN_BY[page.name]).read_text("utf-8")


def test_the_list_names_no_page_in_vain():
    assert {page.name for page in PAGES if kinds(page) & set(RUN)} == RUN_BY.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_that_are_not_run_hold_no_command_that_is_gone(page):
    """Of `axk1`: that the command is there, with the options that are given."""
    import cli_page
    import typer

    from modeling_axk1.cli import app
    from modeling_axk1.cli.serve import FORWARD

    commands = dict(cli_page.each_command(typer.main.get_command(app), "axk1"))
    for mark, text in BLOCK.findall(page.read_text("utf-8")):
        if mark in ("bash", "console"):
            for line in re.sub(r"\\\n", " ", text).splitlines():
                if found := re.search(r"\baxk1 (?:[a-z]+ ?)+", line):
                    words = found[0].split()
                    while words and " ".join(words) not in commands:
                        words.pop()
                    assert words, line
                    options = {
                        name for one in commands[" ".join(words)].params for name in (*one.opts, *one.secondary_opts)
                    }
                    given = set(re.findall(r" (--[a-z][a-z-]*)", line[found.start() :].partition("  #")[0]))
                    handed_on = FORWARD.items() <= commands[" ".join(words)].context_settings.items()
                    assert handed_on or given <= options | {"--help"}, line
