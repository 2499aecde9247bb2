"""release/NAME.toml: which repositories a release has and what each is made of.

    name = "A.X-K1-nano"            the release
    tag = "v0.1"                    what it is tagged with on a hub
    namespace = "local"             owner of its repositories
    shard_size = "5GB"              optional

    [inputs]                        folders, relative to the current one (or to `--inputs`)
    checkpoint = "axk1-nano/checkpoint"
    tokenizer = "axk1-nano/tokenizer"
    dataset = "axk1-nano/data"

    [dataset]
    name = "A.X-K1-sample-corpus"

    [[variants]]                    the first is the base of the others
    name = "A.X-K1-nano"
    weights = "bf16"                or fp32, fp16, fp8, int8, int4

A manifest without inputs has `facts` instead: it is a plan, of what nobody here holds the weights of.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_axk1.errors import UsageError, did_you_mean
from modeling_axk1.weights.convert import Conversion
from modeling_axk1.weights.plan import DEFAULT_SHARD_BYTES, parse_size

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,94}[A-Za-z0-9]")
_KEYS = {
    "": {"name", "tag", "namespace", "shard_size", "inputs", "facts", "dataset", "variants"},
    "inputs": {"checkpoint", "tokenizer", "dataset"},
    "dataset": {"name"},
    "variants": {"name", "weights", "group_size"},
}


@dataclass(frozen=True)
class Variant:
    """One model repository: its id, and in which form its weights are stored."""

    repo_id: str
    weights: str
    group_size: int | None = None

    @property
    def conversion(self) -> Conversion:
        """What makes it from the checkpoint."""
        return Conversion(weights=self.weights, group_size=self.group_size)


@dataclass(frozen=True)
class Inputs:
    """The folders that a release is made of."""

    checkpoint: Path
    tokenizer: Path
    dataset: Path


@dataclass(frozen=True)
class Manifest:
    """A release as its manifest describes it; either `inputs` or `facts` is there."""

    path: Path
    name: str
    tag: str
    dataset_id: str | None
    variants: tuple[Variant, ...]
    shard_bytes: int
    inputs: Inputs | None
    facts: Path | None


def read_manifest(path: Path, *, inputs: Path | None = None, namespace: str | None = None) -> Manifest:
    """Read and check a manifest.

    Args:
        path: the TOML file.
        inputs: the folder that relative input paths start from; None is the current folder.
        namespace: owner of the repositories, instead of the manifest's own.

    Raises UsageError with the rule and the value for everything that is unknown, missing or contradicts itself.

    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is no manifest that can be read: {error}") from None
    where = path.name
    _known(content, "", where)
    owner = namespace or _text(content, "namespace", where)

    def repository(table: Mapping[str, Any], what: str) -> str:
        name = _text(table, "name", f"{where}: {what}")
        for part in (owner, name):
            if not _NAME.fullmatch(part) or "--" in part or ".." in part:
                raise UsageError(f"{where}: a repository's name must be letters, digits, '.', '_', '-', got {part!r}")
        return f"{owner}/{name}"

    variants = content.get("variants")
    if not isinstance(variants, list) or not variants or not all(isinstance(one, dict) for one in variants):
        raise UsageError(f"{where}: variants must be a list of at least one [[variants]]")
    found = []
    for one in variants:
        _known(one, "variants", where)
        variant = Variant(repository(one, "variants"), _text(one, "weights", where), one.get("group_size"))
        try:
            _ = variant.conversion
        except UsageError as error:
            raise UsageError(f"{where}: {variant.repo_id}: {error}") from None
        found.append(variant)
    if len({one.repo_id for one in found}) != len(found):
        raise UsageError(f"{where}: every variant must have a name of its own")
    if ("inputs" in content) == ("facts" in content):
        raise UsageError(f"{where} must have [inputs] (a release) or facts (a plan), and not both")
    dataset = content.get("dataset")
    if dataset is not None:
        _known(dataset, "dataset", where)
    elif "inputs" in content:
        raise UsageError(f"{where} must have [dataset] with the name of the dataset's repository")
    return Manifest(
        path=path,
        name=_text(content, "name", where),
        tag=_text(content, "tag", where),
        dataset_id=repository(dataset, "dataset") if dataset else None,
        variants=tuple(found),
        shard_bytes=parse_size(content["shard_size"]) if "shard_size" in content else DEFAULT_SHARD_BYTES,
        inputs=_inputs(content["inputs"], where, inputs or Path()) if "inputs" in content else None,
        facts=path.parent / _text(content, "facts", where) if "facts" in content else None,
    )


def _inputs(table: Mapping[str, Any], where: str, base: Path) -> Inputs:
    _known(table, "inputs", where)
    return Inputs(*(base / _text(table, key, f"{where}: inputs") for key in ("checkpoint", "tokenizer", "dataset")))


def _known(table: Any, name: str, where: str) -> None:
    if not isinstance(table, dict):
        raise UsageError(f"{where}: {name} must be a table, got {table!r:.60}")
    if unknown := sorted(table.keys() - _KEYS[name]):
        known = sorted(_KEYS[name])
        near = did_you_mean(unknown[0], known)
        raise UsageError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(known)}{near}")


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: {key} must be a text, got {value!r:.60}")
    return value
