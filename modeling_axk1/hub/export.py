"""Make a model repository: everything a hub needs so that a stranger's `from_pretrained` works, in one folder."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modeling_axk1.checksums import SUMS_FILE, write_sums
from modeling_axk1.errors import HubError
from modeling_axk1.files import atomic_folder, atomic_write_text
from modeling_axk1.hub.card import model_card
from modeling_axk1.shipped import shipped
from modeling_axk1.weights.verify import verify

_REMOTE_CODE = (
    "cache_axk1.py",
    "checkpoint_axk1.py",
    "configuration_axk1.py",
    "generation_axk1.py",
    "modeling_axk1.py",
    "quantised_axk1.py",
)
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_AUTO_MAP = {
    "AutoConfig": "configuration_axk1.AXK1Config",
    "AutoModel": "modeling_axk1.AXK1Model",
    "AutoModelForCausalLM": "modeling_axk1.AXK1ForCausalLM",
    "AutoModelForSequenceClassification": "modeling_axk1.AXK1ForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_axk1.AXK1ForTokenClassification",
}


@dataclass(frozen=True)
class ExportReport:
    """The folder that was made, or would be (`dry_run`): its files, SHA256SUMS among them."""

    folder: Path
    files: list[str]
    dry_run: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it."""
        return {**asdict(self), "folder": str(self.folder)}


def export(
    checkpoint: Path,
    tokenizer: Path,
    dataset: Path,
    out: Path,
    *,
    repo_id: str,
    dataset_id: str,
    dry_run: bool = False,
) -> ExportReport:
    """Write the model repository `out`, whole or not at all; the same inputs give the same bytes.

    Args:
        checkpoint: as `axk1 train pretrain` writes it: config, weights, golden logits, train.json.
        tokenizer: as `axk1 tokenizer train` writes it.
        dataset: what the model was trained on; its measured numbers go into the card.
        out: the folder to make.
        repo_id: the model's name on the hub, for the card and its examples.
        dataset_id: the dataset's name on the hub.
        dry_run: check everything, write nothing.

    Raises:
        HubError: the weights are damaged or do not fit the config, or the tokenizer does not fit the model.

    """
    for folder, name in ((checkpoint, "train.json"), (tokenizer, "tokenizer.json"), (dataset, "stats.json")):
        if not (folder / name).is_file():
            raise HubError(f"{folder} has no {name}; nothing was exported")
    problems = verify(checkpoint).problems
    if problems:
        raise HubError(f"{checkpoint} cannot be exported: {problems[0]} ({len(problems)} problems in all)")
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    _check_tokenizer(tokenizer, config)

    copied = _copied_files(checkpoint, tokenizer)
    card = model_card(checkpoint, tokenizer, dataset, repo_id=repo_id, dataset_id=dataset_id)
    written = {"config.json": _json({**config, "auto_map": _AUTO_MAP}), "README.md": card}
    if not dry_run:
        with atomic_folder(out) as part:
            for name, source in copied.items():
                (part / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(source, part / name)
            for name, text in written.items():
                atomic_write_text(part / name, text)
            write_sums(part)
    return ExportReport(out, sorted([*copied, *written, SUMS_FILE]), dry_run)


def _copied_files(checkpoint: Path, tokenizer: Path) -> dict[str, Path]:
    """Return {path in the repository: where it comes from} of all that is copied as it stands."""
    model = Path(__file__).parent.parent / "model"
    return {
        **{source.name: source for source in sorted(checkpoint.glob("*.safetensors*"))},
        "golden/logits.safetensors": checkpoint / "golden" / "logits.safetensors",
        "generation_config.json": checkpoint / "generation_config.json",
        "results/train.json": checkpoint / "train.json",
        **{name: tokenizer / name for name in _TOKENIZER_FILES},
        **{name: model / name for name in _REMOTE_CODE},
        **{name: shipped(name) for name in ("LICENSE", "NOTICE")},
    }


def _check_tokenizer(tokenizer: Path, config: dict[str, Any]) -> None:
    content = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
    ids = {token["id"] for token in content["added_tokens"]} | set(content["model"]["vocab"].values())
    if max(ids) + 1 != config["vocab_size"]:
        raise HubError(f"the tokenizer has {max(ids) + 1} entries, the model's vocab_size is {config['vocab_size']}")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
