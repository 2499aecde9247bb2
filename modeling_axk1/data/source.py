"""A source of a recipe: which package, and which of its files in which language."""

from dataclasses import dataclass
from typing import Any

from modeling_axk1.data.keys import check_keys


@dataclass(frozen=True)
class Selection:
    """Which files of a package are taken for one language, and how many bytes of text at most."""

    files: str
    max_bytes: int


@dataclass(frozen=True)
class Source:
    """One package: where its documents lie beside the recipe, and how they were extracted from it."""

    name: str
    version: str
    license: str
    attribution: str
    client: str
    package: str
    sha256: str
    format: str
    copyright: str
    languages: dict[str, Selection]
    min_bytes: int
    max_bytes: int
    reject_files: str = "(?!)"
    reject_text: str = "(?!)"

    @property
    def documents(self) -> str:
        """Name of the JSON Lines file beside the recipe that holds this source's documents."""
        return f"{self.name}.jsonl"


def read_source(entry: Any, where: str) -> Source:
    """Read a [[sources]] entry; raises DataError for an unknown or missing key, or a value of the wrong type."""
    keys = check_keys(entry, _SOURCE, where)
    languages = {
        language: Selection(**check_keys(selection, _SELECTION, f"{where}, language {language}"))
        for language, selection in keys.pop("languages").items()
    }
    return Source(languages=languages, **keys)


# Keys, their types, and whether they must be there.
_SOURCE: dict[str, tuple[type, bool]] = {
    "name": (str, True),
    "version": (str, True),
    "license": (str, True),
    "attribution": (str, True),
    "client": (str, True),
    "package": (str, True),
    "sha256": (str, True),
    "format": (str, True),
    "copyright": (str, True),
    "languages": (dict, True),
    "min_bytes": (int, True),
    "max_bytes": (int, True),
    "reject_files": (str, False),
    "reject_text": (str, False),
}
_SELECTION: dict[str, tuple[type, bool]] = {"files": (str, True), "max_bytes": (int, True)}
