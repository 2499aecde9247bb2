"""Tab, pressed in the real shells: nouns, verbs, options, values and files; what stands there then is what runs."""

import contextlib
import os
import pty
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from modeling_axk1.cli.completion import Shell
from modeling_axk1.errors import UsageError
from modeling_axk1.train.checkpoint import check_dtype
from modeling_axk1.weights.convert import Conversion
from modeling_axk1.weights.order import Sharding
from tests.cli.test_commands import COMMANDS

# How each shell starts without anybody's settings, and how it learns.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ["source <(axk1 completion bash)"]),
    "zsh": (["zsh", "-f", "-i"], ["autoload -Uz compinit; compinit -u -D", "source <(axk1 completion zsh)"]),
    "fish": (["fish", "--no-config", "-i"], ["axk1 completion fish | source"]),
}

TYPED = {
    "axk1 wei": "weights",
    "axk1 weights rehe": "weights rehearse",
    "axk1 hub serve --acc": "hub serve --access",
    "axk1 hub serve --access tok": "hub serve --access tokens",
    "axk1 quickstart --preset nan": "quickstart --preset nano",
    "axk1 weights convert a b --to bf": "weights convert a b --to bf16",
    "axk1 weights verify my-chec": "weights verify my-checkpoint",
}

# Answers Tab, and otherwise only writes down what it was called with.
AXK1 = """#!/bin/sh
if [ -n "$_AXK1_COMPLETE" ] || [ "$1" = completion ]; then exec {python} -m modeling_axk1 "$@"; fi
echo "$*" >> {log}
"""


class Terminal:
    """A shell with a person before it, as far as the shell can see."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.log, bin = folder / "log", folder / "bin"
        bin.mkdir()
        (folder / "my-checkpoint").mkdir()
        (bin / "axk1").write_text(AXK1.format(python=sys.executable, log=self.log))
        (bin / "axk1").chmod(0o755)
        tree = str(Path(__file__).parents[2])
        environment = {"PATH": f"{bin}:/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": tree, "TERM": "dumb"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)

    def run(self, keys: str) -> str:
        """Press these keys and Enter; return what `axk1` was called with."""
        before = self.log.stat().st_size if self.log.exists() else 0
        os.write(self.fd, f"{keys}\n".encode())
        end = time.monotonic() + 60
        shown = b""
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                shown += os.read(self.fd, 1 << 16)  # or the shell would wait for somebody to look
            if self.log.exists() and self.log.stat().st_size > before:
                return self.log.read_text()[before:].strip()
        raise AssertionError(f"nothing ran; the terminal shows {shown.decode(errors='replace')}")

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_in(shell, tmp_path):
    command, lessons = SHELLS[shell]
    terminal = Terminal(command, tmp_path)
    try:
        for lesson in lessons:
            terminal.run(f"{lesson}; axk1 learnt")
        # zsh takes the slash behind a folder away again, the others leave it.
        ran = {typed: terminal.run(f"{typed}\t").rstrip("/") for typed in TYPED}
    finally:
        terminal.close()
    assert ran == TYPED


def test_every_shell_that_is_named_is_tried():
    assert [shell.value for shell in Shell] == list(SHELLS)


def test_completing_does_not_import_torch(run_axk1):
    """Half a second after Tab is felt; torch alone takes two."""
    asked = {"COMP_WORDS": "axk1\nquickstart\n--preset\n", "COMP_CWORD": "3", "_AXK1_COMPLETE": "complete_bash"}
    result = run_axk1(env={**asked, "PYTHONPROFILEIMPORTTIME": "1"})
    assert "nano" in result.stdout.split()
    assert "typer" in result.stderr
    for heavy in ("torch", "transformers", "numpy", "pyarrow"):
        assert f"| {heavy}\n" not in result.stderr


@pytest.mark.parametrize(
    ("words", "option", "accepts"),
    [
        (("weights", "convert"), "layout", lambda value: Conversion(layout=value)),
        (("weights", "convert"), "to", lambda value: Conversion(weights=value)),
        (("weights", "convert"), "model_type", lambda value: Conversion(model_type=value)),
        (("weights", "convert"), "router_bias", lambda value: Conversion(router_bias=value)),
        (("weights", "reshard"), "by", lambda value: Sharding(value, None if value in ("size", "layer") else 2)),
        (("weights", "reshard"), "order", lambda value: Sharding("size", None, None, value)),
        (("train", "pretrain"), "dtype", check_dtype),
    ],
)
def test_the_values_offered_are_all_that_are_taken(words, option, accepts):
    parameter = next(one for one in COMMANDS[words].params if one.name == option)
    offered = [item.value for item in parameter.shell_complete(None, "")]
    for value in offered:
        accepts(value)
    with pytest.raises(UsageError) as refused:
        accepts("no such value")
    listed = str(refused.value).partition(" must be one of ")[2].partition(", got ")[0]
    assert listed.split(", ") == offered
