"""The reference of the command line: a page a noun, written from the commands themselves.

What a command says of itself stays in its own words, as `--help` prints them; the Korean pages give its purpose and
the words around it in Korean.
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer
from cli_korean import KOREAN

from modeling_axk1.cli import app

_EXAMPLES = re.compile(r"^Examples?:\s*", re.M)


def pages(language: str) -> dict[str, str]:
    """Return every page of the reference by its file name; index.md holds the commands without a noun and the list."""
    root: Any = typer.main.get_command(app)
    nouns = {name: group for name, group in root.commands.items() if hasattr(group, "commands")}
    alone = {name: command for name, command in root.commands.items() if name not in nouns}
    found = {f"{noun}.md": _page(f"axk1 {noun}", group, language) for noun, group in nouns.items()}
    return {"index.md": _index(alone, nouns, language), **found}


def each_command(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield (path, command) of every command below one, itself included when it is no group."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, one in below.items():
        yield from each_command(one, f"{path} {name}")


def _index(alone: dict[str, Any], nouns: dict[str, Any], language: str) -> str:
    rows = [
        (f"[`axk1 {name}`](#{_anchor(f'axk1 {name}')})", command, f"axk1 {name}") for name, command in alone.items()
    ]
    for noun, group in nouns.items():
        for path, command in each_command(group, f"axk1 {noun}"):
            rows.append((f"[`{path}`]({noun}.md#{_anchor(path)})", command, path))
    listed = "".join(f"| {link} | {_cell(_purpose(command, path, language))} |\n" for link, command, path in rows)
    head = f"# {_say('Commands', language)}\n\n{_say('INTRODUCTION', language)}\n\n"
    table = f"| {_say('Command', language)} | {_say('What it does', language)} |\n|:---|:---|\n{listed}\n"
    return head + table + "\n".join(_section(command, f"axk1 {name}", language) for name, command in alone.items())


def _page(path: str, group: Any, language: str) -> str:
    sections = [_section(command, where, language) for where, command in each_command(group, path)]
    return f"# {path}\n\n{_purpose(group, path, language)}\n\n" + "\n".join(sections)


def _section(command: Any, path: str, language: str) -> str:
    """A command: purpose, usage, explanation, arguments and options, examples."""
    text, examples = told(command)
    _, _, explained = text.partition("\n\n")
    context = command.context_class(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## {path}", _purpose(command, path, language), f"```console\n{usage}\n```"]
    if explained.strip():
        parts.append(_in_english(_flowing(explained), language))
    parts.append(_options(command, context, language))
    if examples:
        newline = "\n"
        parts.append(f"{_say('Examples', language)}:\n\n```console\n{newline.join(examples)}\n```")
    return "\n\n".join(part for part in parts if part) + "\n"


def told(command: Any) -> tuple[str, list[str]]:
    """Split a command's help into what it explains and its examples."""
    text = (command.help or "").strip()
    found = _EXAMPLES.search(text)
    explained, rest = (text[: found.start()], text[found.start() :]) if found else (text, "")
    lines = (line.strip() for line in _EXAMPLES.sub("", rest).splitlines())
    return explained.strip(), [line for line in lines if line]


def _purpose(command: Any, path: str, language: str) -> str:
    """The first line of a command's help; in Korean from the list, which must have it."""
    return (told(command)[0].partition("\n\n")[0].replace("\n", " ")) if language == "en" else KOREAN[path]


def _options(command: Any, context: Any, language: str) -> str:
    rows = []
    for param in command.params:
        if param.hidden:
            continue
        record = param.get_help_record(context)
        name, words = (record[0], param.help or "") if record else (param.name, param.help or "")
        rows.append(f"| `{' '.join(name.split())}` | {_cell(_choices(param, words))} | {_default(param, language)} |\n")
    if not rows:
        return ""
    names = [_say(word, language) for word in ("Argument or option", "Meaning", "Default")]
    return f"| {' | '.join(names)} |\n|:---|:---|:---|\n{''.join(rows)}".rstrip()


def _choices(param: Any, words: str) -> str:
    kind = param.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"{words} {' | '.join(f'`{item.value}`' for item in kind)}"
    return words


def _default(param: Any, language: str) -> str:
    if param.required:
        return _say("required", language)
    value = param.default
    if value is None or value is False or value == () or callable(value):
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _flowing(text: str) -> str:
    """Paragraphs of a help text without its line breaks; lists that are set in by hand stay as they are."""
    paragraphs = []
    for block in re.split(r"\n\s*\n", text.replace("\b\n", "")):
        indented = any(line.startswith("  ") for line in block.splitlines())
        plain = "\n".join(line.rstrip() for line in block.strip("\n").splitlines())
        paragraphs.append(f"```text\n{plain}\n```" if indented else " ".join(plain.split()))
    return "\n\n".join(filter(None, paragraphs))


def _in_english(text: str, language: str) -> str:
    return text if language == "en" else f'<div lang="en" markdown="1">\n\n{text}\n\n</div>'


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def _say(word: str, language: str) -> str:
    return ENGLISH.get(word, word) if language == "en" else KOREAN[word]


ENGLISH = {
    "INTRODUCTION": (
        "Noun, then verb. Every command has `--help`; what prints a report has `--json`, and what writes or\n"
        "publishes has `--dry-run` where that makes sense. A failed check exits 1, wrong use 2, interrupted 130,\n"
        "each with one line on stderr. This page is written from the commands themselves."
    ),
}
