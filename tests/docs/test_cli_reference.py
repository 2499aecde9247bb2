"""Every command has help that teaches, and its place in the reference."""

import cli_page
import pytest
import typer

from modeling_axk1.cli import app

COMMANDS = dict(cli_page.each_command(typer.main.get_command(app), "axk1"))


@pytest.mark.parametrize("path", COMMANDS)
def test_it_says_what_it_is_for_and_gives_an_example(path):
    explained, examples = cli_page.told(COMMANDS[path])
    assert explained.partition("\n\n")[0].endswith(".")
    assert examples
    assert all(example.startswith((path, "HF_", "eval ")) or "axk1 " in example for example in examples)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_says_what_it_means(path):
    silent = [param.name for param in COMMANDS[path].params if not param.hidden and not param.help]
    assert silent == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_reference_has_every_command_and_option(language):
    text = "".join(cli_page.pages(language).values())
    for path, command in COMMANDS.items():
        assert f"\n## {path}\n" in text
        for param in command.params:
            if not param.hidden and param.opts[0].startswith("--"):
                assert f"{param.opts[0]}" in text
