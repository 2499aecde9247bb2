"""The whole way once: raw text -> dataset -> tokenizer -> model -> checked weights -> hub folder -> hub -> stranger.

Each step is one command's function; here they are only put in a row, timed, and left out when what they would make
is there already. All of it lies in one folder:

    OUT/data  OUT/tokenizer  OUT/checkpoint  OUT/export  OUT/hub  OUT/steps.json
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from modeling_axk1.errors import ReleasedTagError
from modeling_axk1.files import atomic_write_text, file_digests
from modeling_axk1.shipped import shipped

MODEL_ID = "local/A.X-K1-quickstart"
DATASET_ID = "local/A.X-K1-sample-corpus"
_STEPS = "steps.json"
_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Settings:
    """How large a quickstart: the defaults take a few minutes on two cores."""

    preset: str = "quickstart"
    vocab_size: int = 4096
    steps: int = 220
    minutes: float = 4.0
    batch_size: int = 16
    length: int = 256
    seed: int = 0
    shard_bytes: int = 8_000_000


@dataclass
class Report:
    """What happened: seconds a step (0 where the result was there already) and the two ends of the proof."""

    out: Path
    seconds: dict[str, float] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    model: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    verified: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it."""
        return {**asdict(self), "out": str(self.out), "total_seconds": round(sum(self.seconds.values()), 1)}


Say = Callable[[str], None]


def quickstart(out: Path, settings: Settings, say: Say) -> Report:
    """Run the seven steps in the folder `out`, reusing what an earlier run built from the same inputs.

    Args:
        out: working folder, made when missing.
        settings: sizes and seed.
        say: gets a line for a person when a step begins or ends.

    Raises:
        AXK1Error: whichever step's rule does not hold; what was finished before stays and is reused next time.

    """
    from modeling_axk1.data.build import build
    from modeling_axk1.hub.export import export
    from modeling_axk1.hub.server import serving
    from modeling_axk1.hub.verify import verify as verify_release
    from modeling_axk1.model.presets import preset
    from modeling_axk1.tokenizer.recipe import Recipe
    from modeling_axk1.tokenizer.train import train as train_tokenizer
    from modeling_axk1.train.loop import Settings as TrainSettings
    from modeling_axk1.train.pretrain import plan, pretrain

    preset(settings.preset)  # what was asked for is checked before anything is made
    train_settings = TrainSettings(steps=settings.steps, minutes=settings.minutes, seed=settings.seed)
    report = Report(out)
    run = _Runner(out, report, say)
    data, tokenizer, checkpoint, folder = (out / name for name in ("data", "tokenizer", "checkpoint", "export"))
    sample = shipped("data_cards/sample")

    run.build(
        "1/7 dataset",
        data,
        inputs={"recipe": _digest(sample), "code": _code("data"), "template": _digest(shipped("release/cards"))},
        make=lambda: build(sample, data),
    )
    run.build(
        "2/7 tokenizer",
        tokenizer,
        inputs={"data": _digest(data), "vocab_size": settings.vocab_size, "code": _code("tokenizer")},
        make=lambda: train_tokenizer([data], tokenizer, Recipe(vocab_size=settings.vocab_size)),
    )
    run.build(
        "3/7 training",
        checkpoint,
        inputs={
            "data": _digest(data),
            "tokenizer": _digest(tokenizer),
            "settings": asdict(settings),
            "code": _code("model", "train"),
        },
        make=lambda: pretrain(
            plan(data, tokenizer, train_settings, settings.preset, settings.batch_size, settings.length),
            checkpoint,
            max_shard_bytes=settings.shard_bytes,
        ),
    )
    run.always("4/7 weights", lambda: _check_weights(checkpoint))
    run.build(
        "5/7 export",
        folder,
        inputs={
            "data": _digest(data),
            "tokenizer": _digest(tokenizer),
            "checkpoint": _digest(checkpoint),
            "template": _digest(shipped("release/cards")),
            "code": _code("hub", "model", "weights"),
        },
        make=lambda: export(checkpoint, tokenizer, data, folder, repo_id=MODEL_ID, dataset_id=DATASET_ID),
    )
    with serving(out / "hub") as endpoint:

        def publish_both() -> None:
            report.dataset = _publish(data, DATASET_ID, endpoint, "dataset")
            report.model = _publish(folder, MODEL_ID, endpoint, "model")

        def prove() -> None:
            report.verified = verify_release(
                MODEL_ID,
                endpoint=endpoint,
                revision=report.model["tag"],
                dataset_id=DATASET_ID,
                dataset_revision=report.dataset["tag"],
            ).as_dict()

        run.always("6/7 publish", publish_both)
        run.always("7/7 proof", prove)
    return report


def _publish(folder: Path, repo_id: str, endpoint: str, repo_type: Any) -> dict[str, Any]:
    """Publish under the first tag v0.1, v0.2 ... that is free or holds the same: a released tag never moves."""
    from modeling_axk1.hub.publish import publish

    for number in count(1):
        try:
            report = publish(folder, repo_id, endpoint=endpoint, repo_type=repo_type, tag=f"v0.{number}")
        except ReleasedTagError:
            continue
        return report.as_dict()
    raise AssertionError("unreachable: the numbers do not end")


def _check_weights(checkpoint: Path) -> None:
    from modeling_axk1.errors import WeightsError
    from modeling_axk1.weights.verify import verify

    problems = verify(checkpoint).problems
    if problems:
        raise WeightsError(
            f"{checkpoint}: {problems[0]} ({len(problems)} problems in all); "
            f"`axk1 weights verify {checkpoint}` lists them"
        )


class _Runner:
    """Run steps, time them, and remember of what each result was made."""

    def __init__(self, out: Path, report: Report, say: Say) -> None:
        self.path, self.report, self.say = out / _STEPS, report, say
        self.known = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}

    def build(self, name: str, folder: Path, inputs: dict[str, Any], make: Callable[[], object]) -> None:
        """Make `folder`, unless it is still what an earlier run made from the same inputs."""
        inputs = json.loads(json.dumps(inputs))
        known = self.known.get(folder.name, {})
        if folder.is_dir() and known == {"inputs": inputs, "result": _digest(folder)}:
            self.report.seconds[name] = 0.0
            self.report.reused.append(name)
            self.say(f"{name}: reused, {folder}")
            return
        self.always(name, make, note=str(folder))
        self.known[folder.name] = {"inputs": inputs, "result": _digest(folder)}
        atomic_write_text(self.path, json.dumps(self.known, indent=2) + "\n")

    def always(self, name: str, make: Callable[[], object], note: str = "") -> None:
        """Do a step and time it."""
        self.say(f"{name} ...")
        started = time.monotonic()
        make()
        self.report.seconds[name] = round(time.monotonic() - started, 1)
        self.say(f"{name}: {self.report.seconds[name]:.1f} s{f', {note}' if note else ''}")


def _digest(folder: Path) -> str:
    """Return one SHA-256 over the names and bytes of all files in a folder."""
    return hashlib.sha256(json.dumps(file_digests(folder)).encode()).hexdigest()


def _code(*rooms: str) -> str:
    """Return one SHA-256 over the source of these rooms, so that changed code makes its results anew."""
    sources = {room: {p.name: p.read_text("utf-8") for p in sorted((_PACKAGE / room).rglob("*.py"))} for room in rooms}
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()
