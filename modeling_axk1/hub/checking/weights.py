"""Weights: tensors are what the config says, and the files around them fit both."""

import json
from collections.abc import Iterator
from typing import Any

from modeling_axk1.errors import WeightsError
from modeling_axk1.hub.checking.subject import Subject
from modeling_axk1.hub.release.model_repository import counted, listed_shards
from modeling_axk1.hub.release.weights_doc import weights_document
from modeling_axk1.weights.header import read_header
from modeling_axk1.weights.verify import verify

_GOLDEN = "golden/logits.safetensors"


def check_weights(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield (file, what is wrong) of a model repository; a plan has none, a dataset neither."""
    if subject.type != "model" or subject.is_plan:
        return
    try:
        report = verify(subject.folder, checksums=False)
    except WeightsError as error:
        yield "config.json", str(error)
        return
    yield from (("config.json", problem) for problem in report.problems)
    config, generation = _json(subject, "config.json"), _json(subject, "generation_config.json")
    if report.problems or config is None:
        return
    for name in (config.get("auto_map") or {}).values():
        module = f"{str(name).rpartition('.')[0]}.py"
        if module not in subject.files:
            yield "config.json", f"auto_map names {module}, which is not in the repository"
    if not config.get("auto_map"):
        yield "config.json", "auto_map must name the modeling files, and it is missing"
    yield from _stops(config, generation)
    yield from _vocabulary(subject, config)
    yield from _golden(subject, config)
    layout, shards = listed_shards(subject.folder)
    if "WEIGHTS.md" in subject.files and subject.text("WEIGHTS.md") != weights_document(config, shards, layout):
        yield "WEIGHTS.md", "is not what config.json and the shards give"
    variant = _json(subject, "results/variant.json")
    if variant is not None and variant.get("counted") != counted(subject.folder, config):
        yield "results/variant.json", "does not count what the shards hold"


def _stops(config: dict[str, Any], generation: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """A chat turn ends with eos, a document with bos: generation must stop on both."""
    if generation is None:
        yield "generation_config.json", "is missing or no JSON"
        return
    stops = generation.get("eos_token_id")
    wanted = {config.get("eos_token_id"), config.get("bos_token_id")}
    if not isinstance(stops, list) or not wanted <= set(stops):
        yield (
            "generation_config.json",
            f"eos_token_id must hold both stop ids {sorted(map(str, wanted))}, got {stops!r:.60}",
        )


def _vocabulary(subject: Subject, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    content = _json(subject, "tokenizer.json")
    if content is None:
        yield "tokenizer.json", "is missing or no JSON"
        return
    ids = {token["id"] for token in content["added_tokens"]} | set(content["model"]["vocab"].values())
    if max(ids) + 1 != config["vocab_size"]:
        yield "tokenizer.json", f"has {max(ids) + 1:,} entries, and config.json says {config['vocab_size']:,}"
    if "chat_template.jinja" not in subject.files:
        yield "chat_template.jinja", "is missing"


def _golden(subject: Subject, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if _GOLDEN not in subject.files:
        yield _GOLDEN, "recorded logits are missing: nobody could prove what the model computes"
        return
    try:
        tensors = read_header(subject.folder / _GOLDEN).tensors
        shape = tensors["logits"].shape
    except (WeightsError, OSError, KeyError) as error:
        yield _GOLDEN, f"must hold input_ids and logits: {error}"
        return
    if shape[-1] != config["vocab_size"] or shape[:2] != tensors["input_ids"].shape:
        yield (
            _GOLDEN,
            f"logits must be of the input's positions and {config['vocab_size']:,} entries, got {list(shape)}",
        )


def _json(subject: Subject, name: str) -> Any:
    try:
        return json.loads(subject.text(name))
    except (OSError, ValueError):
        return None
