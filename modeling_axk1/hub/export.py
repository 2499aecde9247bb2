"""Export: a manifest to a release set, or one checkpoint to one model repository; whole or not at all."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import HubError, UsageError
from modeling_axk1.files import atomic_folder
from modeling_axk1.hub.release.dataset_repository import check_releasable, write_dataset_repository
from modeling_axk1.hub.release.manifest import Inputs, Manifest
from modeling_axk1.hub.release.model_repository import About, files_of, read_json, write_model_repository
from modeling_axk1.hub.release_set import RELEASE_FILE, RepositoryType, folder_of, write_release
from modeling_axk1.progress import progress_bar
from modeling_axk1.weights.convert import plan_convert
from modeling_axk1.weights.encodings import quantised_config
from modeling_axk1.weights.order import Sharding
from modeling_axk1.weights.verify import verify

# Written by the export itself, beside what is copied.
_WRITTEN = (
    ".eval_results/validation.yaml",
    "CITATION.cff",
    "MANIFEST.json",
    "README.ko.md",
    "README.md",
    "SAFETY.md",
    "SECURITY.md",
    SUMS_FILE,
    "WEIGHTS.md",
    "config.json",
    "results/variant.json",
    "sbom.cdx.json",
)


@dataclass(frozen=True)
class ExportReport:
    """The folder that was made, or would be (`dry_run`), and its files."""

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
    """Write one model repository `out` of a checkpoint as it stands; the same inputs give the same bytes.

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
    inputs, about = Inputs(checkpoint, tokenizer, dataset), About(repo_id, dataset_id)
    check_inputs(inputs)
    if not dry_run:
        with atomic_folder(out) as part:
            write_model_repository(part, inputs, about)
    return ExportReport(out, sorted([*files_of(inputs, about), *_WRITTEN]), dry_run)


def export_release(manifest: Manifest, out: Path, *, key: Path | None = None, dry_run: bool = False) -> ExportReport:
    """Write the release set `out` of a manifest: its dataset, a model repository per variant, release.json.

    The same inputs give the same bytes, but for model.sig: an ECDSA signature is another one each time.

    Args:
        manifest: with inputs; one with facts only is a plan.
        out: the folder to make.
        key: private key in PEM; every repository gets a signature.
        dry_run: check everything, write nothing.

    Raises HubError, WeightsError or UsageError naming what is missing or does not fit.

    """
    if manifest.inputs is None or manifest.dataset_id is None:
        raise UsageError(f"{manifest.path} has no [inputs]: it is a plan; --plan shows what the release would hold")
    inputs = manifest.inputs
    check_inputs(inputs)
    check_releasable(inputs.dataset)
    config = read_json(inputs.checkpoint / "config.json")
    for variant in manifest.variants:
        plan_convert(inputs.checkpoint, variant.conversion)
        if variant.conversion.encoding is not None:
            quantised_config(config, variant.conversion.encoding)  # refuses a form that fits no weight
    if key is not None and not key.is_file():
        raise UsageError(f"the private key must be a PEM file, and {key} is none; `axk1 weights keygen` makes one")
    abouts = {
        one.repo_id: About(
            one.repo_id,
            manifest.dataset_id,
            tag=manifest.tag,
            variant=one,
            siblings=manifest.variants,
            shard_bytes=manifest.shard_bytes,
        )
        for one in manifest.variants
    }
    if dry_run:
        return ExportReport(out, [*_planned_files(manifest, inputs, list(abouts.values())), RELEASE_FILE], dry_run=True)
    repositories: list[tuple[RepositoryType, str]] = [("dataset", manifest.dataset_id)]
    repositories += [("model", repo_id) for repo_id in abouts]
    with atomic_folder(out) as part, progress_bar("exporting", total=len(repositories)) as advance:
        for kind, repo_id in repositories:
            folder = part / folder_of(kind, repo_id)
            folder.mkdir(parents=True)
            if kind == "dataset":
                write_dataset_repository(folder, inputs.dataset, repo_id, manifest.tag)
            else:
                about = abouts[repo_id]
                base = part / folder_of("model", about.base) if about.base else None
                write_model_repository(folder, inputs, replace(about, base_folder=base))
            if key is not None:
                from modeling_axk1.weights.sign import sign

                sign(folder, key)
            advance(1, note=repo_id)
        write_release(part, manifest.name, manifest.tag, repositories)
        files = sorted(path.relative_to(part).as_posix() for path in part.rglob("*") if path.is_file())
    return ExportReport(out, files, dry_run=False)


def check_inputs(inputs: Inputs) -> None:
    """Raise HubError naming the first input that is missing, damaged or does not fit the others."""
    for folder, name, maker in (
        (inputs.checkpoint, "train.json", "train pretrain"),
        (inputs.checkpoint, "golden/logits.safetensors", "train pretrain"),
        (inputs.checkpoint, "generation_config.json", "train pretrain"),
        (inputs.tokenizer, "tokenizer.json", "tokenizer train"),
        (inputs.tokenizer, "tokenizer_config.json", "tokenizer train"),
        (inputs.tokenizer, "chat_template.jinja", "tokenizer train"),
        (inputs.tokenizer, "report.json", "tokenizer train"),
        (inputs.dataset, "stats.json", "data build"),
    ):
        if not (folder / name).is_file():
            raise HubError(f"{folder} has no {name}, which `axk1 {maker}` writes; nothing was exported")
    problems = verify(inputs.checkpoint).problems
    if problems:
        raise HubError(
            f"{inputs.checkpoint} cannot be exported: {problems[0]} ({len(problems)} problems in all); "
            f"`axk1 weights verify {inputs.checkpoint}` lists them"
        )
    _check_tokenizer(inputs.tokenizer, read_json(inputs.checkpoint / "config.json"))


def _check_tokenizer(tokenizer: Path, config: dict[str, Any]) -> None:
    content = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
    ids = {token["id"] for token in content["added_tokens"]} | set(content["model"]["vocab"].values())
    if max(ids) + 1 != config["vocab_size"]:
        raise HubError(
            f"the tokenizer has {max(ids) + 1} entries, the model's vocab_size is {config['vocab_size']}; "
            "--tokenizer must be the one that it was trained with"
        )


def _planned_files(manifest: Manifest, inputs: Inputs, abouts: list[About]) -> list[str]:
    names = [f"{folder_of('dataset', str(manifest.dataset_id))}/"]
    for about in abouts:
        assert about.variant is not None
        plan, _ = plan_convert(inputs.checkpoint, about.variant.conversion, Sharding(shard_bytes=about.shard_bytes))
        weights = [*(shard.file_name for shard in plan.shards), *(name for name in plan.files if name != "config.json")]
        files = sorted([*weights, *files_of(inputs, about), *_WRITTEN])
        names += [f"{folder_of('model', about.repo_id)}/{name}" for name in files]
    return names
