"""The documents beside a model or a dataset: how to cite it, what is known of its safety, how to report a hole."""

from functools import cache
from typing import Any

from modeling_axk1.shipped import shipped

_MODEL = ("CITATION.cff", "SAFETY.md", "SECURITY.md")
_DATASET = ("CITATION.cff", "SECURITY.md")


def model_documents(repo_id: str, tag: str | None) -> dict[str, str]:
    """Return {file: text} of a model repository."""
    return {name: _render(f"model/{name}", repo_id=repo_id, tag=tag) for name in _MODEL}


def planned_documents(repo_id: str, tag: str | None) -> dict[str, str]:
    """Return {file: text} of a planned model repository."""
    return {
        name: _render(f"{'model' if name == 'SECURITY.md' else 'plan'}/{name}", repo_id=repo_id, tag=tag)
        for name in _MODEL
    }


def dataset_documents(repo_id: str, tag: str) -> dict[str, str]:
    """Return {file: text} of a dataset repository."""
    return {name: _render(f"dataset/{name}", repo_id=repo_id, tag=tag) for name in _DATASET}


@cache
def templates() -> Any:
    """Return the jinja environment over release/cards: a value that is missing is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped("release/cards")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML  # noqa: S701
    )


def _render(name: str, **values: Any) -> str:
    text: str = templates().get_template(f"{name}.jinja").render(**values)
    return text
