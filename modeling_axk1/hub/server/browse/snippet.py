"""What to type to use a repository from this hub: Python and a shell command that run as they stand."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from modeling_axk1.hub.server.browse.front_matter import listed
from modeling_axk1.hub.server.repository import File, Repository

_LARGEST_CONFIG = 1024 * 1024
_WEIGHTS = (".safetensors", ".bin")
_ROWS = (".parquet", ".jsonl", ".json", ".csv", ".arrow", ".txt")
# From the end of an architecture's name to the class that loads it.
_AUTO_CLASSES = {
    "ForCausalLM": "AutoModelForCausalLM",
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
    "ForImageTextToText": "AutoModelForImageTextToText",
}


@dataclass(frozen=True)
class Snippet:
    """How to load a repository at `revision`; `note` is the key of what must be said beside it, or empty."""

    revision: str
    python: str
    shell: str
    note: str


def snippet_of(
    repository: Repository, kind: str, repo_id: str, revision: str, endpoint: str, card: dict[str, Any]
) -> Snippet:
    """Return the snippet for a repository at a tag or a commit id."""
    commit = repository.resolve(revision)
    files = {entry.path: entry for entry in repository.listing(commit, recursive=True) if isinstance(entry, File)}
    if kind == "datasets":
        lines, note = _dataset(repo_id, revision, list(files), card)
    else:
        lines, note = _model(repo_id, revision, list(files), _config(repository, files.get("config.json")))
    python = ["import os", "", f'os.environ["HF_ENDPOINT"] = {_text(endpoint)}']
    type_ = " --repo-type dataset" if kind == "datasets" else ""
    shell = (
        f"export HF_ENDPOINT={shlex.quote(endpoint)}\nhf download {repo_id}{type_} --revision {shlex.quote(revision)}"
    )
    return Snippet(revision, "\n".join([*python, "", *lines]), shell, note)


def newest_tag(repository: Repository) -> str | None:
    """Return the tag of the newest commit that has one; of several, the last by name."""
    _, tags = repository.references()
    dated = [(repository.commit_entry(commit).date, name) for name, commit in tags.items()]
    return max(dated)[1] if dated else None


def _model(repo_id: str, revision: str, paths: list[str], config: dict[str, Any]) -> tuple[list[str], str]:
    if not isinstance(config.get("model_type"), str):
        return _everything(repo_id, revision, "model"), ""
    is_own_code = bool(config.get("auto_map"))
    arguments = [_text(repo_id), f"revision={_text(revision)}"]
    trusted = [*arguments, *(["trust_remote_code=True"] if is_own_code else [])]
    if not any(path.endswith(_WEIGHTS) and "/" not in path for path in paths):
        return ["from transformers import AutoConfig", "", *_call("config", "AutoConfig", trusted)], "card.no_weights"
    architecture = next(iter(listed(config.get("architectures"))), "")
    auto = next((name for end, name in _AUTO_CLASSES.items() if architecture.endswith(end)), "AutoModel")
    imports, calls = [auto], _call("model", auto, trusted)
    if "tokenizer_config.json" in paths or "tokenizer.json" in paths:
        imports.append("AutoTokenizer")
        calls += _call("tokenizer", "AutoTokenizer", arguments)
    lines = [f"from transformers import {name}" for name in imports]
    return [*lines, "", *calls], "card.remote_code" if is_own_code else ""


def _call(name: str, auto: str, arguments: list[str]) -> list[str]:
    return [f"{name} = {auto}.from_pretrained(", *(f"    {argument}," for argument in arguments), ")"]


def _dataset(repo_id: str, revision: str, paths: list[str], card: dict[str, Any]) -> tuple[list[str], str]:
    if not any(path.endswith(_ROWS) for path in paths):
        return _everything(repo_id, revision, "dataset"), ""
    given = card.get("configs")
    configs = (
        [one for one in given if isinstance(one, dict) and one.get("config_name")] if isinstance(given, list) else []
    )
    names = [str(one["config_name"]) for one in configs]
    is_clear = len(names) < 2 or "default" in names or any(one.get("default") is True for one in configs)
    arguments = [_text(repo_id), *([] if is_clear else [_text(names[0])]), f"revision={_text(revision)}"]
    lines = ["from datasets import load_dataset", "", "dataset = load_dataset("]
    return [*lines, *(f"    {one}," for one in arguments), ")"], "" if is_clear else "card.other_configs"


def _everything(repo_id: str, revision: str, type_: str) -> list[str]:
    """Return how to fetch the files of a repository that no library is known to load."""
    kind = [f"repo_type={_text(type_)}"] if type_ != "model" else []
    arguments = [_text(repo_id), *kind, f"revision={_text(revision)}"]
    lines = ["from huggingface_hub import snapshot_download", "", "folder = snapshot_download("]
    return [*lines, *(f"    {one}," for one in arguments), ")"]


def _config(repository: Repository, file: File | None) -> dict[str, Any]:
    if file is None or file.pointer or file.size > _LARGEST_CONFIG:
        return {}
    try:
        config = json.loads(repository.content(file))
    except (ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _text(value: str) -> str:
    """Return a text as Python writes it."""
    return json.dumps(value, ensure_ascii=False)
