"""Rows and columns of a Parquet file, read from the beginning of its footer by nothing but this file.

The footer is a Thrift struct in compact form (parquet.thrift, FileMetaData), whose first fields are all that is needed
here: version, schema, number of rows. Plain Python, as the bytes are a stranger's: the worst they can do is be refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from modeling_axk1.errors import DataError

# Schema and row count come first; what follows describes each row group.
_MOST_BYTES = 1024 * 1024
_MOST_ELEMENTS = 10_000
_DEEPEST = 64
_LONGEST_COLUMN = 1000

_TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = {4, 5, 6}


@dataclass(frozen=True)
class Footer:
    """What a Parquet file holds: `columns` are {path of a leaf column, joined by dots: its physical type}."""

    rows: int
    columns: dict[str, str]


def read_footer(file: BinaryIO, size: int) -> Footer:
    """Read the footer of a Parquet file of `size` bytes; raises DataError with what is wrong with it."""
    if size < 12:
        raise DataError(f"a Parquet file has at least 12 bytes, got {size}")
    file.seek(size - 8)
    end = file.read(8)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != b"PAR1" or length > size - 8:
        raise DataError(f"a Parquet file must end with the length of its footer and PAR1, got {end!r}")
    file.seek(size - 8 - length)
    reader = _Thrift(file.read(min(length, _MOST_BYTES)))
    columns: dict[str, str] | None = None
    for field, kind in reader.fields():
        if field == 2 and kind == _LIST:
            columns = _columns(reader)
        elif field == 3 and kind in _INTEGERS and columns is not None:
            return Footer(reader.integer(), columns)
        else:
            reader.skip(kind)
    raise DataError("a Parquet footer must have a schema and a number of rows")


def _columns(reader: "_Thrift") -> dict[str, str]:
    """Return the leaves of a schema, which is written with each group before its children."""
    columns: dict[str, str] = {}
    open_groups: list[tuple[str, int]] = []  # (path, children still to come)
    size, kind = reader.list_head()
    if size > _MOST_ELEMENTS or kind != _STRUCT:
        raise DataError(f"a schema must be at most {_MOST_ELEMENTS} elements, got {size}")
    for number in range(size):
        name, children, physical = _element(reader)
        path = ""
        if number:
            if not open_groups:
                raise DataError("a schema must be one tree")
            above, left = open_groups.pop()
            path = (f"{above}.{name}" if above else name)[:_LONGEST_COLUMN]
            if left > 1:
                open_groups.append((above, left - 1))
        if children:
            open_groups.append((path, children))
            if len(open_groups) > _DEEPEST:
                raise DataError(f"a schema must not be deeper than {_DEEPEST}")
        elif number:
            columns[path] = _TYPES[physical] if 0 <= physical < len(_TYPES) else str(physical)
    return columns


def _element(reader: "_Thrift") -> tuple[str, int, int]:
    """Return (name, number of children, physical type; -1 for none) of a SchemaElement."""
    name, children, physical = "", 0, -1
    for field, kind in reader.fields():
        if field == 1 and kind in _INTEGERS:
            physical = reader.integer()
        elif field == 4 and kind == _BINARY:
            name = reader.binary().decode("utf-8", "replace")
        elif field == 5 and kind in _INTEGERS:
            children = reader.integer()
        else:
            reader.skip(kind)
    return name, children, physical


class _Thrift:
    """Reads Thrift's compact protocol from bytes. Raises DataError where they end or are none."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield (number, type) of each field of a struct; its value must be read or skipped before the next."""
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self.integer()
            yield field, head & 15

    def integer(self) -> int:
        """Read a whole number."""
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def binary(self) -> bytes:
        """Read bytes."""
        return self._take(self._varint())

    def list_head(self) -> tuple[int, int]:
        """Read how many elements a list has, and their type."""
        head = self._byte()
        return (self._varint() if head >> 4 == 15 else head >> 4), head & 15

    def skip(self, kind: int, depth: int = 0) -> None:
        """Read a value of any type but a map, which no footer has."""
        if depth > _DEEPEST:
            raise DataError(f"a footer must not be deeper than {_DEEPEST}")
        if kind == _BYTE:
            self._byte()
        elif kind in _INTEGERS:
            self._varint()
        elif kind == _DOUBLE:
            self._take(8)
        elif kind == _BINARY:
            self.binary()
        elif kind in (_LIST, _SET):
            size, element = self.list_head()
            for _ in range(size):
                # In a list, true and false are a byte each.
                self.skip(_BYTE if element in (_TRUE, _FALSE) else element, depth + 1)
        elif kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind not in (_TRUE, _FALSE):
            raise DataError(f"a footer must not have values of type {kind}")

    def _byte(self) -> int:
        return self._take(1)[0]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise DataError("a number must have at most 64 bits")

    def _take(self, count: int) -> bytes:
        taken = self._raw[self._at : self._at + count]
        if len(taken) < count:
            raise DataError("a Parquet footer ends too early")
        self._at += count
        return taken
