"""What the hub says about a repository, a file and a commit: the JSON that clients turn into their own classes."""

from datetime import UTC, datetime
from typing import Any

from modeling_axk1.hub.server.cards import card_of
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.repository import CommitEntry, File, Folder


def describe_repository(
    catalog: Catalog, kind: str, namespace: str, name: str, revision: str, *, files_metadata: bool = False
) -> dict[str, Any]:
    """Return a repository at a revision, as `model_info` and `list_models` read it."""
    repository = catalog.get(kind, namespace, name)
    commit = repository.resolve(revision)
    files = [entry for entry in repository.listing(commit, recursive=True) if isinstance(entry, File)]
    history = repository.history(commit)
    card = card_of(repository, files)
    return {
        "id": f"{namespace}/{name}",
        "modelId": f"{namespace}/{name}",
        "author": namespace,
        "sha": commit,
        "createdAt": date(history[-1].date),
        "lastModified": date(history[0].date),
        "private": not catalog.is_public(kind, namespace, name),
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": _tags(card),
        "pipeline_tag": card.get("pipeline_tag"),
        "library_name": card.get("library_name"),
        "cardData": card,
        "siblings": [_sibling(file, detailed=files_metadata) for file in files],
    }


def describe_entry(entry: File | Folder) -> dict[str, Any]:
    """Return a file or folder, as `list_repo_tree` and `get_paths_info` read it."""
    if isinstance(entry, Folder):
        return {"type": "directory", "path": entry.path, "oid": entry.oid, "size": 0}
    described: dict[str, Any] = {"type": "file", "path": entry.path, "oid": entry.oid, "size": entry.size}
    if entry.pointer:
        described["lfs"] = {
            "oid": entry.pointer.oid,
            "size": entry.pointer.size,
            "pointerSize": len(entry.pointer.to_bytes()),
        }
    return described


def describe_commit(entry: CommitEntry) -> dict[str, Any]:
    """Return a commit, as `list_repo_commits` reads it."""
    message = entry.message.strip().partition("\n")[2].strip()
    return {"id": entry.oid, "title": title(entry), "message": message, "date": date(entry.date), "authors": []}


def title(entry: CommitEntry) -> str:
    """Return the first line of a commit's message."""
    return entry.message.partition("\n")[0]


def date(seconds: int) -> str:
    """Return a time in seconds since 1970 as clients read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _tags(card: dict[str, Any]) -> list[str]:
    """Return what one can filter by: the card's own tags, and what else it says, in the words of huggingface.co."""
    tags = _listed(card.get("tags"))
    tags += [str(card[key]) for key in ("pipeline_tag", "library_name") if card.get(key)]
    for key in ("language", "task_categories"):
        tags += _listed(card.get(key))
    for key, prefix in (("license", "license"), ("datasets", "dataset"), ("base_model", "base_model")):
        tags += [f"{prefix}:{value}" for value in _listed(card.get(key))]
    return list(dict.fromkeys(tags))


def _listed(value: Any) -> list[str]:
    if value is None or isinstance(value, dict):
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _sibling(file: File, *, detailed: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": file.path}
    if detailed:
        sibling |= {"size": file.size, "blobId": file.oid}
        if file.pointer:
            pointer = file.pointer
            sibling["lfs"] = {
                "sha256": pointer.oid,
                "size": pointer.size,
                "pointerSize": len(pointer.to_bytes()),
            }
    return sibling
