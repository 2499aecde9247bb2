"""Secrets and personal traces: keys, tokens, passwords, paths of somebody's machine, e-mail addresses.

The room of data looks for them in texts to be trained on, leaving out what looks like an example. A release is held to
more: whatever has the form is a finding, and so are paths. Hence these patterns of its own; hub does not import data.
"""

import re
from collections.abc import Iterator

from modeling_axk1.hub.checking.subject import Subject

_SECRETS = {
    "a private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    "an access token": (
        r"\b(?:hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,}|glpat-[\w-]{20,}"
        r"|(?:AKIA|ASIA)[A-Z2-7]{16}|AIza[\w-]{35}|xox[abeoprs]-[0-9A-Za-z-]{20,}|npm_[A-Za-z0-9]{36}"
        r"|pypi-AgEIcHlwaS5vcmc[\w-]{50,}|sk-(?:proj-|ant-)[\w-]{32,}|[sr]k_live_[A-Za-z0-9]{16,}|axk1_[A-Za-z0-9_-]{30,})"
    ),
    "a signed token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "a password in an address": r"\bhttps?://[^\s/:@<>\"']+:[^\s/:@<>\"']+@[\w.-]+",
}
_PERSONAL = {
    "a path of somebody's machine": (
        r"(?<![\w./~-])(?:/home/[a-z_][\w.-]*/|/Users/[A-Za-z][\w.-]*/|/root/|/tmp/[\w.-]+/|/mnt/[\w.-]+/|/work/[\w.-]+/"
        r"|[A-Z]:\\Users\\[\w.-]+\\)[\w.-]+"
    ),
    "an e-mail address": r"\b[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b",
}
_EMAIL = "an e-mail address"
# Licence texts name their authors, and must stay as they are; a vocabulary holds pieces of any text.
_OTHERS_WORDS = re.compile(r"LICENSE|LICENSES/.*|NOTICE|tokenizer\.json|.*\.parquet")
_COMPILED = {kind: re.compile(pattern) for kind, pattern in (_SECRETS | _PERSONAL).items()}

# Larger files are weights and data; of weights the header is looked at.
_MOST_BYTES = 64_000_000


def check_secrets(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield (file, what was found); of a secret only its kind and line, never itself."""
    for name in subject.files:
        kinds = _SECRETS if _OTHERS_WORDS.fullmatch(name) else _COMPILED
        text = _text(subject, name)
        for kind in kinds:
            if match := _COMPILED[kind].search(text):
                line = text.count("\n", 0, match.start()) + 1
                what = f", {match.group()!r:.60}" if kind in _PERSONAL and kind != _EMAIL else ""
                yield name, f"line {line:,} holds {kind}{what}"


def _text(subject: Subject, name: str) -> str:
    path = subject.folder / name
    if name.endswith(".safetensors"):
        with path.open("rb") as file:
            length = min(int.from_bytes(file.read(8), "little"), _MOST_BYTES)
            return file.read(length).decode("utf-8", errors="replace")
    if path.stat().st_size > _MOST_BYTES or name.endswith(".parquet"):
        return ""
    return subject.text(name)
