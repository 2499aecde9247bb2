"""Read the commit that a client sends: one JSON object a line, a header first, then what to add and delete."""

import base64
import binascii
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from modeling_axk1.hub.server.lfs import REGULAR_LIMIT, read_pointer
from modeling_axk1.hub.server.names import check_path, check_sha256, check_size
from modeling_axk1.hub.server.refusal import Refusal

# base64 makes 4 bytes of 3; the rest of a line is the path and punctuation.
_LONGEST_LINE = REGULAR_LIMIT * 4 // 3 + 64 * 1024
# Everything in a commit that is no large file is in memory at once.
_LARGEST_COMMIT = 256 * 1024 * 1024
_MOST_OPERATIONS = 100_000
_LONGEST_MESSAGE = 64 * 1024
LARGEST_BLOB = 1 << 40


@dataclass(frozen=True)
class AddRegular:
    """Put `content` at `path`."""

    path: str
    content: bytes


@dataclass(frozen=True)
class AddLarge:
    """Put a pointer to an uploaded blob at `path`; `size` is None when the client copies a pointer it has seen."""

    path: str
    oid: str
    size: int | None


@dataclass(frozen=True)
class Delete:
    """Remove a file, or a folder with everything in it."""

    path: str
    folder: bool


Operation = AddRegular | AddLarge | Delete


@dataclass
class CommitRequest:
    """A commit as asked for: its message, the head it was made for (None: any), and its operations in order."""

    message: str = ""
    parent: str | None = None
    operations: list[Operation] = field(default_factory=list)


async def read_commit(stream: AsyncIterator[bytes]) -> CommitRequest:
    """Read a commit from the chunks of a request body; refuses what is malformed or too large to hold in memory."""
    request = CommitRequest()
    total, rest = 0, bytearray()
    async for chunk in stream:
        total += len(chunk)
        scanned = len(rest)
        rest += chunk
        while (end := rest.find(b"\n", scanned)) >= 0:
            _read_line(bytes(rest[:end]), request)
            del rest[: end + 1]
            scanned = 0
        if len(request.operations) > _MOST_OPERATIONS:
            raise Refusal(413, f"a commit must not have more than {_MOST_OPERATIONS} operations")
        if len(rest) > _LONGEST_LINE:
            raise Refusal(413, f"a file of more than {REGULAR_LIMIT} bytes must be uploaded as a large file")
        if total > _LARGEST_COMMIT:
            raise Refusal(413, f"a commit without its large files must not exceed {_LARGEST_COMMIT} bytes")
    _read_line(bytes(rest), request)
    return request


def _read_line(line: bytes, request: CommitRequest) -> None:
    if not line.strip():
        return
    try:
        item = json.loads(line.decode())  # not from bytes, which may be UTF-16 too
        key, value = item["key"], item["value"]
        if key == "header":
            summary, description = str(value.get("summary", "")), str(value.get("description") or "")
            request.message = f"{summary}\n\n{description}".strip()
            if len(request.message) > _LONGEST_MESSAGE:
                raise Refusal(400, f"a commit's message must not exceed {_LONGEST_MESSAGE} characters")
            request.parent = value.get("parentCommit")
        elif key == "file":
            request.operations.append(AddRegular(check_path(value["path"]), _content(value)))
        elif key == "lfsFile":
            size = value.get("size")
            request.operations.append(
                AddLarge(
                    check_path(value["path"]),
                    check_sha256(value["oid"]),
                    None if size is None else check_size(size, LARGEST_BLOB),
                )
            )
        elif key in {"deletedFile", "deletedFolder"}:
            path = str(value["path"])
            request.operations.append(Delete(check_path(path.rstrip("/")), folder=key == "deletedFolder"))
        else:
            raise Refusal(400, f"a commit line must be a header, file, lfsFile, deletedFile or deletedFolder: {key!r}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refusal(400, f"a commit line must be a JSON object with key and value, got {line[:80]!r}") from error


def _content(value: dict[str, str]) -> bytes:
    if value.get("encoding", "base64") != "base64":
        raise Refusal(400, f"a file's encoding must be base64, got {value['encoding']!r}")
    try:
        content = base64.b64decode(value["content"], validate=True)
    except binascii.Error as error:
        raise Refusal(400, f"the content of {value['path']!r} must be base64") from error
    if read_pointer(content) is not None:
        # In a tree it would be indistinguishable from the large file it names.
        raise Refusal(400, f"{value['path']!r} is a Git LFS pointer; upload the file it stands for")
    return content
