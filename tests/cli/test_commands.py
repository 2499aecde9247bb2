"""The command line by itself: every command teaches, wrong use is one line and exit 2, nothing heavy at start."""

import pytest
import typer

from modeling_axk1.cli import app

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
    ("arguments", "message"),
    [
        (["dta"], "axk1: error: No such command 'dta'. Did you mean 'data'?; see `axk1 --help`"),
        (["data", "build"], "axk1: error: Missing option '--out'; see `axk1 data build --help`"),
        (["hub", "serve", "--prot", "1"], "No such option: --prot"),
        (["train", "pretrain", "--steps", "many"], "Invalid value for '--steps'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(run_axk1, arguments, message):
    result = run_axk1(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_no_arguments_show_what_one_can_do(run_axk1):
    result = run_axk1()
    said = result.stdout + result.stderr
    assert all(word in said for word in ("quickstart", "data", "tokenizer", "train", "weights", "hub"))
    assert "error" not in said


def test_version(run_axk1):
    import modeling_axk1

    assert run_axk1("--version").stdout.strip() == modeling_axk1.__version__


def test_a_missing_file_and_a_refused_permission_are_one_line(run_axk1, tmp_path):
    (tmp_path / "file").write_text("")
    result = run_axk1("data", "build", "--out", tmp_path / "file" / "out")
    assert result.returncode == 1
    assert result.stderr.startswith("axk1: error: ")
    assert len(result.stderr.strip().splitlines()) == 1
