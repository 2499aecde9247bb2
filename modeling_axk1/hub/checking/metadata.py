"""Metadata: what a hub reads in a card's front matter and in .eval_results, against the hub's own readers and lists."""

import fnmatch
import re
from collections.abc import Iterator
from typing import Any

from modeling_axk1.hub.checking.hub_lists import LANGUAGES, LIBRARIES, LICENCES, PIPELINE_TAGS, RELATIONS
from modeling_axk1.hub.checking.subject import Subject


def check_metadata(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield (file, what is wrong) of the card's metadata and of the evaluation results."""
    if "README.md" not in subject.files:
        yield "README.md", "a repository must have its card, and it is missing"
        return
    data, problem = front_matter(subject)
    if problem:
        yield "README.md", problem
        return
    for message in [*_common(data), *(_model(subject, data) if subject.type == "model" else _dataset(subject, data))]:
        yield "README.md", message
    yield from _evaluations(subject)


def front_matter(subject: Subject) -> tuple[dict[str, Any], str | None]:
    """Return the card's metadata as the hub's own client reads them, or what it says against them."""
    import yaml
    from huggingface_hub import DatasetCard, ModelCard

    try:
        text = subject.text("README.md")
        if not text.startswith("---\n"):
            return {}, "a card must begin with metadata between two lines of ---"
        card = (ModelCard if subject.type == "model" else DatasetCard)(text, ignore_metadata_errors=False)
        data: dict[str, Any] = card.data.to_dict()
        if raw := yaml.safe_load(text.split("\n---", 1)[0][4:]):
            data = {**raw, **data}
    except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        return {}, f"the metadata must be what the hub's client reads: {' '.join(str(error).split()):.160}"
    return data, None


def _common(data: dict[str, Any]) -> Iterator[str]:
    licences = _list(data.get("license"))
    if not licences:
        yield "license is missing"
    for one in licences:
        if one not in LICENCES:
            yield f"license must be one that hubs know, got {one!r:.60}"
    if "other" in licences and not (data.get("license_name") and data.get("license_link")):
        yield "license `other` must come with license_name and license_link"
    if not data.get("language"):
        yield "language is missing"
    for one in _list(data.get("language")):
        if one not in LANGUAGES:
            yield f"language must be an ISO 639 code, got {one!r:.60}"
    for one in _list(data.get("tags")):
        if not isinstance(one, str):
            yield f"a tag must be a text, got {one!r:.60}"


def _model(subject: Subject, data: dict[str, Any]) -> Iterator[str]:
    if data.get("pipeline_tag") not in PIPELINE_TAGS:
        yield f"pipeline_tag must be one that hubs know, got {data.get('pipeline_tag')!r:.60}"
    if data.get("library_name") not in LIBRARIES:
        yield f"library_name must be one that hubs know, got {data.get('library_name')!r:.60}"
    base, relation = _list(data.get("base_model")), data.get("base_model_relation")
    if relation is not None and relation not in RELATIONS:
        yield f"base_model_relation must be one of {', '.join(sorted(RELATIONS))}, got {relation!r:.60}"
    if relation is not None and not base:
        yield "base_model_relation must come with base_model"
    config = subject.folder / "config.json"
    quantised = config.is_file() and '"quantization_config"' in subject.text("config.json")
    if quantised and relation != "quantized":
        yield f"a quantised model must have base_model_relation quantized, got {relation!r:.60}"
    for what, kind in ((base, "model"), (_list(data.get("datasets")), "dataset")):
        for name in what:
            yield from _linked(subject, str(name), kind)


def _linked(subject: Subject, name: str, kind: str) -> Iterator[str]:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        yield f"a linked {kind} must be a repository's name: {' '.join(str(error).split()):.120}"
        return
    if subject.in_set and subject.beside.get(name, ("", None))[0] != kind:
        yield f"a linked {kind} must be in the same release, got {name}"


def _dataset(subject: Subject, data: dict[str, Any]) -> Iterator[str]:
    for config in _list(data.get("configs")):
        if not isinstance(config, dict) or not config.get("config_name"):
            yield f"a config must have a config_name, got {config!r:.60}"
            continue
        for split in _list(config.get("data_files")):
            pattern = split.get("path") if isinstance(split, dict) else split
            for one in _list(pattern):
                if not any(fnmatch.fnmatchcase(name, str(one)) for name in subject.files):
                    yield f"data_files of config {config['config_name']} must match a file, got {one!r:.80}"


def _evaluations(subject: Subject) -> Iterator[tuple[str, str]]:
    import yaml
    from huggingface_hub._eval_results import parse_eval_result_entries

    for name in subject.files:
        if not re.fullmatch(r"\.eval_results/[^/]+\.yaml", name):
            continue
        try:
            entries = parse_eval_result_entries(yaml.safe_load(subject.text(name)))
        except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
            yield name, f"must be what the hub's client reads as evaluation results: {error!r:.120}"
            continue
        for entry in entries:
            if not isinstance(entry.value, int | float):
                yield name, f"the value of an evaluation must be a number, got {entry.value!r:.60}"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
