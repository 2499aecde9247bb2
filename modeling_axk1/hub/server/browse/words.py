"""Every text of the pages: words/FEATURE.toml holds `key = {en = "...", ko = "..."}`, said as "FEATURE.key"."""

import tomllib
from importlib.resources import files
from typing import Literal, get_args

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


def read_words() -> dict[str, dict[str, str]]:
    """Return {"FEATURE.key": {language: text}} of all files."""
    words = {}
    for file in (files(__package__) / "words").iterdir():
        if file.name.endswith(".toml"):
            feature = file.name.removesuffix(".toml")
            for key, texts in tomllib.loads(file.read_text("utf-8")).items():
                words[f"{feature}.{key}"] = texts
    return words
