"""Read documents from files, naming the exact place of whatever is wrong."""

import json
from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from modeling_axk1.data.document import Document
from modeling_axk1.errors import DataError, did_you_mean

FIELDS = ("text", "language", "source", "source_version", "source_file", "license")
# A document is in memory whole, several times over: what is longer is data, not text.
MAX_DOCUMENT_BYTES = 64_000_000
# JSON may write a byte as six ("\\u0001"); text that is text does not.
_MAX_LINE_BYTES = 2 * MAX_DOCUMENT_BYTES


def read_jsonl(path: Path) -> Iterator[Document]:
    """Yield the documents of a JSON Lines file: one object per line with exactly the keys of FIELDS, all strings.

    Raises DataError naming file and byte offset (not UTF-8) or file and line (not JSON, wrong fields, too long).
    """
    for _, fields in _rows(path, FIELDS):
        yield Document(**fields)


def read_text_folder(folder: Path, language: str, license: str) -> Iterator[Document]:
    """Yield the texts below `folder`, in the order of their paths; the folder's name is the source.

    A .txt file is one document; a line of a .jsonl file, an object with the key "text" and no other, is one too.
    Raises DataError when there is none, or as `read_jsonl` does.
    """
    files = text_files(folder)
    if not files:
        raise DataError(f"no .txt or .jsonl files in {folder}")
    for path in files:
        name = path.relative_to(folder).as_posix()
        for place, text in _texts(path):
            yield Document(
                text=text,
                language=language,
                source=folder.resolve().name,
                source_version="",
                source_file=name + place,
                license=license,
            )


def text_files(folder: Path) -> list[Path]:
    """Return the files below `folder` that `read_text_folder` reads."""
    return sorted(path for path in folder.rglob("*") if path.suffix in {".txt", ".jsonl"} and path.is_file())


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the texts of a file, each with its place in it."""
    if path.suffix == ".jsonl":
        for number, fields in _rows(path, ("text",)):
            yield f":{number}", fields["text"]
        return
    if (size := path.stat().st_size) > MAX_DOCUMENT_BYTES:
        raise DataError(f"{path}: a text must not be longer than {MAX_DOCUMENT_BYTES:,} bytes, got {size:,}")
    yield "", _decode(path.read_bytes(), path, 0)


def _rows(path: Path, keys: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a JSON Lines file, each with the number of its line."""
    if not path.is_file():
        raise DataError(f"no documents at {path}")
    offset = 0
    with path.open("rb") as file:
        for number in count(1):
            line = file.readline(_MAX_LINE_BYTES + 1)
            if not line:
                return
            if len(line) > _MAX_LINE_BYTES:
                raise DataError(f"{path}, line {number}: longer than {_MAX_LINE_BYTES:,} bytes")
            text = _decode(line, path, offset)
            offset += len(line)
            if text.strip():
                yield number, _fields(text, keys, f"{path}, line {number}")


def _decode(data: bytes, path: Path, offset: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {offset + error.start}") from None


def _fields(line: str, keys: Collection[str], where: str) -> dict[str, Any]:
    try:
        fields: Any = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise DataError(f"{where}: must be a JSON object, got {type(fields).__name__}")
    for key in keys:
        if key not in fields:
            raise DataError(f"{where}: missing field {key!r}")
        if not isinstance(fields[key], str):
            raise DataError(f"{where}: field {key!r} must be a string, got {fields[key]!r}")
        # JSON can spell half of a surrogate pair, which no UTF-8 file can hold.
        if any("\ud800" <= character <= "\udfff" for character in fields[key]):
            raise DataError(f"{where}: field {key!r} holds half a surrogate pair")
    unknown = sorted(fields.keys() - set(keys))
    if unknown:
        raise DataError(f"{where}: unknown field {unknown[0]!r}{did_you_mean(unknown[0], keys)}")
    return dict(fields)
