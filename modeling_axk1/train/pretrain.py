"""Pretrain a small A.X K1 on a dataset: dataset, tokenizer and preset in, a checkpoint with measured facts out."""

import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from modeling_axk1.data.dataset import data_sha256, read_documents, read_texts
from modeling_axk1.data.document import Document
from modeling_axk1.environment import environment
from modeling_axk1.errors import TrainError, UsageError
from modeling_axk1.files import atomic_folder, atomic_write_text, sha256_file
from modeling_axk1.model.presets import preset
from modeling_axk1.train.batches import Batches, token_stream
from modeling_axk1.train.checkpoint import cast, check_dtype, write_golden, write_model
from modeling_axk1.train.loop import History, Settings, train
from modeling_axk1.train.losses import next_token_loss

RESULTS = "train.json"
_GOLDEN_TOKENS = 24


@dataclass(frozen=True)
class PretrainReport:
    """What came out: losses in nats a token, `bits_per_byte` of the validation text, which no tokenizer flatters."""

    folder: Path
    parameters: int
    steps: int
    tokens: int
    seconds: float
    tokens_per_second: float
    train_loss: float
    validation_loss: float
    bits_per_byte: float

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it."""
        return {**asdict(self), "folder": str(self.folder)}


def resume_folder(out: Path) -> Path:
    """Return where an interrupted run towards `out` keeps its state."""
    return out.with_name(f".{out.name}.resume")


@dataclass(frozen=True)
class Run:
    """Everything that decides a training run, read and checked before anything is trained or written."""

    settings: Settings
    preset: str
    config: Any
    tokenizer: Any
    batches: Batches
    held_out: list[Document]
    fingerprint: dict[str, Any]

    @property
    def parameters(self) -> int:
        """Number of the model's parameters."""
        from modeling_axk1.model.modeling_axk1 import AXK1ForCausalLM

        with torch.device("meta"):
            return sum(parameter.numel() for parameter in AXK1ForCausalLM(self.config).parameters())


def plan(
    dataset: Path, tokenizer_folder: Path, settings: Settings, preset_name: str, batch_size: int, length: int
) -> Run:
    """Read dataset and tokenizer and see that they fit each other and the preset.

    Raises TrainError, DataError or UsageError naming what does not fit.
    """
    from transformers import PreTrainedTokenizerFast

    from modeling_axk1.model.configuration_axk1 import AXK1Config

    if not (tokenizer_folder / "tokenizer.json").is_file():
        raise TrainError(f"no tokenizer.json in {tokenizer_folder}; make one with `axk1 tokenizer train`")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    train_texts = list(read_texts(dataset, "train"))
    held_out = list(read_documents(dataset, "validation"))
    if not train_texts or not held_out:
        raise TrainError(f"{dataset} needs documents in its splits train and validation; `axk1 data build` makes both")
    config = AXK1Config(
        **preset(preset_name),
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    if not 2 <= length <= config.max_position_embeddings:
        raise UsageError(f"length must be in [2, {config.max_position_embeddings}], the preset's context, got {length}")
    fingerprint = {
        "dataset": data_sha256(dataset),
        "tokenizer": sha256_file(tokenizer_folder / "tokenizer.json"),
        "config": json.loads(config.to_json_string()),
        "batch": [batch_size, length],
    }
    batches = Batches(token_stream(train_texts, tokenizer), batch_size, length, settings.seed)
    return Run(settings, preset_name, config, tokenizer, batches, held_out, fingerprint)


def pretrain(run: Run, out: Path, dtype: str = "float32", max_shard_bytes: int = 5_000_000_000) -> PretrainReport:
    """Train and write the checkpoint folder `out`, which appears whole or not at all.

    The folder gets config, generation config, shards and index, golden logits, and train.json with all that was
    measured: losses, speed, machine, versions, commit, seed. An interrupted run goes on where it was.
    """
    from modeling_axk1.model.modeling_axk1 import AXK1ForCausalLM

    check_dtype(dtype)
    torch.manual_seed(run.settings.seed)
    model = AXK1ForCausalLM(run.config)
    history = train(model, run.batches, next_token_loss, run.settings, resume_folder(out), run.fingerprint)

    # What is stored is what is measured: rounded to the stored dtype first, then evaluated in float32.
    cast(model, dtype).float()
    stream = token_stream((document.text for document in run.held_out), run.tokenizer)
    nats = validation_nats(model, stream, run.batches.length)
    report = PretrainReport(
        folder=out,
        parameters=run.parameters,
        steps=history.step,
        tokens=history.tokens,
        seconds=round(history.seconds, 1),
        tokens_per_second=round(history.tokens_per_second, 1),
        train_loss=round(sum(history.losses[-20:]) / len(history.losses[-20:]), 4),
        validation_loss=round(nats / (len(stream) - 1), 4),
        bits_per_byte=round(nats / math.log(2) / sum(document.bytes for document in run.held_out), 4),
    )
    # A text for golden logits and for the sample: held out, English where there is any, and the longest, because
    # short ones are mostly lists.
    chosen = max(run.held_out, key=lambda document: (document.language == "en", document.bytes))
    golden_ids = token_stream([chosen.text], run.tokenizer)[:_GOLDEN_TOKENS]
    with atomic_folder(out) as part:
        write_golden(model, torch.from_numpy(golden_ids).long()[None], run.tokenizer.decode(golden_ids[:8]), part)
        write_model(cast(model, dtype), part, dtype, max_shard_bytes)
        facts = json.dumps(_facts(report, history, run), indent=2, ensure_ascii=False) + "\n"
        atomic_write_text(part / RESULTS, facts)
    shutil.rmtree(resume_folder(out), ignore_errors=True)
    return report


@torch.no_grad()
def validation_nats(model: Any, stream: Any, length: int) -> float:
    """Return the summed negative log-likelihood, in nats, of a token stream, every token but the first once.

    Windows overlap by one token, so that the first token of a window is predicted by the window before.
    """
    total = 0.0
    for start in range(0, len(stream) - 1, length - 1):
        window = torch.from_numpy(stream[start : start + length]).long()[None]
        total += next_token_loss(model, window).item() * (window.shape[1] - 1)
    return total


def _facts(report: PretrainReport, history: History, run: Run) -> dict[str, Any]:
    measured = {key: value for key, value in report.as_dict().items() if key != "folder"}
    return {
        "command": "axk1 train pretrain",
        "preset": run.preset,
        "settings": asdict(run.settings),
        "inputs": {key: run.fingerprint[key] for key in ("dataset", "tokenizer", "batch")},
        "measured": measured,
        "losses": history.losses,
        "violations": history.violations,
        "expert_load": history.expert_load,
        **environment(),
    }
