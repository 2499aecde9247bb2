"""Cards: README.md and README.ko.md of a repository, written from the files in it and from recorded facts alone.

A card is a function of its repository's folder: `axk1 hub card --check` makes it again and compares. What was measured
is linked to the file that holds it (figures.py); what others report comes from release/facts.toml, and stands apart.
"""

import tomllib
from pathlib import Path
from typing import Any

from modeling_axk1.errors import HubError
from modeling_axk1.hub.figures import Figures
from modeling_axk1.shipped import shipped

CARDS = {"en": "README.md", "ko": "README.ko.md"}
FACTS = "release/facts.toml"

# Why these and no others: they are what the training run and the export measured.
_METRICS = {
    "bits_per_byte": "Bits per byte",
    "validation_loss": "Cross-entropy, nats per token",
}


def model_card(folder: Path, language: str = "en") -> str:
    """Return the card of the model repository in `folder`; raises HubError naming the first figure that is missing.

    Sources: config.json and results/*.json of the folder, and release/facts.toml for what SK Telecom reports.
    """
    figures = Figures(folder)
    variant = figures.value("results/variant.json", "/repository")
    stats = figures.value("results/dataset.json", "/by_language")
    return _render(
        f"model.{language}.md.jinja",
        figures,
        repo_id=variant,
        languages=[name for name in stats if name != "code"],
        by_language=stats,
        validation=figures.value("results/tokenizer.json", "/validation"),
        results=_best_results(figures),
        facts=read_facts(),
    )


def korean_data_card(folder: Path, repo_id: str) -> str:
    """Return the Korean card of the dataset in `folder`: what it is, how large, where the whole card stands."""
    figures = Figures(folder)
    stats = Figures(folder).value("stats.json", "/by_language")
    licences = figures.value("stats.json", "/by_license")
    return _render("dataset.ko.md.jinja", figures, repo_id=repo_id, by_language=stats, by_license=licences)


def evaluation_results(folder: Path) -> dict[str, str]:
    """Return {path: text} of .eval_results/*.yaml, in the hub's own format."""
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    figures = Figures(folder)
    results = _best_results(figures)
    entry = EvalResultEntry(
        dataset_id=figures.value("results/variant.json", "/dataset"),
        task_id="validation",
        value=results["bits_per_byte"],
        notes=f"bits per byte of the validation split, lower is better; {results['file']} holds it, made by "
        f"`{results['command']}`",
    )
    text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True)
    return {".eval_results/validation.yaml": text}


def planned_card(folder: Path, language: str = "en") -> str:
    """Return the card of a model that is planned in `folder`: counted from shapes, reported by others, or unknown.

    Sources: config.json, results/plan.json and results/reported.json of the folder.
    """
    figures = Figures(folder)
    return _render(
        f"plan.{language}.md.jinja",
        figures,
        repo_id=figures.value("results/plan.json", "/repository"),
        missing=figures.value("results/plan.json", "/missing"),
        reported=figures.value("results/reported.json", "/reported"),
        unknown=figures.value("results/reported.json", f"/unknown/{language}"),
    )


def read_facts(path: Path | None = None) -> dict[str, Any]:
    """Return the recorded facts about SK Telecom's A.X K1, each with its source."""
    place = path or shipped(FACTS)
    try:
        return tomllib.loads(place.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise HubError(f"the facts cannot be read: {error}") from None


def _best_results(figures: Figures) -> dict[str, Any]:
    """Return the loss of the weights as stored: measured by the export where it converted them, else by training."""
    exported = figures.value("results/variant.json", "/measured")
    file = "results/variant.json" if exported else "results/train.json"
    found = {name: figures.value(file, f"/measured/{name}") for name in _METRICS}
    return {**found, "file": file, "command": figures.value(file, "/command")}


def _render(template: str, figures: Figures, **values: Any) -> str:
    import jinja2

    from modeling_axk1.hub.release.documents import templates

    try:
        text: str = templates().get_template(template).render(fig=figures.link, value=figures.value, **values)
    except jinja2.UndefinedError as error:
        raise HubError(f"the card of {figures.folder.name} lacks a figure: {error.message}") from None
    return text
