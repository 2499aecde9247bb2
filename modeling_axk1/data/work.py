"""The work folder: where each stage of a build leaves what it finished, and finds what the stage before left.

    WORK/evaluation/   raw/ and the index of texts that must not be in
    WORK/raw/          documents as they were read (raw.py)
    WORK/steps/        the same after the steps (parts.py)
    WORK/choice/       the fate of each (choice.py)
    WORK/shards/       the Parquet files (shards.py)

The names in it are hashes of everything that their contents depend on: recipe, packages, code, whatever is installed.
So what is there under the right name is right, and needs not be made again.
"""

import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from modeling_axk1.data.fingerprint import fingerprint
from modeling_axk1.data.inputs import Input
from modeling_axk1.data.parts import Part, read_part
from modeling_axk1.data.plan import Plan, Settings
from modeling_axk1.data.raw import Raw, raw_of


@dataclass
class Work:
    """The names in a work folder, for one plan and its settings."""

    folder: Path
    plan: Plan
    settings: Settings

    @cached_property
    def raws(self) -> dict[str, Path]:
        """Where each source's documents lie, by the source's name."""
        return self._raw_folders(self.plan.inputs, self.folder / "raw")

    @cached_property
    def evaluation_raws(self) -> dict[str, Path]:
        """Where the documents of each source of evaluation texts lie."""
        return self._raw_folders(self.plan.evaluation, self.folder / "evaluation" / "raw")

    @cached_property
    def index(self) -> Path | None:
        """The index of evaluation texts; None where there are none to keep out."""
        if not self.plan.evaluation:
            return None
        return self.folder / "evaluation" / f"{fingerprint([path.name for path in self.evaluation_raws.values()])}.npy"

    @cached_property
    def steps(self) -> dict[str, Path]:
        """Where each source's parts lie."""
        recipe = self.plan.recipe
        facts = [recipe.licenses, recipe.forbidden_licenses, recipe.steps, sorted(recipe.corpus_steps)]
        index = self.index.name if self.index else None
        return {
            name: self.folder / "steps" / f"{name}-{fingerprint(raw.name, facts, index)}"
            for name, raw in self.raws.items()
        }

    @cached_property
    def shards(self) -> Path:
        """Where the shards lie, below it as in the dataset."""
        recipe = self.plan.recipe
        facts = [
            [path.name for path in self.steps.values()],
            [asdict(rule) for rule in recipe.held_back],
            [recipe.licenses, recipe.validation_share, recipe.corpus_steps],
            [self.settings.whole, asdict(self.settings.sizes)],
        ]
        return self.folder / "shards" / fingerprint(facts)

    @property
    def choice(self) -> Path:
        """Where is decided what becomes of each document."""
        return self.folder / "choice"

    def read(self) -> dict[str, Raw]:
        """Return what was read, by source; all of it must have been."""
        return {name: read_to_its_end(folder) for name, folder in self.raws.items()}

    def parts(self) -> dict[str, list[Part]]:
        """Return the parts of each source; all of them must be there."""
        raws = self.read()
        return {
            name: [read_part(folder / f"{number:05}") for number in range(raws[name].files)]
            for name, folder in self.steps.items()
        }

    def forget_others(self) -> None:
        """Remove what other recipes, or another state of this one, left of their work."""
        for folder, wanted in (
            (self.folder / "raw", self.raws.values()),
            (self.folder / "evaluation" / "raw", self.evaluation_raws.values()),
            (self.folder / "steps", self.steps.values()),
            (self.folder / "shards", [self.shards]),
        ):
            for path in set(folder.glob("*")) - set(wanted):
                shutil.rmtree(path)

    def _raw_folders(self, sources: Iterable[Input], folder: Path) -> dict[str, Path]:
        size = self.settings.sizes.file
        return {one.name: folder / f"{one.name}-{fingerprint(one.fingerprint(), size)}" for one in sources}


def read_to_its_end(folder: Path) -> Raw:
    """Return what was read into a folder, which was read to its end."""
    raw = raw_of(folder)
    assert raw is not None, folder
    return raw
