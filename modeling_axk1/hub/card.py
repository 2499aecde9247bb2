"""Write the model card: every figure comes from a file that was measured, and a missing one is an error."""

import json
from pathlib import Path

from modeling_axk1.errors import HubError
from modeling_axk1.shipped import shipped
from modeling_axk1.weights.names import parameters

_TEMPLATE = "release/cards/model_card.md.jinja"


def model_card(checkpoint: Path, tokenizer: Path, dataset: Path, *, repo_id: str, dataset_id: str) -> str:
    """Return README.md of a trained model.

    Sources: train.json and config.json of the checkpoint, report.json of the tokenizer, stats.json of the dataset.
    Raises HubError naming the first figure that none of them has.
    """
    import jinja2

    config = _read(checkpoint / "config.json")
    template = jinja2.Template(
        shipped(_TEMPLATE).read_text(encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    try:
        return template.render(
            repo_id=repo_id,
            dataset_id=dataset_id,
            config=config,
            counts=parameters(config),
            train=_read(checkpoint / "train.json"),
            tokenizer=_read(tokenizer / "report.json"),
            data=_read(dataset / "stats.json"),
        )
    except jinja2.UndefinedError as error:
        raise HubError(f"the card of {repo_id} lacks a figure: {error.message}") from None


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
