"""What a release would hold whose weights nobody here has: every file and its size, from recorded facts.

Shards are laid out by the code that would write them, so names and sizes are exact. Files that only the model's
publisher has, or that need its weights, are listed as missing with the reason, and never made up.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from modeling_axk1.errors import UsageError
from modeling_axk1.files import atomic_folder, atomic_write_text
from modeling_axk1.hub.card import CARDS, planned_card, read_facts
from modeling_axk1.hub.release.documents import planned_documents
from modeling_axk1.hub.release.manifest import Manifest, Variant
from modeling_axk1.hub.release.model_repository import AUTO_MAP, REMOTE_CODE, TOKENIZER_FILES, as_json
from modeling_axk1.hub.release.weights_doc import dtype_of, tensors_of, weights_document
from modeling_axk1.hub.release_set import folder_of
from modeling_axk1.shipped import shipped
from modeling_axk1.weights.convert import DTYPES
from modeling_axk1.weights.cut import Whole
from modeling_axk1.weights.encodings import encoding_named, quantised_config
from modeling_axk1.weights.names import Layout, TensorSpec, parameters
from modeling_axk1.weights.order import Sharding, in_order, together
from modeling_axk1.weights.plan import PlannedShard, lay_out, no_collection
from modeling_axk1.weights.steps import Bundle

PLAN_FILE = "results/plan.json"
REPORTED_FILE = "results/reported.json"

_NEEDS_WEIGHTS = "needs the weights"
_MISSING = {
    **dict.fromkeys(TOKENIZER_FILES, "the publisher's; not among the recorded facts"),
    "golden/logits.safetensors": _NEEDS_WEIGHTS,
    "results/variant.json": _NEEDS_WEIGHTS,
    "sbom.cdx.json": "lists the digests of all files: " + _NEEDS_WEIGHTS,
    "MANIFEST.json": "lists the digests of all tensors: " + _NEEDS_WEIGHTS,
    "SHA256SUMS": "lists the digests of all files: " + _NEEDS_WEIGHTS,
    "model.sig": "needs the weights and a key",
}


@dataclass
class PlannedRepository:
    """One repository of a plan: `files` are {path: bytes}, shards and all that can be written without weights."""

    repository: str
    weights: str
    counted: dict[str, int]
    files: dict[str, int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=lambda: dict(_MISSING))

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)


def plan_release(manifest: Manifest, out: Path | None = None) -> list[PlannedRepository]:
    """Return what each repository of a plan would hold; with `out`, write there all but the weights.

    A plan's folder has no release.json: it cannot be published. Raises UsageError for a manifest that has inputs.

    Example: plan_release(read_manifest(Path("release/a.x-k1.toml")))[0].counted["files"]
    """
    if manifest.facts is None:
        raise UsageError(f"{manifest.path} has [inputs], so it can be exported; --dry-run shows its files")
    if out is not None:
        with atomic_folder(out) as part:
            return _write(manifest, part)
    with tempfile.TemporaryDirectory(prefix="axk1-plan-") as home:
        return _write(manifest, Path(home))


def _write(manifest: Manifest, out: Path) -> list[PlannedRepository]:
    planned = []
    for variant in manifest.variants:
        folder = out / folder_of("model", variant.repo_id)
        folder.mkdir(parents=True)
        planned.append(_write_repository(folder, manifest, variant))
    atomic_write_text(out / "plan.json", as_json([one.as_dict() for one in planned]))
    return planned


@no_collection()
def _write_repository(folder: Path, manifest: Manifest, variant: Variant) -> PlannedRepository:
    facts = read_facts(manifest.facts)
    config, layout = planned_config(facts["config"], variant)
    shards, index = lay_out_shards(config, layout, manifest.shard_bytes)
    count = parameters(config)
    planned = PlannedRepository(
        variant.repo_id,
        variant.weights,
        {
            "tensors": sum(len(shard.starts) for shard in shards),
            "parameters": count.total,
            "active_parameters": count.active,
            "bytes": sum(shard.nbytes for shard in shards),
            "files": len(shards),
        },
    )
    base = manifest.variants[0].repo_id
    about = {
        "command": f"axk1 hub export {manifest.path.name} --plan",
        "repository": variant.repo_id,
        "tag": manifest.tag,
        "base": base if base != variant.repo_id else None,
        "weights": variant.weights,
        "counted": planned.counted,
        "missing": planned.missing,
    }
    (folder / "results").mkdir()
    texts = {
        "config.json": as_json({**config, "auto_map": AUTO_MAP}),
        "generation_config.json": as_json(facts["generation"]),
        PLAN_FILE: as_json(about),
        REPORTED_FILE: as_json(facts),
        "WEIGHTS.md": weights_document(
            config, [(shard.file_name, len(shard.starts), shard.file_size) for shard in shards], layout
        ),
        **planned_documents(variant.repo_id, manifest.tag),
        **{name: content.decode() for name, content in index.items()},
        **{name: (Path(__file__).parents[2] / "model" / name).read_text(encoding="utf-8") for name in REMOTE_CODE},
        **{name: shipped(name).read_text(encoding="utf-8") for name in ("LICENSE", "NOTICE")},
    }
    for name, text in texts.items():
        atomic_write_text(folder / name, text)
    for language, name in CARDS.items():
        texts[name] = planned_card(folder, language)
        atomic_write_text(folder / name, texts[name])
    planned.files = dict(
        sorted(
            {
                **{shard.file_name: shard.file_size for shard in shards},
                **{name: len(text.encode()) for name, text in texts.items()},
            }.items()
        )
    )
    return planned


def planned_config(config: Mapping[str, Any], variant: Variant) -> tuple[dict[str, Any], Layout]:
    """Return config.json of a variant, and how its experts are stored."""
    encoding = variant.conversion.encoding
    if encoding is None:
        dtype = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}[DTYPES[variant.weights]]
        return {**config, "dtype": dtype}, "fused"
    return quantised_config(config, encoding_named(encoding.name, variant.group_size)), "per-expert"


def lay_out_shards(
    config: Mapping[str, Any], layout: Layout, shard_bytes: int
) -> tuple[list[PlannedShard], dict[str, bytes]]:
    """Return the shards of a checkpoint with this config, as `axk1 weights convert` would lay them out."""
    tensors = tensors_of(config, layout)
    kinds = {name: (dtype_of(config, spec), spec.shape) for name, spec in tensors.items()}
    sharding = Sharding(shard_bytes=shard_bytes)
    whole = Whole.of(config, kinds)
    bundles = [
        Bundle({name: kinds[name] for name in names}, (), sum(_weights(tensors[name]) for name in names), group)
        for names, group in together(in_order(kinds, sharding.order, whole), sharding, whole)
    ]
    return lay_out(bundles, sharding.most_bytes)


def _weights(spec: TensorSpec) -> int:
    return prod(spec.shape) if spec.parameters is None else spec.parameters
