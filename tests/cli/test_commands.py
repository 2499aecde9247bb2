"""The command line by itself: every command teaches, wrong use is one line and exit 2, nothing heavy at start."""

import contextlib
import os
import pty
import sys

import pytest
import typer

from modeling_axk1.cli import app
from modeling_axk1.cli.group import Group

STEPS_OF_THE_QUICKSTART = [
    ("data", "build"),
    ("tokenizer", "train"),
    ("train", "pretrain"),
    ("weights", "verify"),
    ("hub", "export"),
    ("hub", "publish"),
    ("hub", "verify"),
    ("hub", "serve"),
]


def commands(group=None, path=()):
    """Every command of the application, as (words, command)."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())


def test_each_step_of_the_quickstart_is_a_command_of_its_own():
    assert set(STEPS_OF_THE_QUICKSTART) <= COMMANDS.keys()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_that_teaches(words):
    command = COMMANDS[words]
    assert len(command.help.split()) > 10
    assert "axk1 " + " ".join(words) in command.help, "an example shows how it is called"
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help, f"{parameter.name} has no help"


@pytest.mark.parametrize("words", [(), *COMMANDS, ("data",), ("hub",)], ids=" ".join)
def test_help_prints_and_succeeds(run_axk1, words):
    result = run_axk1(*words, "--help")
    assert result.returncode == 0
    assert "Usage: axk1" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        # A noun, a verb, a verb below a verb; letters exchanged, left out, too many.
        ("wieghts", "unknown command 'wieghts'; did you mean 'weights'? see `axk1 --help`"),
        ("hub pubish", "unknown command 'pubish'; did you mean 'publish'? see `axk1 hub --help`"),
        ("hub token lisst", "unknown command 'lisst'; did you mean 'list'? see `axk1 hub token --help`"),
        # A verb without its noun, or below another one.
        ("publish out", "unknown command 'publish'; did you mean 'axk1 hub publish'? see `axk1 --help`"),
        (
            "verfy",
            "unknown command 'verfy'; did you mean 'axk1 weights verify' or 'axk1 hub verify'? see `axk1 --help`",
        ),
        ("hub inspect", "unknown command 'inspect'; did you mean 'axk1 weights inspect'? see `axk1 hub --help`"),
        ("zzz", "unknown command 'zzz'; see `axk1 --help`"),
        # Options, ours and those handed on to another program.
        ("--verison", "unknown option '--verison'; did you mean '--version'? see `axk1 --help`"),
        ("hub serve --prot 1", "unknown option '--prot'; did you mean '--port'? see `axk1 hub serve --help`"),
        ("serve me/model --prot 1", "unknown option '--prot'; did you mean '--port'? see `axk1 serve --help`"),
        ("weights verify x --qqq", "unknown option '--qqq'; see `axk1 weights verify --help`"),
        # Values of a choice, whether the framework, a command or a room knows them.
        (
            "hub serve --root x --access opne",
            "--access must be one of open, tokens, public, got 'opne'; did you mean 'open'? "
            "see `axk1 hub serve --help`",
        ),
        (
            "weights reshard . out --by layr",
            "by must be one of size, layer, stage, expert-rank, tensor-rank, got 'layr'; did you mean 'layer'? "
            "see `axk1 weights reshard --help`",
        ),
        (
            "quickstart --preset quikstart",
            "preset must be one of 519b, quickstart, nano, tiny, got quikstart; did you mean 'quickstart'? "
            "see `axk1 quickstart --help`",
        ),
        # What is missing, too much or of another kind.
        ("data build", "missing option '--out'; see `axk1 data build --help`"),
        ("data build --out", "option '--out' requires an argument; see `axk1 data build --help`"),
        ("weights check a b", "got unexpected extra argument(s) (b); see `axk1 weights check --help`"),
        (
            "train pretrain --steps many",
            "invalid value for '--steps': Input should be a valid integer, got 'many'; "
            "see `axk1 train pretrain --help`",
        ),
        ("hub serve --root x --workers 99", "workers must be in [1, 64], got 99; see `axk1 hub serve --help`"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do(run_axk1_here, tmp_path, typed, line):
    result = run_axk1_here(*typed.split(), cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"axk1: error: {line}\n")
    assert list(tmp_path.iterdir()) == []


def test_every_group_answers_an_unknown_command():
    groups = [typer.main.get_command(app)]
    for group in groups:
        assert isinstance(group, Group), f"{group.name} is made without cls=Group"
        groups += [command for command in group.commands.values() if hasattr(command, "commands")]
    assert len(groups) > 5


def test_without_arguments_it_says_who_can_do_what_on_one_screen(run_axk1):
    result = run_axk1()
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert result.stdout.isascii(), "neither colours nor boxes where no terminal is"
    commands = [line.split() for line in lines if line.startswith("    axk1 ")]
    assert len(commands) == 5
    for _, *words in commands:
        name = next(tuple(words[:n]) for n in (2, 1) if tuple(words[:n]) in COMMANDS)
        COMMANDS[name].make_context("axk1", words[len(name) :])


def test_the_first_page_and_the_reference_come_without_torch(run_axk1):
    for words in ([], ["--help"], ["hub", "serve", "--help"]):
        result = run_axk1(*words, env={"PYTHONPROFILEIMPORTTIME": "1"})
        assert "modeling_axk1.cli" in result.stderr
        for heavy in ("torch", "transformers", "numpy", "pyarrow", "starlette"):
            assert f"| {heavy}\n" not in result.stderr


def test_a_terminal_gets_headings_in_bold(tmp_path):
    if (child := pty.fork())[0] == 0:
        os.execvpe(sys.executable, [sys.executable, "-m", "modeling_axk1"], {**os.environ, "TERM": "xterm"})
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while said := os.read(child[1], 1 << 16):
            shown += said
    assert os.waitpid(child[0], 0)[1] == 0
    assert b"\x1b[1mOn a laptop\x1b[0m" in shown


def test_version(run_axk1):
    import modeling_axk1

    assert run_axk1("--version").stdout.strip() == modeling_axk1.__version__


def test_a_missing_file_and_a_refused_permission_are_one_line(run_axk1, tmp_path):
    (tmp_path / "file").write_text("")
    result = run_axk1("data", "build", "--out", tmp_path / "file" / "out")
    assert result.returncode == 1
    assert result.stderr.startswith("axk1: error: ")
    assert len(result.stderr.strip().splitlines()) == 1
