"""The operations of a commit, applied to the files of a revision."""

from collections.abc import Callable
from dataclasses import dataclass

from dulwich.objects import Blob
from dulwich.repo import Repo

from modeling_axk1.hub.server import lfs
from modeling_axk1.hub.server.commits import AddLarge, AddRegular, CommitRequest
from modeling_axk1.hub.server.refusal import Refusal

_NEW_FILE_MODE = 0o100644


@dataclass(frozen=True)
class TreeFile:
    """What a tree says of a file: its git blob, and its mode (a push may bring executable files)."""

    oid: bytes
    mode: int


def apply(
    repo: Repo, files: dict[str, TreeFile], request: CommitRequest, blob_size: Callable[[str], int | None]
) -> list[Blob]:
    """Change `files` ({path: its blob}) as the request says; return the blobs that it brings."""
    blobs: list[Blob] = []
    large: list[str] = []

    def put(path: str, content: bytes) -> None:
        blob = Blob.from_string(content)
        blobs.append(blob)
        mode = files[path].mode if path in files else _NEW_FILE_MODE
        files[path] = TreeFile(blob.id, mode)

    for operation in request.operations:
        path = operation.path
        if isinstance(operation, AddRegular):
            put(path, operation.content)
        elif isinstance(operation, AddLarge):
            stored = blob_size(operation.oid)
            if stored is None or operation.size not in (None, stored):
                raise Refusal(
                    400, f"{path!r} must be uploaded first: no blob {operation.oid} of {operation.size} bytes"
                )
            put(path, lfs.Pointer(operation.oid, stored).to_bytes())
            large.append(path)
        else:
            gone = [name for name in files if name.startswith(f"{path}/")] if operation.folder else [path]
            if not gone or any(files.pop(name, None) is None for name in gone):
                raise Refusal(404, f"A file with this name doesn't exist: {path!r}", "EntryNotFound")
    _check_no_file_is_a_folder(files)
    large = [path for path in large if path in files]
    if large:
        before = _attributes(repo, files, blobs)
        after = lfs.track(before, large)
        if after != before:
            put(lfs.ATTRIBUTES_FILE, after.encode())
    return blobs


def _attributes(repo: Repo, files: dict[str, TreeFile], new_blobs: list[Blob]) -> str:
    found = files.get(lfs.ATTRIBUTES_FILE)
    if found is None:
        return lfs.DEFAULT_ATTRIBUTES
    blob = next((blob for blob in new_blobs if blob.id == found.oid), None) or repo[found.oid]
    return str(blob.data.decode("utf-8", "replace"))


def _check_no_file_is_a_folder(files: dict[str, TreeFile]) -> None:
    for path in files:
        parts = path.split("/")
        for end in range(1, len(parts)):
            if (parent := "/".join(parts[:end])) in files:
                raise Refusal(400, f"{parent!r} cannot be a file and a folder at once ({path!r})")
