"""One model repository: everything a hub needs so that a stranger's `from_pretrained` works, in one folder."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_axk1.environment import environment
from modeling_axk1.errors import HubError
from modeling_axk1.files import atomic_write_text, file_digests, sha256_file
from modeling_axk1.hub.card import evaluation_results, model_card
from modeling_axk1.hub.release.documents import model_documents
from modeling_axk1.hub.release.manifest import Inputs, Variant
from modeling_axk1.hub.release.measure import GOLDEN, measure
from modeling_axk1.hub.release.sbom import SBOM_FILE, sbom
from modeling_axk1.hub.release.weights_doc import weights_document
from modeling_axk1.shipped import shipped
from modeling_axk1.weights.checkpoint import open_checkpoint
from modeling_axk1.weights.convert import convert
from modeling_axk1.weights.coverage import layout_of
from modeling_axk1.weights.names import Layout, parameters
from modeling_axk1.weights.order import Sharding
from modeling_axk1.weights.plan import DEFAULT_SHARD_BYTES
from modeling_axk1.weights.record import record

REMOTE_CODE = (
    "attach_axk1.py",
    "cache_axk1.py",
    "checkpoint_axk1.py",
    "configuration_axk1.py",
    "generation_axk1.py",
    "memory_axk1.py",
    "modeling_axk1.py",
    "policies_axk1.py",
    "products_axk1.py",
    "quantised_axk1.py",
    "reading_axk1.py",
    "streamed_axk1.py",
    "streaming_axk1.py",
)
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
AUTO_MAP = {
    "AutoConfig": "configuration_axk1.AXK1Config",
    "AutoModel": "modeling_axk1.AXK1Model",
    "AutoModelForCausalLM": "modeling_axk1.AXK1ForCausalLM",
    "AutoModelForSequenceClassification": "modeling_axk1.AXK1ForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_axk1.AXK1ForTokenClassification",
}
VARIANT_FILE = "results/variant.json"


@dataclass(frozen=True)
class About:
    """What a repository is within its release.

    `siblings` are all model repositories of it, the base first; `variant` is None where weights stay as they are.
    The weights of the others are made from the base's, in the folder `base_folder`, as their cards say.
    """

    repo_id: str
    dataset_id: str
    tag: str | None = None
    variant: Variant | None = None
    siblings: tuple[Variant, ...] = ()
    base_folder: Path | None = None
    shard_bytes: int = DEFAULT_SHARD_BYTES

    @property
    def base(self) -> str | None:
        """The repository that this one is quantised from, if it is."""
        base = self.siblings[0].repo_id if self.siblings else None
        return base if base != self.repo_id else None


def files_of(inputs: Inputs, about: About) -> dict[str, Path]:
    """Return {path in the repository: where it comes from} of all that is copied as it stands."""
    checkpoint, tokenizer, model = inputs.checkpoint, inputs.tokenizer, Path(__file__).parents[2] / "model"
    weights = sorted(checkpoint.glob("*.safetensors*")) if about.variant is None else []
    return {
        **{source.name: source for source in weights},
        GOLDEN: checkpoint / GOLDEN,
        "generation_config.json": checkpoint / "generation_config.json",
        "results/train.json": checkpoint / "train.json",
        "results/tokenizer.json": tokenizer / "report.json",
        "results/dataset.json": inputs.dataset / "stats.json",
        **{name: tokenizer / name for name in TOKENIZER_FILES},
        **{name: model / name for name in REMOTE_CODE},
        **{name: shipped(name) for name in ("LICENSE", "NOTICE")},
    }


def write_model_repository(part: Path, inputs: Inputs, about: About) -> None:
    """Fill the empty folder `part`; the same inputs give the same bytes. The signature is made later.

    Raises HubError or WeightsError when something does not fit.
    """
    for name, source in files_of(inputs, about).items():
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, part / name)
    config = _write_weights(part, inputs, about)
    atomic_write_text(part / "config.json", as_json(config))
    train = read_json(part / "results/train.json")
    measured = measure(part, inputs.dataset, train["inputs"]["batch"][1]) if about.variant else {}
    atomic_write_text(part / VARIANT_FILE, as_json(_variant(part, config, about, measured)))
    layout, shards = listed_shards(part)
    atomic_write_text(part / "WEIGHTS.md", weights_document(config, shards, layout))
    for name, text in model_documents(about.repo_id, about.tag).items():
        atomic_write_text(part / name, text)
    for name, text in evaluation_results(part).items():
        atomic_write_text(part / name, text)
    for language, name in (("en", "README.md"), ("ko", "README.ko.md")):
        atomic_write_text(part / name, model_card(part, language))
    libraries = {name: version for name, version in train["versions"].items() if name not in ("python", "axk1")}
    atomic_write_text(
        part / SBOM_FILE,
        sbom(
            about.repo_id,
            about.tag or "untagged",
            kind="machine-learning-model",
            licences=["Apache-2.0"],
            files=file_digests(part),
            libraries=libraries,
            datasets={about.dataset_id: train["inputs"]["dataset"]},
        ),
    )
    record(part)


def _write_weights(part: Path, inputs: Inputs, about: About) -> dict[str, Any]:
    """Write shards and index in the variant's form, and return its config."""
    config: dict[str, Any] = read_json(inputs.checkpoint / "config.json")
    if about.variant is not None:
        with tempfile.TemporaryDirectory(prefix="axk1-export-", dir=part.parent) as home:
            made = Path(home) / "weights"
            source = about.base_folder or inputs.checkpoint
            convert(source, made, about.variant.conversion, Sharding(shard_bytes=about.shard_bytes))
            for file in made.glob("*.safetensors*"):
                file.rename(part / file.name)
            config = read_json(made / "config.json")
    return {**config, "auto_map": AUTO_MAP}


def _variant(part: Path, config: dict[str, Any], about: About, measured: dict[str, Any]) -> dict[str, Any]:
    """Return what results/variant.json says: which repository this is, what it holds, what was measured of it."""
    return {
        "command": "axk1 hub export",
        "repository": about.repo_id,
        "dataset": about.dataset_id,
        "tag": about.tag,
        "base": about.base,
        "weights": about.variant.weights if about.variant else None,
        "group_size": about.variant.group_size if about.variant else None,
        "siblings": [{"repository": one.repo_id, "weights": one.weights} for one in about.siblings],
        "counted": counted(part, config),
        "measured": measured,
        "inputs": {"train": sha256_file(part / "results/train.json")},
        **environment(),
    }


def counted(folder: Path, config: dict[str, Any]) -> dict[str, int]:
    """Count what the checkpoint in a folder holds."""
    count, checkpoint = parameters(config), open_checkpoint(folder)
    return {
        "tensors": sum(1 for _ in checkpoint.tensors()),
        "parameters": count.total,
        "active_parameters": count.active,
        "bytes": sum(tensor.nbytes for _, _, tensor in checkpoint.tensors()),
        "files": len(checkpoint.shards),
    }


def listed_shards(folder: Path) -> tuple[Layout, list[tuple[str, int, int]]]:
    """Return how a checkpoint stores routed experts, and (name, tensors, bytes) of its files."""
    checkpoint = open_checkpoint(folder)
    layout = layout_of(name for _, name, _ in checkpoint.tensors())
    shards = [(name, len(header.tensors), (folder / name).stat().st_size) for name, header in checkpoint.shards.items()]
    return "per-expert" if layout == "per-expert" else "fused", shards


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; raises HubError when it is missing or none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HubError(f"{path} cannot be read as JSON: {error}") from None


def as_json(value: Any) -> str:
    """Return JSON for people and for diffs: indented, keys in order."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
